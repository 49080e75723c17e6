"""How much of the node's disk a pod uses: the writable layers of its containers, their logs, its empty directories."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mizzen.agent.equipment import Equipment
from mizzen.agent.life import Life
from mizzen.agent.runtime.base import Used
from mizzen.agent.runtime.disk import tree

_FRESH = 60.0
"""Seconds for which statistics take an earlier look for good: it visits every file."""


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


async def measured(tools: Equipment, lives: Sequence[Life]) -> dict[str, PodDisk]:
    """What each of these pods uses, by uid: every file of them is looked at."""
    if not lives:
        return {}
    ids = [one.id for life in lives for one in life.containers.values() if one.id]
    layers = await tools.runtime.layers(ids)
    return {life.pod.metadata.uid: await asyncio.to_thread(_measured, tools, life, layers) for life in lives}


def _measured(tools: Equipment, life: Life, layers: Mapping[str, Used]) -> PodDisk:
    mounted = tools.volumes.of(life.pod.metadata.uid)
    containers = life.containers.values()
    return PodDisk(
        {one.name: layers[one.id] for one in containers if one.id in layers},
        {one.name: tree(tools.pod_logs(life.pod) / one.name) for one in containers},
        {
            volume.name: tree(mounted[volume.name].path)
            for volume in life.pod.spec.volumes or ()
            if volume.emptyDir is not None and volume.emptyDir.medium != "Memory" and volume.name in mounted
        },
    )


class Disks:
    """What all pods use, looked at now and then."""

    def __init__(self, tools: Equipment) -> None:
        self._tools = tools
        self._known: dict[str, tuple[float, tuple[str, ...], PodDisk]] = {}

    async def of(self, lives: Iterable[Life]) -> Mapping[str, PodDisk]:
        """By uid, not older than a minute, and of the containers that there are now."""
        now = self._tools.clock.monotonic()
        present = {life.pod.metadata.uid: (life, tuple(one.id for one in life.containers.values())) for life in lives}
        self._known = {uid: known for uid, known in self._known.items() if uid in present}
        stale = [
            life
            for uid, (life, ids) in present.items()
            if uid not in self._known or self._known[uid][1] != ids or now - self._known[uid][0] >= _FRESH
        ]
        found = await measured(self._tools, stale)
        self._known |= {uid: (now, present[uid][1], disk) for uid, disk in found.items()}
        return {uid: disk for uid, (_, _, disk) in self._known.items()}
