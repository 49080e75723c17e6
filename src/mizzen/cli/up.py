"""`mizzen up`: start a cluster in the background and wait until its nodes are Ready."""

from pathlib import Path

import click

from mizzen.cli.options import cluster_options, data_dir_of
from mizzen.cli.progress import Progress
from mizzen.cluster import lifecycle
from mizzen.cluster.config import RuntimeName
from mizzen.cluster.rootless import enter


@click.command()
@cluster_options
@click.option("--nodes", type=click.IntRange(1, 100), help="How many nodes to run here. [default: 2]")
@click.option("--api-port", type=click.IntRange(1, 65535), help="The API server's port. [default: 6443, or a free one]")
@click.option(
    "--runtime",
    type=click.Choice(["crun", "cri", "simulated"]),
    help="What runs containers: crun itself, a CRI runtime such as containerd, or nothing but state machines. "
    "[default: crun]",
)
@click.option(
    "--runtime-endpoint",
    help="The socket of a running CRI runtime, like unix:///run/containerd/containerd.sock. "
    "[default: a containerd for each node, started here]",
)
@click.option(
    "--load-balancer-pool",
    help="Addresses for Services of type LoadBalancer, as a CIDR that is free here. [default: the nodes' own]",
)
@click.option("--wait/--no-wait", default=True, help="Return when the nodes are Ready, or at once.")
@click.option("--timeout", default=60.0, show_default=True, help="How many seconds to wait for the nodes.")
def up(  # shape: one parameter for each option
    name: str,
    data_dir: Path | None,
    nodes: int | None,
    api_port: int | None,
    runtime: RuntimeName | None,
    runtime_endpoint: str | None,
    load_balancer_pool: str | None,
    wait: bool,
    timeout: float,
) -> None:
    """Start a cluster in the background, or repair a running one, and make it kubectl's current context.

    What was chosen at the first start (nodes, port, runtime) is kept; an option given again changes it.

    \b
    Examples:
      mizzen up
      mizzen up --nodes 3 --name lab
      mizzen up --runtime simulated --nodes 5
      mizzen up --load-balancer-pool 192.0.2.16/28
    """
    with Progress() as progress:
        wishes = lifecycle.Wishes(nodes, api_port, runtime, runtime_endpoint, load_balancer_pool)
        directory = data_dir_of(name, data_dir)
        with lifecycle.alone(directory, progress.say):
            config = lifecycle.prepare(name, directory, wishes)
            if enter.is_outside() and config.runtime != "simulated":
                progress.say("opening the cluster's namespaces")
                enter.open_namespaces(config)
                enter.become_root(config)
            lifecycle.start(config, progress.say)
        if wait:
            lifecycle.wait_until_ready(config, timeout, progress.say)
    click.echo(f"cluster {config.name!r} is {'ready' if wait else 'starting'} at {config.api_url}")
    for shortage in lifecycle.shortages(config) if wait else ():
        click.echo(f"warning: {shortage}", err=True)
    click.echo(f"kubectl's context is {config.name!r}; try: kubectl get nodes -o wide")
