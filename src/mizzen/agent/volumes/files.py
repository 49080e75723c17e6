"""Publish a set of files so that readers see either all of the old ones or all of the new ones.

The files live in a fresh directory per version; `..data` leads to the current one, and each name to `..data/name`.
"""

import contextlib
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_DATA, _FRESH = "..data", "..data_tmp"


@dataclass(frozen=True, slots=True)
class File:
    """One file's content and permission bits; `owner` when it belongs to a user of its own."""

    data: bytes
    mode: int
    owner: int | None = None


def publish(directory: Path, files: Mapping[str, File], version: str, group: int | None = None) -> bool:
    """Make the directory hold exactly these files (relative paths); answers whether anything changed.

    `version` names the new directory: it must differ from one call to the next. `group` owns the files (fsGroup).
    Raises: ValueError for a path that leads out of the directory.
    """
    for path in files:
        if path.startswith("/") or ".." in path.split("/") or path.startswith("..") or not path:
            raise ValueError(f"invalid path {path!r}")
    current = directory / _DATA
    if current.is_symlink() and _same(directory / current.readlink(), files):
        return False
    target = directory / f"..{version}"
    target.mkdir()
    target.chmod(0o755)
    for path, file in files.items():
        _write(target, path, file, group)
    if group is not None:
        for place in (directory, target, *(one for one in target.rglob("*") if one.is_dir())):
            os.chown(place, -1, group)
            place.chmod(stat.S_IMODE(place.stat().st_mode) | 0o2110)
    old = directory / current.readlink() if current.is_symlink() else None
    with contextlib.suppress(FileNotFoundError):
        (directory / _FRESH).unlink()
    (directory / _FRESH).symlink_to(target.name)
    (directory / _FRESH).rename(current)
    _link_names(directory, {path.split("/")[0] for path in files})
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
    return True


def _write(target: Path, path: str, file: File, group: int | None) -> None:
    place = target / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(file.data)
    mode = file.mode
    if group is not None:
        os.chown(place, -1, group)
        mode |= 0o440 if mode & 0o400 else 0
    if file.owner is not None:
        os.chown(place, file.owner, -1)
    place.chmod(mode)


def _link_names(directory: Path, wanted: set[str]) -> None:
    for entry in directory.iterdir():
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in wanted:
            entry.unlink()
    for name in wanted:
        link = directory / name
        if not link.is_symlink():
            link.symlink_to(f"{_DATA}/{name}")


def _same(present: Path, files: Mapping[str, File]) -> bool:
    found = {str(path.relative_to(present)): path for path in present.rglob("*") if path.is_file()}
    if found.keys() != files.keys():
        return False
    return all(
        found[path].read_bytes() == file.data and (found[path].stat().st_mode & file.mode) == file.mode
        for path, file in files.items()
    )
