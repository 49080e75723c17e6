"""`mizzen simulate`: a control plane with simulated nodes in the foreground, and how fast it is."""

import json
import tempfile
from pathlib import Path
from typing import Any

import click


@click.command()
@click.option("--nodes", default=100, show_default=True, type=click.IntRange(1, 20_000), help="How many nodes.")
@click.option("--pods", default=0, show_default=True, type=click.IntRange(0, 500_000), help="Pods to apply at once.")
@click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Keep the cluster here. [default: nowhere]"
)
@click.option(
    "--port", default=0, show_default=True, type=click.IntRange(0, 65535), help="The API's port; 0: a free one."
)
@click.option(
    "--startup", default="0.5s", show_default=True, help="How long a pod takes to start; half as much, more or less."
)
@click.option(
    "--failure-rate", default=0.0, show_default=True, type=click.FloatRange(0, 1), help="Share of pod starts that fail."
)
@click.option(
    "--node-loss",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="A node's chance a minute to fall silent.",
)
@click.option(
    "--stages", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="How pods behave, as YAML."
)
@click.option("--stay/--no-stay", default=True, help="Keep running after the report, for kubectl.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print the report.")
def simulate(
    nodes: int,
    pods: int,
    data_dir: Path | None,
    port: int,
    startup: str,
    failure_rate: float,
    node_loss: float,
    stages: Path | None,
    stay: bool,
    output: str,
) -> None:
    """Run the real API server, controllers and scheduler over nodes that run pods as state machines only.

    \b
    Examples:
      mizzen simulate --nodes 1000 --pods 10000 --no-stay
      mizzen simulate --nodes 50 --node-loss 0.2 --stages stages.yaml
    """
    from mizzen.cluster import stages as pod_stages
    from mizzen.cluster import trial  # lazily: other verbs need none of it

    try:
        general = pod_stages.Stage(startup=pod_stages.seconds(startup), failureRate=failure_rate)
    except ValueError as error:
        raise click.BadParameter(f"{startup!r} is no time; try 0.5s", param_hint="--startup") from error
    chosen = (*(pod_stages.load(stages) if stages else ()), general)
    with tempfile.TemporaryDirectory(prefix="mizzen-simulate-") as scratch:
        directory = (data_dir or Path(scratch)).resolve()
        wanted = trial.Trial(directory, nodes, pods, port, chosen, node_loss, stay)

        def show(report: dict[str, Any]) -> None:
            click.echo(json.dumps(report, indent=2) if output == "json" else _text(report))

        trial.run(wanted, show)


def _text(report: dict[str, Any]) -> str:
    width = max(len(name) for name in report)
    return "\n".join(f"{name:{width}}  {value}" for name, value in report.items())
