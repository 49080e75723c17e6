"""subPath mounts that no symbolic link can lead out of the volume.

The path is opened beneath the volume's root by the kernel, and what was opened is bound, not what the name says later.
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
                    os.chmod(parts[depth - 1], mode, dir_fd=directory)
            finally:
                os.close(directory)
