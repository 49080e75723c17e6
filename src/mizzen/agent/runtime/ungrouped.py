"""What stands for control groups where an ordinary user has none: nothing limits, but processes are known and measured.

A container's processes are those whose root file system is its overlay; no process can leave that.
"""

import contextlib
import os
import re
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mizzen.agent.runtime.base import Limits, Usage

_CONTAINER: Final = re.compile(r"[0-9a-f]{64}")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class Ungrouped:
    """The containers below `root`; a group is `PARENT/podUID/CONTAINER`, as it would be with control groups."""

    root: Path
    parent: str

    def pod(self, qos: str, uid: str) -> str:
        return f"{self.parent}/pod{uid}"

    def make(self, group: str, limits: Limits) -> None:
        """There is nothing to make, and nothing that could limit."""

    def limit(self, group: str, limits: Limits) -> None:
        """Nothing can limit."""

    def move(self, group: str, pid: int) -> None:
        """There is nowhere to move it."""

    def was_oom_killed(self, group: str) -> bool:
        return False

    def remove(self, group: str) -> None:
        if self.members(group):
            raise OSError(f"processes live in {group}")

    def members(self, group: str) -> set[int]:
        marks = [_mark(name) for name in self._containers(group)]
        if not marks:
            return set()
        found: dict[str, bool] = {}
        pids = set()
        for entry in _PROC.glob("[0-9]*"):
            with contextlib.suppress(OSError):
                mounts = (entry / "ns" / "mnt").readlink().name
                if mounts not in found:
                    seen = _root_mount(entry)
                    found[mounts] = any(mark in seen for mark in marks)
                if found[mounts]:
                    pids.add(int(entry.name))
        return pids

    def holds(self, group: str, pid: int) -> bool:
        if not pid:
            return False
        try:
            if _CONTAINER.fullmatch(group.rpartition("/")[2]):
                return _mark(group.rpartition("/")[2]) in _root_mount(_PROC / str(pid)) and not _is_zombie(pid)
            # The first process of a pod's shared process namespace: it is number 1 there.
            status = (_PROC / str(pid) / "status").read_text()
            return any(line.startswith("NSpid:") and line.split()[-1] == "1" for line in status.splitlines())
        except OSError:
            return False

    def usage(self, group: str, *, brief: bool = False) -> Usage:
        seconds, memory, pids = 0.0, 0, 0
        for pid in self.members(group):
            with contextlib.suppress(OSError):
                fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
                seconds += sum(map(int, fields[11:15])) / _TICKS
                memory += int(fields[21]) * resource.getpagesize()
                pids += 1
        return Usage(cpu_seconds=seconds, memory_bytes=memory, working_set_bytes=memory, rss_bytes=memory, pids=pids)

    def _containers(self, group: str) -> list[str]:
        """The ids of the containers in a group: one, a pod's, or all."""
        leaf = group.rpartition("/")[2]
        if _CONTAINER.fullmatch(leaf):
            return [leaf]
        inside = f'"{group}/'.encode()
        found = []
        for record in (self.root / "containers").glob("*/record.json"):
            with contextlib.suppress(OSError):
                if inside in record.read_bytes():
                    found.append(record.parent.name)
        return found


def _mark(container: str) -> str:
    return f"/containers/{container}/upper"


def _root_mount(process: Path) -> str:
    """How the root file system of a process is mounted."""
    for line in (process / "mountinfo").read_text().splitlines():
        if line.split(" ", 5)[4] == "/":
            return line
    return ""


def _is_zombie(pid: int) -> bool:
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] in {"Z", "X"}
