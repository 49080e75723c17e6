"""The shell around the pods' lives: events in, decisions by `lifecycle`, instructions out as tasks.

One slot per pod. Whatever happens to a pod goes through `happen`, so its life never sees two things at once.
"""

import asyncio
import contextlib
import shutil
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mizzen.agent import admission, life, lifecycle, loglinks, messages, podstatus, preemption, revival, sandboxes
from mizzen.agent.carry import carry_out, failed, sources_of
from mizzen.agent.env import references
from mizzen.agent.equipment import Equipment
from mizzen.agent.life import Happening, Instruction, Life, Termination
from mizzen.agent.measures import Measures, has_begun
from mizzen.agent.podstatus import Shown
from mizzen.agent.probes import Prober
from mizzen.agent.resources import is_critical, node_limits, tier_limits
from mizzen.agent.restarts import amounts_of, grace_of
from mizzen.agent.runtime.base import ContainerSeen, Limits, Observed, RuntimeFailure
from mizzen.agent.status import StatusWriter, Wanted
from mizzen.agent.volumes import teardown
from mizzen.agent.volumes.kinds import ResizeFailure, VolumeFailure
from mizzen.agent.volumes.projected import bundles, needs
from mizzen.api.views.podspec import Pod
from mizzen.base import log
from mizzen.client.client import Resource
from mizzen.client.resources import CONFIG_MAPS, NODES, SECRETS
from mizzen.machinery.errors import ApiError

_log = log.get("agent")
_KINDS = {CONFIG_MAPS: 0, SECRETS: 1}
"""Which of the two sets of names that a container or a volume needs is of the resource."""
_DRIVERS_EVERY = 15.0
_WEIGH_EVERY = 1.0
"""Seconds: of many pods at once only the first is weighed at once, and the others when the node looks around."""


@dataclass(slots=True)
class _Slot:
    life: Life
    known: Mapping[str, Any]
    """The status that the API is known to hold."""
    written: Mapping[str, Any] | None = None
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    timer: "asyncio.Task[None] | None" = None
    timer_at: float = 0.0
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it takes no room any more."""
    judged: Pod | None = None
    """The pod as it was last seen, while it is judged: are the node's labels others by now, can it have its devices."""


