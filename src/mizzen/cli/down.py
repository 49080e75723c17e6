"""`mizzen down`: end a cluster; its data stays unless asked otherwise."""

import sys
from pathlib import Path

import click

from mizzen.cli.options import cluster_options, data_dir_of
from mizzen.cli.progress import Progress
from mizzen.cluster import config as configs
from mizzen.cluster import lifecycle
from mizzen.cluster.rootless import enter


@click.command()
@cluster_options
@click.option("--delete-data", is_flag=True, help="Also remove everything the cluster has stored.")
def down(name: str, data_dir: Path | None, delete_data: bool) -> None:
    """End a cluster: its processes, containers, networks and mounts. Objects and volumes stay for the next `up`."""
    directory = data_dir_of(name, data_dir)
    config = configs.load(directory)
    if config is None:
        click.echo(f"there is no cluster in {directory}")
        return
    if enter.is_outside() and config.runtime != "simulated":
        enter.open_namespaces(config)
        with enter.closing(config):
            status = enter.run_as_root(config)
        sys.exit(status)
    with Progress() as progress, lifecycle.alone(directory, progress.say):
        lifecycle.stop(config, progress.say)
        if delete_data:
            lifecycle.delete_data(config)
    click.echo(
        f"cluster {config.name!r} has ended; its data {'is removed' if delete_data else f'stays in {directory}'}"
    )
