"""The command line: one file per verb. `main` is the entry point of the `mizzen` command."""

import sys
from importlib import import_module
from typing import Final

import click

from mizzen import KUBERNETES_VERSION, __version__
from mizzen.cluster.config import ConfigError

VERBS: Final = {
    "up": "mizzen.cli.up",
    "down": "mizzen.cli.down",
    "status": "mizzen.cli.status",
    "kubeconfig": "mizzen.cli.kubeconfig",
    "logs": "mizzen.cli.logs",
    "image": "mizzen.cli.image",
    "backup": "mizzen.cli.backup",
    "restore": "mizzen.cli.backup",
    "server": "mizzen.cli.server",
    "agent": "mizzen.cli.agent",
    "simulate": "mizzen.cli.simulate",
    "why": "mizzen.cli.why",
}
"""Where each verb is; a module is imported when its verb is asked for, for the sake of those that must start fast."""


class Verbs(click.Group):
    """Knows the verbs without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        found: click.Command = getattr(import_module(VERBS[cmd_name]), cmd_name)
        return found


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(f"{__version__} (Kubernetes {KUBERNETES_VERSION})", prog_name="mizzen")
def cli() -> None:
    """A whole Kubernetes on this machine: `mizzen up` starts it, kubectl and helm use it, `mizzen down` ends it."""


def main() -> None:
    """Run the command line; a mistake of the user's, or a full disk, ends with a sentence, never a traceback."""
    try:
        cli(prog_name="mizzen")
    except ConfigError as error:
        click.echo(f"mizzen: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(f"mizzen: {error}", err=True)
        sys.exit(1)
