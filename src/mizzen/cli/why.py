"""`mizzen why POD`: what stands in a pod's way, node by node, and what would unblock it."""

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mizzen.client import kubeconfig as kubeconfigs
from mizzen.cluster.config import ConfigError
from mizzen.machinery.errors import ApiError

if TYPE_CHECKING:
    from mizzen.scheduler.why import Answer


@click.command()
@click.argument("pod")
@click.option("-n", "--namespace", help="The pod's namespace. [default: the context's]")
@click.option("--kubeconfig", type=click.Path(path_type=Path, dir_okay=False), help="[default: as kubectl's]")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print it.")
def why(pod: str, namespace: str | None, kubeconfig: Path | None, output: str) -> None:
    """Tell why a pod is not scheduled: for every node what stands in the way, and what would unblock it.

    Asks the cluster of kubectl's current context, and judges with the scheduler's own rules. Exit status 0: the pod
    has a node, or there is one for it; 3: there is none.

    \b
    Examples:
      mizzen why web-0
      mizzen why batch-x7k2p -n jobs -o json
    """
    try:
        answer = asyncio.run(_ask(kubeconfig or kubeconfigs.default_path(), namespace, pod.removeprefix("pod/")))
    except ApiError as error:
        raise ConfigError(str(error)) from error
    click.echo(json.dumps(answer.document(), indent=2) if output == "json" else answer.text())
    fits = not answer.nodes or any(not found for found in answer.nodes.values())
    sys.exit(0 if fits and answer.of_the_pod is None else 3)


async def _ask(path: Path, namespace: str | None, pod: str) -> "Answer":
    from mizzen.cluster import access, diagnosis  # lazily: other verbs need none of it

    client, own = access.current(path)
    try:
        return await diagnosis.why(client, namespace or own, pod)
    finally:
        await client.close()
