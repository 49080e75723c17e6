"""fsGroup: a volume belongs to a group of the pod's own choosing, recursively, once."""

import os
import stat
from pathlib import Path


def give_to_group(directory: Path, group: int, *, only_if_root_differs: bool) -> None:
    """Let a group own a tree: group ownership, group permissions like the owner's, set-group-id on directories."""
    directory = directory.resolve()
    seen = directory.stat()
    has_bits = stat.S_IMODE(seen.st_mode) & 0o2070 == 0o2070
    if only_if_root_differs and seen.st_gid == group and has_bits:
        return
    for _, directories, names, parent in os.fwalk(directory):
        for name in (*directories, *names):
            _give(name, group, parent)
    _give(str(directory), group)


def _give(path: str, group: int, parent: int | None = None) -> None:
    """Of whoever shares the volume nobody can put a link in the way: what is looked at is what is changed."""
    try:
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except FileNotFoundError:  # it went meanwhile
        return
    try:
        seen = os.fstat(fd)
        if stat.S_ISLNK(seen.st_mode):
            os.chown(path, -1, group, dir_fd=parent, follow_symlinks=False)
            return
        mode = stat.S_IMODE(seen.st_mode) | (0o2770 if stat.S_ISDIR(seen.st_mode) else 0o660)
        os.chown(f"/proc/self/fd/{fd}", -1, group)
        Path(f"/proc/self/fd/{fd}").chmod(mode)
    finally:
        os.close(fd)
