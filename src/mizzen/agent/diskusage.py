"""How much of the node's disk a pod uses: the writable layers of its containers, their logs, its empty directories."""

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mizzen.agent.equipment import Equipment
from mizzen.agent.life import Life

_FRESH = 60.0
"""Seconds for which statistics take an earlier look for good: it visits every file."""


@dataclass(frozen=True, slots=True)
class Used:
    """Bytes as the file system counts them, and inodes."""

    bytes: int = 0
    inodes: int = 0

    def __add__(self, other: "Used") -> "Used":
        return Used(self.bytes + other.bytes, self.inodes + other.inodes)


@dataclass(frozen=True, slots=True)
class PodDisk:
    """What one pod uses, by container and by volume."""

    layers: Mapping[str, Used] = field(default_factory=dict)
    logs: Mapping[str, Used] = field(default_factory=dict)
    empty_dirs: Mapping[str, Used] = field(default_factory=dict)

    @property
    def total(self) -> Used:
        """Everything together."""
        parts = (*self.layers.values(), *self.logs.values(), *self.empty_dirs.values())
        return sum(parts, Used())

    def of_container(self, name: str) -> int:
        """Bytes that count against the limit of a container."""
        return (self.layers.get(name, Used()) + self.logs.get(name, Used())).bytes


def measured(tools: Equipment, life: Life) -> PodDisk:
    """Look at every file of a pod; slow, for a thread."""
    mounted = tools.volumes.of(life.pod.metadata.uid)
    containers = life.containers.values()
    return PodDisk(
        {one.name: tree(tools.config.root / "containers" / one.id / "upper") for one in containers if one.id},
        {one.name: tree(tools.pod_logs(life.pod) / one.name) for one in containers},
        {
            volume.name: tree(mounted[volume.name].path)
            for volume in life.pod.spec.volumes or ()
            if volume.emptyDir is not None and volume.emptyDir.medium != "Memory" and volume.name in mounted
        },
    )


def tree(top: Path) -> Used:
    """Everything below a directory; nothing when there is none."""
    used = inodes = 0
    for directory, _, names in os.walk(top):
        inodes += 1
        for name in names:
            try:
                seen = os.lstat(f"{directory}/{name}")
            except OSError:
                continue
            used += seen.st_blocks * 512
            inodes += 1
    return Used(used, inodes)


class Disks:
    """What all pods use, looked at now and then."""

    def __init__(self, tools: Equipment) -> None:
        self._tools = tools
        self._known: dict[str, tuple[float, tuple[str, ...], PodDisk]] = {}

    async def of(self, lives: Iterable[Life]) -> Mapping[str, PodDisk]:
        """By uid, not older than a minute, and of the containers that there are now."""
        now = self._tools.clock.monotonic()
        known = {}
        for life in lives:
            uid, ids = life.pod.metadata.uid, tuple(one.id for one in life.containers.values())
            at, of_ids, disk = self._known.get(uid, (0.0, (), PodDisk()))
            if of_ids != ids or now - at >= _FRESH:
                at, disk = now, await asyncio.to_thread(measured, self._tools, life)
            known[uid] = (at, ids, disk)
        self._known = known
        return {uid: disk for uid, (_, _, disk) in known.items()}
