"""What files say of a node: its settings with what is merged over them, and programs that know credentials."""

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any, Final

import yaml

from mizzen.agent.config import AgentConfig
from mizzen.agent.images import providerconfig
from mizzen.agent.kubeletconfig import check_form, configured
from mizzen.cluster.config import ConfigError
from mizzen.machinery.patch import merge

_DOCUMENTS: Final = {".json", ".yaml", ".yml"}


def with_settings(
    config: AgentConfig, file: Path | None, directory: Path | None
) -> tuple[AgentConfig, tuple[str, ...]]:
    """A configuration as a KubeletConfiguration says, and the names of settings that mean nothing here.

    The `*.conf` files of the directory are merged over the file in the order of their names: maps key by key, while
    lists and all else replace what was there. Raises ConfigError.
    Ref: https://kubernetes.io/docs/tasks/administer-cluster/kubelet-config-file/#kubelet-conf-d
    """
    files = [*([file] if file else ()), *(sorted(directory.rglob("*.conf")) if directory else ())]
    documents: list[Any] = []
    for one in files:
        try:
            documents.append(yaml.safe_load(one.read_text()))
            check_form(documents[-1])
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise ConfigError(f"{one}: {error}") from error
    if not documents:
        return config, ()
    try:
        return configured(config, reduce(merge.merged, documents))
    except ValueError as error:
        raise ConfigError(f"{', '.join(map(str, files))}: {error}") from error


def with_providers(config: AgentConfig, source: Path, programs: Path | None) -> AgentConfig:
    """A configuration with the programs that a file, or the files of a directory, name. Raises ConfigError."""
    config = replace(config, credential_programs=programs or config.credential_programs)
    try:
        providers = providerconfig.parse([yaml.safe_load(file.read_text()) for file in _files(source)])
        for one in providers:
            if not os.access(config.credential_programs / one.name, os.X_OK):
                raise ValueError(f"{config.credential_programs / one.name} is no program")
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ConfigError(f"{source}: {error}") from error
    return replace(config, credential_providers=providers)


def _files(source: Path) -> Iterator[Path]:
    yield from sorted(one for one in source.iterdir() if one.suffix in _DOCUMENTS) if source.is_dir() else [source]
