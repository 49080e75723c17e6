"""`mizzen backup` and `mizzen restore`: a cluster in one file, and back."""

from pathlib import Path

import click

from mizzen.cli.options import cluster_options, data_dir_of


@click.command()
@cluster_options
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(name: str, data_dir: Path | None, file: Path) -> None:
    """Write the cluster's state to FILE while it runs: every object, the keys and certificates.

    Data in volumes and images is not part of it. Keep the file safe: whoever has it is the administrator.

    \b
    Example:
      mizzen backup /backup/mizzen-monday.tar.gz
    """
    from mizzen.cluster import backup as backups  # lazily: other verbs need none of it

    size = backups.backup(data_dir_of(name, data_dir), file)
    click.echo(f"{file} holds the cluster ({size / 1e6:.1f} MB)")


@click.command()
@cluster_options
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def restore(name: str, data_dir: Path | None, file: Path) -> None:
    """Put the cluster back to the state in FILE. It must not be running; what was there before is kept beside it.

    \b
    Example:
      mizzen down && mizzen restore /backup/mizzen-monday.tar.gz && mizzen up
    """
    from mizzen.cluster import backup as backups  # lazily: other verbs need none of it

    aside = backups.restore(file, data_dir_of(name, data_dir))
    if aside is not None:
        click.echo(f"what was there before is in {aside}")
    click.echo("restored; start it with: mizzen up")
