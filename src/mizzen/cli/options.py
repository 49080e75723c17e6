"""Options that several verbs share, and how they lead to a cluster's configuration."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mizzen.cluster import config as configs
from mizzen.cluster.config import ClusterConfig, ConfigError

Decorated = Callable[..., Any]


def cluster_options(command: Decorated) -> Decorated:
    """--name and --data-dir, which say which cluster is meant."""
    name = click.option("--name", default=configs.DEFAULT_NAME, show_default=True, help="The cluster's name.")
    where = click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="Where the cluster keeps everything. [default: /var/lib/mizzen/NAME, or below ~/.local/share]",
    )
    return name(where(command))


def data_dir_of(name: str, data_dir: Path | None) -> Path:
    """The directory a cluster's name or an explicit choice leads to."""
    configs.check_name(name)
    return (data_dir or configs.default_data_dir(name)).resolve()


def existing(name: str, data_dir: Path | None) -> ClusterConfig:
    """The configuration of a cluster that was started before. Raises ConfigError when there is none."""
    directory = data_dir_of(name, data_dir)
    found = configs.load(directory)
    if found is None:
        raise ConfigError(f"there is no cluster in {directory}; start one with: mizzen up")
    return found
