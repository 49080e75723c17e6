"""`mizzen status`: what of a cluster is running, for people and for scripts."""

import json
import sys
from pathlib import Path

import click

from mizzen.cli.options import cluster_options, existing
from mizzen.cluster import lifecycle


@click.command()
@cluster_options
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print it.")
def status(name: str, data_dir: Path | None, output: str) -> None:
    """Show a cluster's processes and nodes. Exit status 0: all run and are Ready; 3: not all."""
    state = lifecycle.observe(existing(name, data_dir))
    if output == "json":
        click.echo(json.dumps(state.document(), indent=2))
    else:
        click.echo(state.text())
    sys.exit(0 if state.healthy else 3)
