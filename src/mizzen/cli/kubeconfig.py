"""`mizzen kubeconfig`: print the administrator's kubeconfig, or merge it into the user's."""

from pathlib import Path

import click

from mizzen.cli.options import cluster_options, existing
from mizzen.client import kubeconfig as files
from mizzen.cluster import lifecycle


@click.command()
@cluster_options
@click.option("--merge", is_flag=True, help="Merge it into the file that kubectl uses, instead of printing it.")
def kubeconfig(name: str, data_dir: Path | None, merge: bool) -> None:
    """Print a kubeconfig for the cluster's administrator.

    \b
    Example:
      mizzen kubeconfig > /tmp/config && kubectl --kubeconfig /tmp/config get nodes
    """
    entry = lifecycle.admin_entry(existing(name, data_dir))
    if merge:
        files.merge(files.default_path(), entry)
        click.echo(f"merged into {files.default_path()}")
    else:
        click.echo(files.render(entry), nl=False)
