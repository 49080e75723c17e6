"""A cluster in one file, written while it runs, and back again: the store, the keys, and what it is made of."""

import contextlib
import io
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mizzen.cluster import supervision
from mizzen.cluster.config import ConfigError
from mizzen.store import files
from mizzen.store.base import StoreFull, Unusable

STORE: Final = "store.db"
_KEPT: Final = ("authentication.yaml", "cluster.json", "encryption.key", "encryption.yaml", "pki")
"""What belongs to the store: without its keys it cannot be read, without the CA's no client is known."""
_REVISION_GAP: Final = 1_000_000


def backup(data_dir: Path, target: Path) -> int:
    """Write the cluster to a new file that only its owner may read; answers its bytes. Raises ConfigError."""
    if not (data_dir / STORE).exists():
        raise ConfigError(f"there is no cluster in {data_dir}")
    if target.exists():
        raise ConfigError(f"{target} exists already")
    with tempfile.TemporaryDirectory(dir=data_dir) as scratch, _or_nothing(target):
        copied = Path(scratch) / STORE
        files.copy(data_dir / STORE, copied)
        written = io.FileIO(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")
        with written, tarfile.open(fileobj=written, mode="w:gz", compresslevel=1) as archive:
            archive.add(copied, STORE)
            for name in _KEPT:
                if (data_dir / name).exists():
                    archive.add(data_dir / name, name)
    return target.stat().st_size


def restore(source: Path, data_dir: Path) -> Path | None:
    """Put the cluster of a backup into a directory; answers where what was there is kept. Raises ConfigError."""
    if supervision.runs(data_dir / "run" / "server.json"):
        raise ConfigError("the cluster runs; end it first: mizzen down")
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=data_dir) as scratch:
        unpacked = Path(scratch)
        _unpack(source, unpacked)
        aside = _set_aside(data_dir)
        for found in unpacked.iterdir():
            found.rename(data_dir / found.name)
    files.forget_history(data_dir / STORE, _REVISION_GAP)
    return aside


@contextlib.contextmanager
def _or_nothing(target: Path) -> Iterator[None]:
    """Leave no half of a backup behind. Raises ConfigError."""
    try:
        yield
    except (OSError, Unusable, StoreFull) as error:
        target.unlink(missing_ok=True)
        raise ConfigError(f"no backup could be made: {error}") from error


def _unpack(source: Path, target: Path) -> None:
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                _extract(archive, member, target)
    except (OSError, tarfile.TarError) as error:
        raise ConfigError(f"{source} cannot be read: {error}") from error
    if not (target / STORE).exists():
        raise ConfigError(f"{source} is no backup of a cluster: it holds no {STORE}")


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    """Write one file of those that a backup holds; whatever else an archive may hold is left in it."""
    parts = Path(member.name).parts
    content = archive.extractfile(member) if member.isfile() else None
    if content is None or parts[0] not in (STORE, *_KEPT) or ".." in parts:
        return
    path = target.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with io.FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as written:
        shutil.copyfileobj(content, written)


def _set_aside(data_dir: Path) -> Path | None:
    """Move what the backup replaces into a directory of its own."""
    names = (STORE, f"{STORE}-wal", f"{STORE}-shm", *_KEPT)
    present = [data_dir / name for name in names if (data_dir / name).exists()]
    if not present:
        return None
    aside = data_dir / time.strftime("before-restore-%Y%m%dT%H%M%S")
    aside.mkdir(mode=0o700)
    for path in present:
        path.rename(aside / path.name)
    return aside
