"""How full a volume is, in the words of the node's summary."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from mizzen.wire import csi

_NAMES = {
    csi.BYTES: {"available": "availableBytes", "total": "capacityBytes", "used": "usedBytes"},
    csi.INODES: {"available": "inodesFree", "total": "inodes", "used": "inodesUsed"},
}


def of_file_system(path: Path) -> dict[str, int]:
    """The file system that a volume is on; nothing when it does not answer."""
    try:
        seen = os.statvfs(path)
    except OSError:
        return {}
    return {
        "availableBytes": seen.f_bavail * seen.f_frsize,
        "capacityBytes": seen.f_blocks * seen.f_frsize,
        "usedBytes": (seen.f_blocks - seen.f_bfree) * seen.f_frsize,
        "inodesFree": seen.f_ffree,
        "inodes": seen.f_files,
        "inodesUsed": seen.f_files - seen.f_ffree,
    }


def by_driver(told: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """What a storage driver answers."""
    return {shown: one[name] for one in told for name, shown in _NAMES.get(one["unit"], {}).items()}
