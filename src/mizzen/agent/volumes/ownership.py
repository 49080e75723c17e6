"""fsGroup: a volume belongs to a group of the pod's own choosing, recursively, once."""

import os
import stat
from pathlib import Path


def give_to_group(directory: Path, group: int, *, only_if_root_differs: bool) -> None:
    """Let a group own a tree: group ownership, group permissions like the owner's, set-group-id on directories."""
    seen = directory.stat()
    has_bits = stat.S_IMODE(seen.st_mode) & 0o2070 == 0o2070
    if only_if_root_differs and seen.st_gid == group and has_bits:
        return
    for parent, directories, names in os.walk(directory):
        for name in (*directories, *names):
            _give(f"{parent}/{name}", group)
    _give(str(directory), group)


def _give(path: str, group: int) -> None:
    seen = os.lstat(path)
    os.chown(path, -1, group, follow_symlinks=False)
    if stat.S_ISLNK(seen.st_mode):
        return
    mode = stat.S_IMODE(seen.st_mode) | 0o660
    if stat.S_ISDIR(seen.st_mode):
        mode |= 0o2110
    Path(path).chmod(mode)
