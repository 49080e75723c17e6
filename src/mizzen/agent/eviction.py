"""Defend the node: end pods before the machine runs out of memory, disk, inodes or process ids.

`choose` decides, purely; `Guard` measures and acts. Also the orderly end of all pods before the machine goes off.
Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
"""

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mizzen.agent import machineinfo
from mizzen.agent.config import Thresholds
from mizzen.agent.equipment import Equipment
from mizzen.agent.images.collection import collect_images
from mizzen.agent.life import Evicted, Life
from mizzen.agent.machineinfo import Pressure
from mizzen.agent.node import Health
from mizzen.agent.pods import Pods
from mizzen.agent.resources import requested
from mizzen.agent.restarts import grace_of
from mizzen.agent.runtime.base import Usage
from mizzen.base import log
from mizzen.machinery import quantity
from mizzen.machinery.quantity import NANO

_log = log.get("agent")
_EVERY = 10.0
_CALM_AFTER = 300.0
_CRITICAL = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Choice:
    """A pod to end, and why."""

    uid: str
    message: str


def signals(left: Pressure, thresholds: Thresholds) -> Health:
    """Which thresholds are crossed."""
    return Health(
        memory_pressure=left.memory_available < thresholds.memory_available,
        disk_pressure=left.disk_available < left.disk_size * thresholds.disk_available
        or (left.inodes > 0 and left.inodes_free < left.inodes * thresholds.inodes_available),
        pid_pressure=left.pids - left.pids_used < left.pids * thresholds.pids_available,
    )


def choose(lives: Iterable[Life], usage: Mapping[str, Usage], disk: Mapping[str, int], health: Health) -> Choice | None:
    """The pod to end next: those above their request first, then the lowest priority, then the largest excess."""
    resource = "memory" if health.memory_pressure else "ephemeral-storage" if health.disk_pressure else "pids"

    def rank(life: Life) -> tuple[bool, int, int]:
        uid = life.pod.metadata.uid
        seen = usage.get(f"pod/{uid}", Usage())
        used = {"memory": seen.working_set_bytes, "ephemeral-storage": disk.get(uid, 0), "pids": seen.pids}[resource]
        asked = requested(life.pod).get(resource, 0) // NANO
        return (used <= asked, life.pod.spec.priority or 0, -(used - asked))

    candidates = [one for one in lives if one.ending is None and not one.over and not is_critical(one)]
    if not candidates:
        return None
    worst = min(candidates, key=rank)
    return Choice(worst.pod.metadata.uid, f"The node was low on resource: {resource}. ")


def is_critical(life: Life) -> bool:
    """Whether a pod is never ended by the node: static ones and those of system priority."""
    annotations = life.pod.metadata.annotations or {}
    return (life.pod.spec.priority or 0) >= _CRITICAL or "kubernetes.io/config.mirror" in annotations


def over_storage_limit(life: Life, logs_and_layers: int, empty_dirs: Mapping[str, int]) -> str:
    """Why a pod has used more disk than it may; empty when it has not."""
    for volume in life.pod.spec.volumes or ():
        source = volume.emptyDir
        if source is None or source.sizeLimit is None or source.medium == "Memory":
            continue
        limit = quantity.in_bytes(source.sizeLimit)
        if limit and empty_dirs.get(volume.name, 0) > limit:
            return f'Usage of EmptyDir volume "{volume.name}" exceeds the limit "{source.sizeLimit}". '
    limits = [
        ((one.resources.limits if one.resources else None) or {}).get("ephemeral-storage")
        for one in life.pod.spec.containers
    ]
    if limits and all(limit is not None for limit in limits):
        total = sum(quantity.in_bytes(limit) for limit in limits if limit is not None)
        if logs_and_layers + sum(empty_dirs.values()) > total:
            return f"Pod ephemeral local storage usage exceeds the total limit of containers {total}. "
    return ""


