"""The command line: one file per verb. `main` is the entry point of the `mizzen` command."""

import sys

import click

from mizzen import KUBERNETES_VERSION, __version__
from mizzen.cli.agent import agent
from mizzen.cli.backup import backup, restore
from mizzen.cli.down import down
from mizzen.cli.image import image
from mizzen.cli.kubeconfig import kubeconfig
from mizzen.cli.logs import logs
from mizzen.cli.server import server
from mizzen.cli.simulate import simulate
from mizzen.cli.status import status
from mizzen.cli.up import up
from mizzen.cli.why import why
from mizzen.cluster.config import ConfigError

COMMANDS = (up, down, status, kubeconfig, logs, image, backup, restore, server, agent, simulate, why)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(f"{__version__} (Kubernetes {KUBERNETES_VERSION})", prog_name="mizzen")
def cli() -> None:
    """A whole Kubernetes on this machine: `mizzen up` starts it, kubectl and helm use it, `mizzen down` ends it."""


for command in COMMANDS:
    cli.add_command(command)


def main() -> None:
    """Run the command line; a mistake of the user's ends with a sentence and status 1, never a traceback."""
    try:
        cli(prog_name="mizzen")
    except ConfigError as error:
        click.echo(f"mizzen: {error}", err=True)
        sys.exit(1)
    except (ConnectionError, PermissionError) as error:
        click.echo(f"mizzen: {error}", err=True)
        sys.exit(1)
