"""`mizzen server`: the control plane alone, in the foreground."""

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mizzen.cluster import config as configs

if TYPE_CHECKING:
    from mizzen.scheduler.config import Configuration


@click.command()
@click.option(
    "--data-dir", required=True, type=click.Path(path_type=Path, file_okay=False), help="Where it keeps everything."
)
@click.option("--port", default=6443, show_default=True, type=click.IntRange(0, 65535), help="The API server's port.")
@click.option("--bind", multiple=True, help="An address to listen on; may be repeated. [default: 127.0.0.1]")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help='Static tokens, a line each: token,user,uid,"group1,group2".',
)
@click.option("--audit-policy", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="What to audit.")
@click.option(
    "--authentication-config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="An AuthenticationConfiguration. [default: DATA_DIR/authentication.yaml, if it exists]",
)
@click.option(
    "--encryption-config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="An EncryptionConfiguration for the store. [default: DATA_DIR/encryption.yaml, if it exists]",
)
@click.option(
    "--scheduler-config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A KubeSchedulerConfiguration: profiles, plugins, extenders.",
)
@click.option("--controllers/--no-controllers", default=True, help="Run controllers and scheduler too.")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
def server(
    data_dir: Path,
    port: int,
    bind: tuple[str, ...],
    token_file: Path | None,
    audit_policy: Path | None,
    authentication_config: Path | None,
    encryption_config: Path | None,
    scheduler_config: Path | None,
    controllers: bool,
    log_level: str,
) -> None:
    """Run the API server, controllers and scheduler in the foreground, until a signal ends them.

    The administrator's kubeconfig is written to DATA_DIR/admin.kubeconfig.

    \b
    Example:
      mizzen server --data-dir /tmp/demo --port 6443
    """
    gc.disable()  # until it serves: what is read in at the start stays
    from mizzen.base import log
    from mizzen.cluster.supervision import Supervised

    log.set_level(log_level)
    Supervised().introduce()
    from mizzen.cluster import control  # lazily: other verbs need none of it

    directory = data_dir.resolve()
    cluster = configs.load(directory) or configs.ClusterConfig(name=configs.DEFAULT_NAME, data_dir=directory, nodes=0)
    options = control.Options(
        cluster=cluster,
        port=port,
        bind=bind or ("127.0.0.1",),
        token_file=token_file,
        audit_policy=audit_policy,
        authentication=authentication_config,
        encryption=encryption_config,
        scheduler=_scheduler(scheduler_config),
        controllers=controllers,
    )
    control.serve(options)


def _scheduler(path: Path | None) -> "Configuration | None":
    """The schedulers as a file says. Raises ConfigError."""
    if path is None:
        return None
    from mizzen.scheduler import config as schedulers  # lazily: clients are served before the scheduler is there

    try:
        return schedulers.load(path)
    except ValueError as error:
        raise configs.ConfigError(f"--scheduler-config {path}: {error}") from error
