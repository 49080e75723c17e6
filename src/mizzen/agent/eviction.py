"""Defend the node: end pods before the machine runs out of memory, disk, inodes or process ids.

`choose` decides, purely; `Guard` measures and acts. Also the orderly end of all pods before the machine goes off.
Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
"""

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from mizzen.agent import machineinfo
from mizzen.agent.diskusage import PodDisk, measured
from mizzen.agent.equipment import Equipment
from mizzen.agent.images.collection import fullness, make_room, remove_old
from mizzen.agent.life import Evicted, Life
from mizzen.agent.node import Health
from mizzen.agent.pods import Pods
from mizzen.agent.resources import CRITICAL_PRIORITY, is_critical, requested
from mizzen.agent.restarts import grace_of
from mizzen.agent.runtime.base import RuntimeFailure, Usage
from mizzen.agent.thresholds import SIGNALS, Condition, Shortage, Thresholds, crossed, explained, left_of
from mizzen.api.views.podspec import Pod
from mizzen.base import log
from mizzen.machinery import quantity
from mizzen.machinery.errors import ApiError
from mizzen.machinery.quantity import NANO
from mizzen.reconcile.plan import Note, Reference

_log = log.get("agent")
_EVERY = 10.0
_RUNTIME_EVERY, _DOWN_AFTER = 5.0, 30.0


@dataclass(frozen=True, slots=True)
class Choice:
    """A pod to end, and why."""

    uid: str
    message: str


def choose(
    lives: Iterable[Life], usage: Mapping[str, Usage], disk: Mapping[str, PodDisk], short: Shortage
) -> Choice | None:
    """The pod to end next: those above their request first, then the lowest priority, then the largest excess.

    `disk` is what they use of it, by uid.
    """

    def rank(life: Life) -> tuple[bool, int, int]:
        uid = life.pod.metadata.uid
        seen = usage.get(f"pod/{uid}", Usage())
        whole = disk.get(uid, PodDisk()).total
        used = {
            "memory": seen.working_set_bytes, "pids": seen.pids, "ephemeral-storage": whole.bytes,
            "inodes": whole.inodes,
        }[short.resource]  # fmt: skip
        asked = requested(life.pod).get(short.resource, 0) // NANO
        return (used <= asked, life.pod.spec.priority or 0, -(used - asked))

    candidates = [one for one in lives if one.ending is None and not one.over and not is_critical(one.pod)]
    if not candidates:
        return None
    worst = min(candidates, key=rank)
    text = f"The node was low on resource: {short.resource}. "
    text += f"Threshold quantity: {short.shown(short.threshold)}, available: {short.shown(short.available)}. "
    return Choice(worst.pod.metadata.uid, text + _consumers(worst, usage, disk, short))


def _consumers(life: Life, usage: Mapping[str, Usage], disk: Mapping[str, PodDisk], short: Shortage) -> str:
    """The containers that use more than they asked for."""
    if short.resource not in {"memory", "ephemeral-storage"}:
        return ""
    text = ""
    for one in life.pod.spec.containers:
        used = usage.get(life.containers[one.name].id, Usage()).working_set_bytes
        if short.resource == "ephemeral-storage":
            used = disk.get(life.pod.metadata.uid, PodDisk()).of_container(one.name)
        asked = ((one.resources.requests if one.resources is not None else None) or {}).get(short.resource, 0)
        if used > quantity.in_bytes(asked):
            text += f"Container {one.name} was using {short.shown(used)}, request is {asked}, "
            text += f"has larger consumption of {short.resource}. "
    return text


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


def to_act_on(
    shortages: Iterable[Shortage], since: Mapping[tuple[str, bool], float], thresholds: Thresholds, now: float
) -> Shortage | None:
    """The first thing that pods must go for: any hard threshold, then soft ones that were crossed for long enough."""
    seen = sorted(shortages, key=lambda one: one.soft)
    for one in seen:
        if not one.soft or now - since.get(one.key, now) >= thresholds.soft_after.get(one.signal, 0.0):
            return one
    return None


