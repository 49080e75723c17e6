"""How full a volume is, in the words of the node's summary."""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from mizzen.agent.volumes.aside import aside
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


class FileSystems:
    """Asks file systems how full they are, and bears with one that does not answer: its server may be gone."""

    def __init__(self, ask: Callable[[Path], dict[str, int]] = of_file_system, patience: float = 1) -> None:
        self._ask, self._patience = ask, patience
        self._asked: dict[Path, asyncio.Future[dict[str, int]]] = {}

    async def of(self, path: Path) -> dict[str, int]:
        """The numbers of a file system; nothing when they do not come in time. It is not asked twice at once."""
        asked = self._asked.get(path)
        if asked is None:
            asked = self._asked[path] = aside(lambda: self._ask(path))
            asked.add_done_callback(lambda _: self._asked.pop(path))
        done, _ = await asyncio.wait((asked,), timeout=self._patience)
        return asked.result() if done else {}


def by_driver(told: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """What a storage driver answers."""
    return {shown: one[name] for one in told for name, shown in _NAMES.get(one["unit"], {}).items()}