class Guard:
    """Measures again and again; `health` is what the node's conditions say."""

    def __init__(self, tools: Equipment, pods: Pods) -> None:
        self._tools = tools
        self._pods = pods
        self._last_pressure = {"memory": -1e9, "disk": -1e9, "pid": -1e9}
        self.health = Health()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._tools.clock.sleep(_EVERY)
            await self.look()

    async def look(self) -> None:
        """Measure once, and act."""
        tools = self._tools
        now = signals(machineinfo.pressure(tools.config.root), tools.config.thresholds)
        if now.disk_pressure or tools.images.disk_use() > tools.config.thresholds.image_disk_high:
            await collect_images(tools)
        self.health = self._calmed(now)
        await self._check_storage()
        if now.memory_pressure or now.disk_pressure or now.pid_pressure:
            disk = {one.pod.metadata.uid: self._disk_of(one)[0] for one in self._pods} if now.disk_pressure else {}
            chosen = choose(self._pods, await tools.runtime.stats(), disk, now)
            if chosen is not None:
                self._evict(chosen.uid, chosen.message, 0.0)

    async def shut_down(self, grace: float, critical_grace: float) -> None:
        """End ordinary pods, wait, then the critical ones."""
        self._pods.shutting_down = True
        text = "Pod was terminated in response to imminent node shutdown."
        for critical, seconds in ((False, grace), (True, critical_grace)):
            chosen = [one for one in self._pods if ((one.pod.spec.priority or 0) >= _CRITICAL) == critical]
            for one in chosen:
                limit = min(grace_of(one.pod), seconds)
                self._pods.happen(one.pod.metadata.uid, Evicted("Terminated", text, limit))
            deadline = self._tools.clock.monotonic() + seconds + 5
            while any(not self._is_over(one) for one in chosen) and self._tools.clock.monotonic() < deadline:
                await self._tools.clock.sleep(0.05)
        for one in self._pods:
            await self._pods.statuses.flush(one.pod.metadata.uid)

    def _is_over(self, life: Life) -> bool:
        now = self._pods.find(life.pod.metadata.namespace, life.pod.metadata.name)
        return now is None or bool(now.over)

    def _calmed(self, now: Health) -> Health:
        """Pressure is reported for a while after it has passed, so that the condition does not flap."""
        clock = self._tools.clock.monotonic()
        for name, present in (("memory", now.memory_pressure), ("disk", now.disk_pressure), ("pid", now.pid_pressure)):
            if present:
                self._last_pressure[name] = clock
        recent = {name: clock - at < _CALM_AFTER for name, at in self._last_pressure.items()}
        return Health(recent["memory"], recent["disk"], recent["pid"])

    async def _check_storage(self) -> None:
        for life in self._pods:
            if life.ending is not None or life.over or not _is_limited(life):
                continue
            used, empty_dirs = await asyncio.to_thread(self._disk_of, life)
            why = over_storage_limit(life, used - sum(empty_dirs.values()), empty_dirs)
            if why:
                self._evict(life.pod.metadata.uid, why, 1.0)

    def _disk_of(self, life: Life) -> tuple[int, dict[str, int]]:
        tools, uid = self._tools, life.pod.metadata.uid
        mounted = tools.volumes.of(uid)
        empty_dirs = {
            volume.name: _size(mounted[volume.name].path)
            for volume in life.pod.spec.volumes or ()
            if volume.emptyDir is not None and volume.emptyDir.medium != "Memory" and volume.name in mounted
        }
        layers = sum(
            _size(tools.config.root / "containers" / one.id / "upper") for one in life.containers.values() if one.id
        )
        return layers + _size(tools.pod_logs(life.pod)) + sum(empty_dirs.values()), empty_dirs

    def _evict(self, uid: str, message: str, grace: float) -> None:
        life = next((one for one in self._pods if one.pod.metadata.uid == uid), None)
        if life is None:
            return
        _log.warning("pod evicted", pod=life.pod.metadata.name, why=message)
        self._tools.tell(life.pod, "Warning", "Evicted", message)
        self._pods.happen(uid, Evicted("Evicted", message, grace))


def _is_limited(life: Life) -> bool:
    spec = life.pod.spec
    if any(one.emptyDir is not None and one.emptyDir.sizeLimit is not None for one in spec.volumes or ()):
        return True
    return any(
        "ephemeral-storage" in ((one.resources.limits if one.resources else None) or {}) for one in spec.containers
    )


def _size(path: Path) -> int:
    total = 0
    for directory, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(f"{directory}/{name}").st_blocks * 512
            except OSError:
                continue
    return total