class Guard:
    """Measures again and again; `health` is what the node's conditions say."""

    def __init__(self, tools: Equipment, pods: Pods) -> None:
        self._tools = tools
        self._pods = pods
        self._began = tools.clock.now()
        self._since: dict[tuple[str, bool], float] = {}
        """When each threshold that is crossed was first seen to be."""
        self._last: dict[Condition, float] = {}
        """When each condition held last."""
        self._is_full = False
        """Images take too much of their disk although all unused ones are gone."""
        self.health = Health()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._tools.clock.sleep(_EVERY)
            await self.look()

    async def follow_runtime(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Have the node not ready for as long as its containers' runtime is not, until cancelled."""
        clock = self._tools.clock
        heard = clock.monotonic()
        while True:
            await clock.sleep(_RUNTIME_EVERY)
            try:
                trouble = await self._tools.runtime.trouble()
                heard = clock.monotonic()
            except RuntimeFailure as error:
                if clock.monotonic() - heard < _DOWN_AFTER:
                    continue
                trouble = "container runtime is down"
                _log.warning(trouble, error=error.message)
            if trouble != self.health.not_ready and not self._pods.shutting_down:
                self.health = replace(self.health, not_ready=trouble)
                with contextlib.suppress(ApiError, ConnectionError, TimeoutError):  # it is told later then
                    await changed()

    def measure(self) -> tuple[Shortage, ...]:
        """See what the node is short of, and say so; answers the thresholds that are crossed."""
        tools, now = self._tools, self._tools.clock.monotonic()
        thresholds, root = tools.config.thresholds, tools.config.root
        left = left_of(machineinfo.pressure(root), machineinfo.image_pressure(root, tools.images.disk()))
        short = crossed(left, thresholds, frozenset(self._since))
        self._since = {one.key: self._since.get(one.key, now) for one in short}
        worst: dict[Condition, Shortage] = {}
        for one in short:
            worst.setdefault(SIGNALS[one.signal][1], one)
        self._last |= dict.fromkeys(worst, now)
        recent = {name for name, at in self._last.items() if name in worst or now - at < thresholds.calm_after}
        because: dict[str, str] = dict.fromkeys(
            recent, f"enough is free again, and the condition ends once that has lasted {thresholds.calm_after:g} s"
        )
        because |= explained(worst, str(root))
        self.health = Health(
            "MemoryPressure" in recent, "DiskPressure" in recent, "PIDPressure" in recent, self.health.not_ready,
            because,
        )  # fmt: skip
        self._pods.pressure = pressures(self.health)
        return short

    async def look(self) -> None:
        """Measure once, and act."""
        tools, thresholds = self._tools, self._tools.config.thresholds
        self._pods.weigh()
        short = self.measure()
        disk_is_short = any(SIGNALS[one.signal][1] == "DiskPressure" for one in short)
        await remove_old(tools, self._began)
        if disk_is_short or fullness(tools.images.disk()) > thresholds.image_disk_high:
            await make_room(tools)
            short = self.measure()
        self._tell_of_images(fullness(tools.images.disk()))
        await self._check_storage()
        must = to_act_on(short, self._since, thresholds, tools.clock.monotonic())
        if must is None:
            return
        self._tell_node("Warning", "EvictionThresholdMet", f"Attempting to reclaim {must.resource}")
        disk = await self._disk() if must.resource in {"ephemeral-storage", "inodes"} else {}
        chosen = choose(self._pods, await tools.runtime.stats(), disk, must)
        life = self._find(chosen.uid) if chosen is not None else None
        if chosen is not None and life is not None:
            grace = min(thresholds.longest_grace, grace_of(life.pod)) if must.soft else 0.0
            self._evict(chosen.uid, chosen.message, grace)
            self._pods.measures.evicted(must.signal)

    def _tell_of_images(self, used: float) -> None:
        """Say it once when the removal of unused images did not help."""
        was_full, self._is_full = self._is_full, used > self._tools.config.thresholds.image_disk_high
        if self._is_full and not was_full:
            text = f"Insufficient free disk space on the node's image filesystem ({used:.0%} used). Failed to free"
            text += " sufficient space by deleting unused images. Consider resizing the disk or deleting unused files."
            self._tell_node("Warning", "FreeDiskSpaceFailed", text)

    def _tell_node(self, kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        name = self._tools.config.node_name
        self._tools.events.record(Note(Reference("v1", "Node", "", name, name), reason, message, kind))

    async def shut_down(self, graces: Mapping[int, float]) -> None:
        """End pods by their priority, the lowest first; each stage has its seconds."""
        self.announce_shutdown()
        text = "Pod was terminated in response to imminent node shutdown."
        for priority, seconds in sorted(graces.items()):
            chosen = [one for one in self._pods if stage_of(one.pod, graces) == priority]
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

    async def _disk(self) -> dict[str, PodDisk]:
        """What every pod uses now, by uid."""
        return await measured(self._tools, list(self._pods))

    async def _check_storage(self) -> None:
        limited = [one for one in self._pods if one.ending is None and not one.over and _is_limited(one)]
        disks = await measured(self._tools, limited)
        for life in limited:
            disk = disks[life.pod.metadata.uid]
            used = {one.name: disk.of_container(one.name) for one in life.containers.values()}
            empty_dirs = {name: volume.bytes for name, volume in disk.empty_dirs.items()}
            why = over_storage_limit(life, used, empty_dirs)
            if why:
                self._evict(life.pod.metadata.uid, why, 1.0)

    def _find(self, uid: str) -> Life | None:
        return next((one for one in self._pods if one.pod.metadata.uid == uid), None)

    def _evict(self, uid: str, message: str, grace: float) -> None:
        life = self._find(uid)
        if life is None:
            return
        _log.warning("pod evicted", pod=life.pod.metadata.name, why=message)
        self._tools.tell(life.pod, "Warning", "Evicted", message)
        self._pods.happen(uid, Evicted("Evicted", message, grace))


def stage_of(pod: Pod, graces: Iterable[int]) -> int:
    """The priority from which on a pod counts to a stage of the shutdown; the lowest stage takes what is below it."""
    own = CRITICAL_PRIORITY if is_critical(pod) else pod.spec.priority or 0
    return max((one for one in graces if one <= own), default=min(graces))


def _is_limited(life: Life) -> bool:
    spec = life.pod.spec
    if any(one.emptyDir is not None and one.emptyDir.sizeLimit is not None for one in spec.volumes or ()):
        return True
    return any(
        "ephemeral-storage" in ((one.resources.limits if one.resources else None) or {}) for one in spec.containers
    )
