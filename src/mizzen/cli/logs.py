"""`mizzen logs`: what the cluster's own processes have said."""

import subprocess
from pathlib import Path

import click

from mizzen.cli.options import cluster_options, existing
from mizzen.cluster.config import ConfigError


@click.command()
@click.argument("component", required=False)
@cluster_options
@click.option("-f", "--follow", is_flag=True, help="Go on with what is still to come.")
@click.option("-n", "--lines", default=100, show_default=True, help="How many of the last lines to show.")
def logs(component: str | None, name: str, data_dir: Path | None, follow: bool, lines: int) -> None:
    """Show the logs of the control plane and the agents, or of one COMPONENT (server, or a node's name)."""
    directory = existing(name, data_dir).data_dir / "logs"
    found = sorted(directory.glob(f"{component or '*'}.log"))
    if not found:
        names = ", ".join(path.stem for path in sorted(directory.glob("*.log"))) or "none yet"
        raise ConfigError(f"there is no log of {component!r}; there are: {names}")
    follow_flag = ["-F"] if follow else []
    subprocess.run(["tail", f"-n{lines}", *follow_flag, *map(str, found)], check=False)