class Pods:  # shape: the one owner of all lives on the node
    """All pods of this node, by uid."""

    def __init__(self, tools: Equipment, labels: Mapping[str, str]) -> None:
        self._tools = tools
        self.labels = labels
        """The node's labels, as far as is known."""
        self._slots: dict[str, _Slot] = {}
        self._observed = Observed()
        shown = (tools.config.node_ips, tools.runtime.name, tools.images.shown_id, tools.devices.health)
        self._shown = Shown(*shown, tools.runtime.abilities.recursive_read_only)
        self.statuses = StatusWriter(tools.client, tools.clock, self._status, self._status_written)
        self._prober = Prober(tools.runtime, tools.clock, self.happen, self._warn)
        self.measures = Measures()
        self.shutting_down = False
        self._has_seen_all = False
        """Whether what belongs to no pod that is known belongs to none at all."""
        self._weights: tuple[Limits, dict[str, Limits]] | None = None
        self._weighed_at = -_WEIGH_EVERY
        self.pressure: tuple[str, ...] = ()
        """The conditions of the node that keep pods away."""

    def __iter__(self) -> Iterator[Life]:
        return iter([slot.life for slot in self._slots.values()])

    def find(self, namespace: str, name: str) -> Life | None:
        """The life of a pod by its name: the latest, for one that was deleted by force may still be ending."""
        for slot in reversed(self._slots.values()):
            meta = slot.life.pod.metadata
            if meta.name == name and meta.namespace == namespace and not slot.life.forgotten:
                return slot.life
        return None

    def status(self, uid: str) -> dict[str, Any]:
        """The status a pod has by now. Raises KeyError."""
        slot = self._slots[uid]
        return podstatus.status_of(slot.life, self._shown, slot.known, self._tools.clock.now())

    def restore(self, observed: Observed) -> None:
        """Remember what ran before this agent started; pods are matched with it as the API names them."""
        self._observed = observed
        for sandbox in observed.sandboxes:
            if sandbox.netns is not None:
                self._tools.network.hold(sandbox.uid, sandboxes.noted_addresses(self._tools.pod_home(sandbox.uid)))

    @property
    def probes(self) -> Mapping[tuple[tuple[str, str, str], str], int]:
        """How often each probe (pod uid, container, type) had each result."""
        return self._prober.tallies

    def seen(self, pod: Pod) -> None:
        """The API shows a pod of this node, new or changed; mirrors of static pods are not run."""
        uid = pod.metadata.uid
        if "kubernetes.io/config.mirror" in (pod.metadata.annotations or {}):
            return
        slot = self._slots.get(uid)
        if slot is not None:
            if pod.status is not None:
                slot.known = pod.status
            if slot.judged is not None:
                slot.judged = pod
                return
            self.happen(uid, life.PodChanged(pod, self._resize_refused(pod, slot.life)))
            return
        now = self._tools.clock.now()
        begun = replace(self._begin(pod, now), longest_crash_delay=self._tools.config.longest_crash_delay)
        slot = self._slots[uid] = _Slot(begun, pod.status or {})
        refusal = self._refusal(pod, begun)
        may_fit = refusal is not None and refusal[0] == "NodeAffinity"
        if may_fit or (refusal is None and self._is_new(pod, begun) and self._tools.devices.concern(pod)):
            slot.judged = pod
            self._spawn(slot, self._judge(uid, slot, pod))
            return
        if refusal is not None and refusal[0].startswith("OutOf") and is_critical(pod):
            self._make_room(uid, slot, pod)
            return
        self.happen(uid, life.Rejected(*refusal) if refusal is not None else life.PodChanged(pod))

    def _make_room(self, uid: str, slot: _Slot, pod: Pod) -> None:
        """A critical pod is not rejected for want of room while others could go."""
        others = self._others(uid)
        short = preemption.lacking(pod, others, self._tools.resources.allocatable)
        victims = preemption.victims(pod, others, short)
        if victims is None:
            self.happen(uid, life.Rejected("UnexpectedAdmissionError", f"Pod was rejected: {preemption.shown(short)}"))
            return
        for victim in victims:
            self._tools.tell(victim, "Warning", preemption.REASON, preemption.MESSAGE)
            event = life.Evicted(preemption.REASON, preemption.MESSAGE, grace_of(victim))
            self.happen(victim.metadata.uid, event)
        slot.judged = pod
        ending = [self._slots[one.metadata.uid] for one in victims if one.metadata.uid in self._slots]
        self._spawn(slot, self._admit_after(uid, slot, ending))

    async def _admit_after(self, uid: str, slot: _Slot, victims: list[_Slot]) -> None:
        for victim in victims:
            await victim.over.wait()
        await self._settle(uid, slot, None)

    async def _judge(self, uid: str, slot: _Slot, pod: Pod) -> None:
        """The scheduler may have seen labels of the node that have not come here yet; and devices must be asked for."""
        refusal = self._refusal(pod, slot.life)
        if refusal is not None:
            with contextlib.suppress(ApiError, ConnectionError, TimeoutError):
                found = await self._tools.client.get(NODES, self._tools.config.node_name, view=dict)
                self.labels = found["metadata"].get("labels") or {}
            refusal = self._refusal(pod, slot.life)
        await self._settle(uid, slot, refusal)

    async def _settle(self, uid: str, slot: _Slot, refusal: tuple[str, str] | None) -> None:
        """Admit a pod that was judged, with its devices, or reject it."""
        if refusal is None and slot.judged is not None:
            refusal = await self._tools.devices.admit(slot.judged)
        pod, slot.judged = slot.judged, None
        if self._slots.get(uid) is not slot:  # it went meanwhile
            await self._tools.devices.release(uid)
        elif pod is not None:
            self.happen(uid, life.Rejected(*refusal) if refusal is not None else life.PodChanged(pod))

    def gone(self, uid: str, removed: life.PodRemoved | None = None) -> None:
        """The API holds a pod no more, or a static pod's manifest is gone."""
        if uid in self._slots:
            self.happen(uid, removed or life.PodRemoved())

    async def clean_orphans(self) -> None:
        """Take down what ran before this agent started and belongs to no pod any more."""
        tools = self._tools
        known = set(self._slots)
        uids = {one.uid for one in self._observed.sandboxes} | {one.pod_uid for one in self._observed.containers}
        pods = tools.config.kubelet / "pods"
        uids |= {path.name for path in pods.iterdir()} if pods.exists() else set()
        uids |= tools.devices.holders()
        for uid in sorted(uids - known):
            _log.info("orphan removed", uid=uid)
            for container in [one for one in self._observed.containers if one.pod_uid == uid]:
                await tools.runtime.remove(container.id)
            await tools.network.detach(uid)
            await tools.runtime.close_sandbox(uid)
            try:
                await tools.devices.release(uid)
                await tools.volumes.unmount(uid)
                await asyncio.to_thread(teardown.remove, tools.pod_home(uid))
            except (OSError, ApiError, ConnectionError) as error:
                _log.warning("orphan not removed yet", uid=uid, error=str(error))
        for logs in (tools.config.logs / "pods").glob("*"):
            if logs.name.rpartition("_")[2] not in known:
                await asyncio.to_thread(shutil.rmtree, logs, ignore_errors=True)
        await asyncio.to_thread(loglinks.sweep, tools.config.logs)
        self._observed = Observed()
        self._has_seen_all = True

    def exited(self, seen: ContainerSeen) -> None:
        """The runtime reports the end of a container."""
        slot = self._slots.get(seen.pod_uid)
        if slot is None:
            self._observed = self._observed.after(seen)  # its pod is still to be named
            return
        self.happen(seen.pod_uid, life.Exited(seen.name, seen.attempt, self._termination(slot.life.pod, seen)))

    def changed(self, resource: Resource, namespace: str, name: str) -> None:
        """A ConfigMap or Secret has changed: bring volumes made from it up to date, and try again what lacked it."""
        for uid, slot in list(self._slots.items()):
            pod = slot.life.pod
            if pod.metadata.namespace != namespace:
                continue
            mounts = _uses(pod, resource, name)
            if mounts and slot.life.volumes == "mounted":
                self._spawn(slot, self._refresh(uid))
            lacking = frozenset(
                one.name for one in life.all_containers(pod) if name in references(one)[_KINDS[resource]]
            )
            if mounts or lacking:
                self.happen(uid, life.ReferenceChanged(lacking, mounts))

    async def tend(self) -> None:
        """Look after what volumes hold and nobody tells of, until cancelled."""
        while True:
            await self._tools.clock.sleep(60.0)
            self.renew()

    def renew(self) -> None:
        """Replace tokens and certificates that are about to end, and trust bundles that have changed."""
        for uid, slot in list(self._slots.items()):
            has_bundles = any(bundles(volume) for volume in slot.life.pod.spec.volumes or ())
            if slot.life.volumes == "mounted" and (has_bundles or self._tools.volumes.has_stale_tokens(uid)):
                self._spawn(slot, self._refresh(uid))

    async def tend_drivers(self) -> None:
        """Look after the volumes of storage drivers, until cancelled."""
        while True:
            await self._tools.clock.sleep(_DRIVERS_EVERY)
            if self._has_seen_all:
                await self.release_devices()
            for slot in list(self._slots.values()):
                if slot.life.volumes == "mounted":
                    await self.tend_volumes(slot.life.pod)

    async def tend_volumes(self, pod: Pod) -> None:
        """Do what the drivers of a pod's volumes want now and then, and tell what came of it."""
        try:
            for name in await self._tools.volumes.tend(pod):
                text = f'MountVolume.NodeExpandVolume succeeded for volume "{name}" {self._tools.config.node_name}'
                self._tools.tell(pod, "Normal", "FileSystemResizeSuccessful", text)
        except ResizeFailure as error:
            self._tools.tell(pod, "Warning", "VolumeResizeFailed", str(error))
        except (VolumeFailure, OSError, ApiError, ConnectionError, TimeoutError) as error:
            self._tools.tell(pod, "Warning", "FailedMount", str(error))

    async def release_devices(self) -> None:
        """Have undone what was prepared for pods that are gone, whose drivers were away then."""
        for uid in self._tools.devices.holders() - self._slots.keys():
            try:
                await self._tools.devices.release(uid)
            except OSError as error:
                _log.debug("devices not released yet", uid=uid, error=str(error))

    def happen(self, uid: str, event: Happening, now: float = 0.0) -> None:
        """Take in an event, decide, and set the instructions going; it is `now` at least."""
        slot = self._slots.get(uid)
        if slot is None or slot.life.forgotten:
            return
        before = slot.life
        slot.life, instructions = lifecycle.step(slot.life, event, max(now, self._tools.clock.now()))
        for instruction in instructions:
            if isinstance(instruction, life.Emit):
                self._tools.tell(
                    slot.life.pod, instruction.type, instruction.reason, instruction.message, instruction.container
                )
            else:
                self._spawn(slot, self._carry(uid, slot.life, instruction))
        self._prober.sync(uid, slot.life)
        if slot.life.forgotten:
            self._drop(uid, slot)
            return
        self._schedule(uid, slot)
        if slot.life is not before:
            self.statuses.mark(uid)
        if isinstance(event, life.Started) and has_begun(slot.life) and not has_begun(before):
            self.measures.pod_ran(self._tools.clock.now() - slot.life.started_at)
        if slot.life.over and not before.over:
            slot.over.set()
            self._try_deferred()
        if (
            isinstance(event, life.PodChanged)
            and _downward_changed(before.pod, event.pod)
            and before.volumes == "mounted"
        ):
            self._spawn(slot, self._refresh(uid))

    def weigh(self) -> None:
        """Bound all pods together, and give those of each class the shares that they ask for."""
        tools = self._tools
        self._weighed_at = tools.clock.monotonic()
        whole = node_limits(tools.resources.unreserved) if tools.config.enforces else Limits(cpu_shares=1024)
        tiers = tier_limits(slot.life.pod for slot in self._slots.values() if not slot.life.over)
        if (whole, tiers) == self._weights:
            return
        try:
            tools.runtime.limit_node(whole, tiers)
            self._weights = (whole, tiers)
        except OSError as error:
            _log.warning("pods are not bounded together", error=str(error))

    async def close(self) -> None:
        """Stop deciding; containers keep running."""
        self._prober.close()
        tasks = [task for slot in self._slots.values() for task in slot.tasks]
        tasks += [slot.timer for slot in self._slots.values() if slot.timer is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, pod: Pod, now: float) -> Life:
        uid = pod.metadata.uid
        sandbox = next((one for one in self._observed.sandboxes if one.uid == uid), None)
        containers = [one for one in self._observed.containers if one.pod_uid == uid]
        if sandbox is None and not containers:
            return revival.begin(pod, now)
        if sandbox is not None and not sandbox.ips:
            ips = sandboxes.noted_addresses(self._tools.pod_home(uid))
            # Without an address the agent before this one was killed while it made the sandbox.
            sandbox = replace(sandbox, ips=ips) if ips else None
        if sandbox is None and containers and (pod.status or {}).get("phase") not in {"Succeeded", "Failed"}:
            self._tools.tell(pod, "Normal", *life.SANDBOX_CHANGED)
        named = [replace(one, message=self._termination(pod, one).message) for one in containers]
        return revival.revive(pod, sandbox, named, now)

    def _is_new(self, pod: Pod, begun: Life) -> bool:
        """Whether a pod is still to be admitted."""
        if begun.over or begun.sandbox == "open" or pod.metadata.deletionTimestamp is not None:
            return False
        return not (pod.status or {}).get("startTime")

    def _refusal(self, pod: Pod, begun: Life) -> tuple[str, str] | None:
        if not self._is_new(pod, begun):
            return None
        if self.shutting_down:
            return "NodeShutdown", "Pod was rejected as the node is shutting down."
        able = self._tools.runtime.abilities
        if refused := admission.confinement_refusal(pod, able) or admission.pressure_refusal(pod, self.pressure):
            return refused
        others, room = self._others(pod.metadata.uid), self._tools.resources.allocatable
        config = self._tools.config
        return admission.rejection(pod, others, room, self.labels, config.taints, config.unsafe_sysctls)

    def _others(self, uid: str) -> list[Pod]:
        """The pods beside one that take up room."""
        return [slot.life.pod for other, slot in self._slots.items() if other != uid and not slot.life.over]

    def _resize_refused(self, pod: Pod, seen: Life) -> tuple[str, str]:
        """Why the resources that a pod asks for now cannot be had; a resize that makes it smaller always can."""
        if seen.over or not _is_resized(pod, seen):
            return "", ""
        others = self._others(pod.metadata.uid)
        given = {name: one.resources for name, one in seen.containers.items()}
        refused = admission.resize_bar(pod, given, self._tools.resources.size, self._tools.devices.cpus.policy)
        if not refused[0]:
            refused = admission.resize_refusal(pod, others, self._tools.resources.allocatable)
        if refused not in {("", ""), seen.resize_refused}:
            text = f"Pod resize {refused[0]}: {amounts_of(pod, refused[1])}"
            self._tools.tell(pod, "Warning", f"Resize{refused[0]}", text)
        return refused

    def _try_deferred(self) -> None:
        """Room has been made: resizes that wait for it are judged again."""
        for uid, slot in list(self._slots.items()):
            if slot.life.resize_refused[0] == "Deferred":
                self.happen(uid, life.PodChanged(slot.life.pod, self._resize_refused(slot.life.pod, slot.life)))

    def _termination(self, pod: Pod, seen: ContainerSeen) -> Termination:
        spec = next((one for one in life.all_containers(pod) if one.name == seen.name), None)
        message = seen.message
        if spec is not None:
            message = messages.read(
                self._tools.message_file(seen.pod_uid, seen.name, seen.attempt),
                self._tools.log_path(pod, seen.name, seen.attempt),
                fall_back=spec.terminationMessagePolicy == "FallbackToLogsOnError" and seen.exit_code != 0,
            )
        return replace(revival.termination(seen), message=message)

    async def _carry(self, uid: str, seen: Life, instruction: Instruction) -> None:
        if isinstance(instruction, life.Forget) and instruction.delete:
            await self.statuses.flush(uid)
        if (
            isinstance(instruction, life.OpenSandbox)
            and self._tools.clock.monotonic() - self._weighed_at > _WEIGH_EVERY
        ):
            self.weigh()
        began = self._tools.clock.monotonic()
        try:
            event = await carry_out(self._tools, seen, instruction)
        except Exception as error:
            # A defect in one step must not stop the pod for ever: it counts as a failed step, and is tried again.
            _log.error(
                "instruction failed", pod=uid, instruction=type(instruction).__name__, trace=traceback.format_exc()
            )
            event = failed(instruction, f"{type(error).__name__}: {error}")
        self.measures.carried_out(seen, instruction, event, self._tools.clock.monotonic() - began)
        if event is not None:
            self.happen(uid, event)
        if isinstance(event, life.StartFailed) and event.reason in {"CreateContainerError", "RunContainerError"}:
            await self._look_for_sandbox(uid, seen.sandbox_id)

    async def _look_for_sandbox(self, uid: str, sandbox: str) -> None:
        """A container may not start because what it should share with its pod is gone."""
        with contextlib.suppress(RuntimeFailure):
            if not await self._tools.runtime.has_sandbox(sandbox):
                self.happen(uid, life.SandboxLost())

    async def _refresh(self, uid: str) -> None:
        slot = self._slots.get(uid)
        if slot is None:
            return
        try:
            await self._tools.volumes.refresh(slot.life.pod, sources_of(self._tools, slot.life.pod, slot.life.ips))
        except (VolumeFailure, OSError, ApiError, ConnectionError, TimeoutError) as error:
            self._tools.tell(slot.life.pod, "Warning", "FailedMount", str(error))

    def _spawn(self, slot: _Slot, work: Any) -> None:
        task = asyncio.create_task(work)
        slot.tasks.add(task)
        task.add_done_callback(slot.tasks.discard)

    def _schedule(self, uid: str, slot: _Slot) -> None:
        at = lifecycle.wakes_at(slot.life, self._tools.clock.now())
        if slot.timer is not None:
            if at == slot.timer_at:
                return
            slot.timer.cancel()
            slot.timer = None
        if at is not None:
            slot.timer_at = at
            slot.timer = asyncio.create_task(self._wake(uid, slot, at))

    async def _wake(self, uid: str, slot: _Slot, at: float) -> None:
        await self._tools.clock.sleep(max(0.0, at - self._tools.clock.now()) + 0.001)
        slot.timer = None
        self.happen(uid, life.Tick(), at)  # the time has passed, though the clock may have been set back meanwhile

    def _drop(self, uid: str, slot: _Slot) -> None:
        if slot.timer is not None:
            slot.timer.cancel()
        slot.over.set()
        del self._slots[uid]
        self._prober.forget(uid)
        self._try_deferred()

    def _status(self, uid: str) -> Wanted | None:
        slot = self._slots.get(uid)
        if slot is None or (slot.life.ending is not None and slot.life.ending.removed):
            return None
        meta = slot.life.pod.metadata
        if (meta.annotations or {}).get("kubernetes.io/config.source") == "file":
            return None  # the API knows a static pod by its mirror only
        return Wanted(meta.namespace, meta.name, self.status(uid), slot.known, slot.written)

    def _status_written(self, uid: str, status: dict[str, Any]) -> None:
        slot = self._slots.get(uid)
        if slot is not None:
            slot.known = {**slot.known, **status}
            slot.written = status

    def _warn(self, uid: str, container: str, reason: str, message: str) -> None:
        slot = self._slots.get(uid)
        if slot is not None:
            self._tools.tell(slot.life.pod, "Warning", reason, message, container)


def _is_resized(pod: Pod, seen: Life) -> bool:
    if seen.sandbox == "open" and seen.given != pod.spec.resources:
        return True
    running = [one for one in seen.containers.values() if one.phase == "running"]
    given = {one.name: one.resources for one in running}
    return any(one.name in given and one.resources != given[one.name] for one in life.all_containers(pod))


def _uses(pod: Pod, resource: Resource, name: str) -> bool:
    return any(name in needs(volume)[_KINDS[resource]] for volume in pod.spec.volumes or ())


def _downward_changed(before: Pod, after: Pod) -> bool:
    old, new = before.metadata, after.metadata
    return old.labels != new.labels or old.annotations != new.annotations
