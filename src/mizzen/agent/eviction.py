"""Defend the node: end pods before the machine runs out of memory, disk, inodes or process ids.

`choose` decides, purely; `Guard` measures and acts. Also the orderly end of all pods before the machine goes off.
Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from mizzen.agent import admission, machineinfo
from mizzen.agent.config import Thresholds
from mizzen.agent.diskusage import measured
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
from mizzen.machinery.quantity import NANO, Format, Quantity

_log = log.get("agent")
_EVERY = 10.0
_CALM_AFTER = 300.0


@dataclass(frozen=True, slots=True)
class Shortage:
    """What the node is short of: how much should be left of it, and how much is; bytes or counts."""

    resource: Literal["memory", "ephemeral-storage", "inodes", "pids"]
    threshold: int
    available: int


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


def shortage(left: Pressure, thresholds: Thresholds) -> Shortage | None:
    """The first threshold that is crossed: memory, then disk, then process ids."""
    limits = (
        Shortage("memory", thresholds.memory_available, left.memory_available),
        Shortage("ephemeral-storage", int(left.disk_size * thresholds.disk_available), left.disk_available),
        Shortage("inodes", int(left.inodes * thresholds.inodes_available), left.inodes_free),
        Shortage("pids", int(left.pids * thresholds.pids_available), left.pids - left.pids_used),
    )
    return next((one for one in limits if one.available < one.threshold), None)


def choose(
    lives: Iterable[Life], usage: Mapping[str, Usage], disk: Mapping[str, int], short: Shortage
) -> Choice | None:
    """The pod to end next: those above their request first, then the lowest priority, then the largest excess.

    `disk` is bytes by pod uid.
    """

    def rank(life: Life) -> tuple[bool, int, int]:
        uid = life.pod.metadata.uid
        seen = usage.get(f"pod/{uid}", Usage())
        used = {"memory": seen.working_set_bytes, "pids": seen.pids}.get(short.resource, disk.get(uid, 0))
        asked = requested(life.pod).get(short.resource, 0) // NANO
        return (used <= asked, life.pod.spec.priority or 0, -(used - asked))

    candidates = [one for one in lives if one.ending is None and not one.over and not is_critical(one)]
    if not candidates:
        return None
    worst = min(candidates, key=rank)
    text = f"The node was low on resource: {short.resource}. "
    text += f"Threshold quantity: {_shown(short.threshold, short)}, available: {_shown(short.available, short)}. "
    return Choice(worst.pod.metadata.uid, text + _consumers(worst, usage, short))


def _consumers(life: Life, usage: Mapping[str, Usage], short: Shortage) -> str:
    """The containers that use more memory than they asked for."""
    if short.resource != "memory":
        return ""
    text = ""
    for one in life.pod.spec.containers:
        used = usage.get(life.containers[one.name].id, Usage()).working_set_bytes
        asked = (one.resources.requests if one.resources is not None else None) or {}
        if used > quantity.in_bytes(asked.get("memory", 0)):
            text += f"Container {one.name} was using {_shown(used, short)}, request is {asked.get('memory', 0)}, "
            text += "has larger consumption of memory. "
    return text


def _shown(amount: int, short: Shortage) -> str:
    counted = short.resource in {"pids", "inodes"}
    return str(amount) if counted else str(Quantity(amount * NANO, Format.BINARY))


def is_critical(life: Life) -> bool:
    """Whether a pod is never ended by the node: static ones and those of system priority."""
    return admission.is_critical(life.pod)


def over_storage_limit(life: Life, used: Mapping[str, int], empty_dirs: Mapping[str, int]) -> str:
    """Why a pod has used more disk than it may; empty when it has not.

    `used` is the bytes of logs and writable layers by container, `empty_dirs` those of volumes.
    """
    for volume in life.pod.spec.volumes or ():
        source = volume.emptyDir
        if source is None or source.sizeLimit is None or source.medium == "Memory":
            continue
        limit = quantity.in_bytes(source.sizeLimit)
        if limit and empty_dirs.get(volume.name, 0) > limit:
            return f'Usage of EmptyDir volume "{volume.name}" exceeds the limit "{source.sizeLimit}". '
    every = {one.name: (one.resources.limits if one.resources else None) or {} for one in life.pod.spec.containers}
    limits = {name: str(own["ephemeral-storage"]) for name, own in every.items() if "ephemeral-storage" in own}
    total = "0"
    for own in limits.values():
        total = quantity.add(total, own)
    if limits and sum(used.values()) + sum(empty_dirs.values()) > quantity.in_bytes(total):
        return f"Pod ephemeral local storage usage exceeds the total limit of containers {total}. "
    for name, own in limits.items():
        if used.get(name, 0) > quantity.in_bytes(own):
            return f'Container {name} exceeded its local ephemeral storage limit "{own}". '
    return ""


def pressures(health: Health) -> tuple[str, ...]:
    """The conditions that keep pods away."""
    claims = (
        ("MemoryPressure", health.memory_pressure),
        ("DiskPressure", health.disk_pressure),
        ("PIDPressure", health.pid_pressure),
    )
    return tuple(name for name, holds in claims if holds)


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
        left = machineinfo.pressure(tools.config.root)
        now = signals(left, tools.config.thresholds)
        if now.disk_pressure or tools.images.disk_use() > tools.config.thresholds.image_disk_high:
            await collect_images(tools)
        self.health = self._calmed(now)
        self._pods.pressure = pressures(self.health)
        await self._check_storage()
        short = shortage(left, tools.config.thresholds)
        if short is not None:
            disk = await self._disk() if now.disk_pressure else {}
            chosen = choose(self._pods, await tools.runtime.stats(), disk, short)
            if chosen is not None:
                self._evict(chosen.uid, chosen.message, 0.0)

    async def shut_down(self, grace: float, critical_grace: float) -> None:
        """End ordinary pods, wait, then the critical ones."""
        self.announce_shutdown()
        text = "Pod was terminated in response to imminent node shutdown."
        for critical, seconds in ((False, grace), (True, critical_grace)):
            chosen = [one for one in self._pods if is_critical(one) == critical]
            for one in chosen:
                limit = min(grace_of(one.pod), seconds)
                self._pods.happen(one.pod.metadata.uid, Evicted("Terminated", text, limit))
            deadline = self._tools.clock.monotonic() + seconds + 5
            while any(not self._is_over(one) for one in chosen) and self._tools.clock.monotonic() < deadline:
                await self._tools.clock.sleep(0.05)
        for one in self._pods:
            await self._pods.statuses.flush(one.pod.metadata.uid)

    def announce_shutdown(self) -> None:
        """From now on the node is not ready, and takes no pods."""
        self._pods.shutting_down = True
        self.health = replace(self.health, not_ready="node is shutting down")

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
        return Health(recent["memory"], recent["disk"], recent["pid"], self.health.not_ready)

    async def _disk(self) -> dict[str, int]:
        """Bytes by uid of pod."""
        found = {}
        for life in self._pods:
            found[life.pod.metadata.uid] = (await asyncio.to_thread(measured, self._tools, life)).total.bytes
        return found

    async def _check_storage(self) -> None:
        for life in self._pods:
            if life.ending is not None or life.over or not _is_limited(life):
                continue
            disk = await asyncio.to_thread(measured, self._tools, life)
            used = {one.name: disk.of_container(one.name) for one in life.containers.values()}
            empty_dirs = {name: volume.bytes for name, volume in disk.empty_dirs.items()}
            why = over_storage_limit(life, used, empty_dirs)
            if why:
                self._evict(life.pod.metadata.uid, why, 1.0)

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
