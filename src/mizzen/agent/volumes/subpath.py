"""subPath mounts that no symbolic link can lead out of the volume.

A path that leads out is refused. It is opened beneath the volume's root by the kernel, whatever was put in its place
meanwhile, and what was opened is bound, not what the name says later.
"""

import contextlib
import os
import stat
from pathlib import Path

from mizzen.agent.runtime import syscalls


def bind_subpath(volume: Path, sub: str, target: Path) -> None:
    """Bind `volume/sub` (made as a directory like the volume's own when absent) on `target`.

    Raises: OSError, ValueError.
    """
    parts = [part for part in sub.split("/") if part not in {"", "."}]
    if ".." in parts or sub.startswith("/"):
        raise ValueError(f"subPath {sub!r} must not contain '..' nor be absolute")
    if volume.is_file():
        raise ValueError(f"subPath {sub!r}: the volume is a file")
    parts = _within(volume, parts)
    root = os.open(volume, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _make_directories(root, parts)
        fd = syscalls.open_in_root(root, "/".join(parts) or ".", os.O_PATH)
    finally:
        os.close(root)
    try:
        is_directory = Path(f"/proc/self/fd/{fd}").is_dir()
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.mkdir() if is_directory else target.touch()
        syscalls.mount(f"/proc/self/fd/{fd}", str(target), "", syscalls.MS_BIND | syscalls.MS_REC)
    finally:
        os.close(fd)


def _within(volume: Path, parts: list[str]) -> list[str]:
    """The same place without symbolic links. Raises ValueError, OSError (a loop of links)."""
    top = volume.resolve()
    place = top.joinpath(*parts).resolve()
    if not place.is_relative_to(top):
        raise ValueError(f"subPath {'/'.join(parts)!r} leads out of the volume, to {place}")
    return list(place.relative_to(top).parts)


def _make_directories(root: int, parts: list[str]) -> None:
    # Whoever may write into the volume may write here: containers do not all run as root.
    mode = stat.S_IMODE(os.fstat(root).st_mode)
    for depth in range(1, len(parts) + 1):
        path = "/".join(parts[:depth])
        try:
            os.close(syscalls.open_in_root(root, path, os.O_PATH))
        except FileNotFoundError:
            above = "/".join(parts[: depth - 1]) or "."
            directory = syscalls.open_in_root(root, above, os.O_RDONLY | os.O_DIRECTORY)
            try:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(parts[depth - 1], 0o750, dir_fd=directory)
                    _set_mode(directory, parts[depth - 1], mode)
            finally:
                os.close(directory)


def _set_mode(above: int, name: str, mode: int) -> None:
    # by what was opened: a container may have put a link in its place
    made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    try:
        os.fchmod(made, mode)
    finally:
        os.close(made)
