"""A pod's life as a pure function: what happened and the time go in, the new state and instructions come out.

Going up: volumes, sandbox, images, init containers and side-cars in order, containers. Coming down: what is being
set up lands first, then pre-stop hooks, containers, side-cars in reverse, sandbox, volumes. An instruction is given
once; the state remembers that it is under way until its result comes back as an event.
Ref: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

import msgspec

from mizzen.agent.fold import fold
from mizzen.agent.life import (
    CloseSandbox,
    ContainerLife,
    Discard,
    Emit,
    Ending,
    Exited,
    Forget,
    Happening,
    Instruction,
    Life,
    MountVolumes,
    OpenSandbox,
    Pull,
    Resize,
    RunHook,
    Start,
    Stop,
    Stopping,
    Termination,
    UnmountVolumes,
    all_containers,
    role_of,
)
from mizzen.agent.runtime.base import ContainerSeen, Sandbox
from mizzen.api.views.podspec import Container, Pod, Resources
from mizzen.machinery import times

CRASH_DELAY_FIRST, CRASH_DELAY_LIMIT = 10.0, 300.0
_FORGIVEN_AFTER = 600.0
_LEAST_GRACE = 2.0


def begin(pod: Pod, now: float) -> Life:
    """The life of a pod that this node has never seen; a finished one stays finished."""
    containers = {one.name: ContainerLife(one.name, role_of(pod, one)) for one in all_containers(pod)}
    status = pod.status or {}
    started = status.get("startTime")
    life = Life(pod, containers, started_at=times.parse(started) if started else now)
    phase = status.get("phase")
    if phase in {"Succeeded", "Failed"}:
        return replace(life, over=phase, volumes="gone", sandbox="gone")
    counts = {one["name"]: one.get("restartCount", 0) for key in _STATUS_LISTS for one in status.get(key) or ()}
    known = {name: _resumed(one, counts.get(name, 0), status) for name, one in containers.items()}
    return replace(life, containers=known)


_STATUS_LISTS = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")


def _resumed(one: ContainerLife, restarts: int, status: dict[str, object]) -> ContainerLife:
    """A container whose runtime forgot it (the machine restarted) goes on counting where the API stopped."""
    listed = (entry for key in _STATUS_LISTS for entry in status.get(key) or ())  # type: ignore[attr-defined]
    entry = next((entry for entry in listed if entry["name"] == one.name), None)
    ran = entry is not None and (entry.get("containerID") or entry.get("lastState"))
    return replace(one, attempt=restarts + 1 if ran else 0, begun=bool(ran))


def revive(pod: Pod, sandbox: Sandbox | None, seen: Sequence[ContainerSeen], now: float) -> Life:
    """The life of a pod whose containers kept running while the agent was away."""
    life = begin(pod, now)
    if life.over:
        return life
    newest: dict[str, ContainerSeen] = {}
    for one in sorted(seen, key=lambda one: one.attempt):
        if one.name in life.containers and one.state != "created":
            newest[one.name] = one
    containers = dict(life.containers)
    for name, one in newest.items():
        ended = _termination(one) if one.state == "exited" or sandbox is None else None
        started, ready = _probed_before(pod, name) if ended is None else (False, False)
        containers[name] = replace(
            containers[name], phase="exited" if ended else "running", attempt=one.attempt, begun=True, id=one.id,
            image_id=one.image_id, pulled=True, started_at=one.started_at, hooked=True, ended=ended,
            started=started, ready=ready, resources=_resources(pod, name),
        )  # fmt: skip
    life = replace(life, containers=containers)
    if sandbox is None:
        return life
    # Readiness and start-up are probed again; a main container that has begun proves that initialization was over.
    begun = any(one.role == "main" and one.name in newest for one in containers.values())
    return replace(life, sandbox="open", sandbox_id=sandbox.id, ips=sandbox.ips, volumes="none", initialized=begun)


def _termination(one: ContainerSeen) -> Termination:
    reason = "OOMKilled" if one.oom_killed else "Completed" if one.exit_code == 0 else "Error"
    return Termination(one.id, one.exit_code, reason, one.message, one.started_at, one.finished_at)


def _probed_before(pod: Pod, name: str) -> tuple[bool, bool]:
    """What probes had found of a running container, started and ready: it holds until they find otherwise."""
    spec = next((one for one in all_containers(pod) if one.name == name), None)
    if spec is None:
        return False, False
    status = pod.status or {}
    entries = (one for key in _STATUS_LISTS for one in status.get(key) or () if one["name"] == name)
    entry: dict[str, object] = next(entries, {})
    started = spec.startupProbe is None or bool(entry.get("started"))
    probed = spec.readinessProbe is not None or spec.startupProbe is not None
    return started, bool(entry.get("ready")) if probed else True


def _resources(pod: Pod, name: str) -> object:
    """What a running container has been given: as its status says, which a resize may not have reached yet."""
    status = pod.status or {}
    entries = (one for key in _STATUS_LISTS for one in status.get(key) or () if one["name"] == name)
    entry: dict[str, object] = next(entries, {})
    shown = entry.get("resources")
    if shown is not None:
        return msgspec.convert(shown, Resources)
    return next((one.resources for one in all_containers(pod) if one.name == name), None)


def step(life: Life, event: Happening, now: float) -> tuple[Life, tuple[Instruction, ...]]:
    """Take in one event and decide what to do about it."""
    life, told = fold(life, event, now)
    planner = _Planner(life, now)
    planner.instructions.extend(told)
    planner.plan()
    return planner.life, tuple(planner.instructions)


def wakes_at(life: Life, now: float) -> float | None:
    """When the life wants a Tick although nothing happens; what was due before `now` has been dealt with."""
    candidates = [life.retry_at]
    for one in life.containers.values():
        if one.phase == "waiting":
            candidates += [one.retry_at, one.flip_at]
    deadline = life.pod.spec.activeDeadlineSeconds
    if deadline is not None and life.ending is None and not life.over:
        candidates.append(life.started_at + deadline)
    return min((at for at in candidates if at > now), default=None)


class _Planner:
    """One decision under way: the life so far, the instructions so far."""

    def __init__(self, life: Life, now: float) -> None:
        self.life = life
        self.now = now
        self.instructions: list[Instruction] = []
        self._specs = {one.name: one for one in all_containers(life.pod)}

    def plan(self) -> None:
        self._expire()
        self._begin_anew()
        if self.life.restarting_all:
            return
        if self.life.ending is None and not self.life.over and not has_run_its_course(self.life):
            self._bring_up()
        else:
            self._wind_down()

    def _expire(self) -> None:
        seconds = self.life.pod.spec.activeDeadlineSeconds
        if seconds is None or self.life.ending or self.life.over or self.now < self.life.started_at + seconds:
            return
        text = "Pod was active on the node longer than the specified deadline"
        self._emit("Normal", "DeadlineExceeded", text)
        deadline = self.now + grace_of(self.life.pod)
        self.life = replace(self.life, ending=Ending("DeadlineExceeded", text, deadline))

    def _begin_anew(self) -> None:
        """RestartAllContainers: when a rule asks for it every container ends, then all begin as in a new pod."""
        life = self.life
        if life.ending is not None or life.over or life.sandbox != "open":
            return
        asking = next((one for one in self._ordered() if self._asks_for_all(one)), None)
        if asking is not None and not life.restarting_all:
            self._emit("Normal", "RestartAllContainers", f"Restarting all containers after {asking.name} exited")
            self.life = replace(life, restarting_all=True)
        if not self.life.restarting_all:
            return
        if self._is_busy():
            for one in self._ordered():
                if one.phase == "running" and one.role != "ephemeral":
                    self._request_stop(one, "RestartAllContainers", self.now + grace_of(life.pod))
                    self._stop(one)
            return
        for one in self._ordered():
            if one.role != "ephemeral":
                due = one.ended.finished_at + one.crash_delay if one.ended is not None and asking is one else 0.0
                self._put(_anew(one, due, self.now))
        self.life = replace(self.life, restarting_all=False, initialized=False)

    def _asks_for_all(self, one: ContainerLife) -> bool:
        spec = self._specs.get(one.name)
        return spec is not None and one.phase == "exited" and _rule_of(one, spec) == "RestartAllContainers"

    # Going up

    def _bring_up(self) -> None:
        if self.life.volumes == "none" and self.now >= self.life.retry_at:
            self.life = replace(self.life, volumes="mounting", retry_at=0.0)
            self.instructions.append(MountVolumes())
        if self.life.volumes != "mounted":
            return
        if self.life.sandbox == "none" and self.now >= self.life.retry_at:
            self.life = replace(self.life, sandbox="opening", retry_at=0.0)
            self.instructions.append(OpenSandbox())
        if self.life.sandbox != "open":
            return
        self._drive_all(one for one in self._ordered() if one.role == "ephemeral")
        self._initialize()
        if self.life.initialized:
            self._drive_all(one for one in self._ordered() if one.role == "main")

    def _initialize(self) -> None:
        for one in [one for one in self._ordered() if one.role in {"init", "sidecar"}]:
            if one.role == "sidecar":
                self._drive(one)
                now_is = self.life.containers[one.name]
                if not self.life.initialized and not (now_is.phase == "running" and now_is.started and now_is.hooked):
                    return
            elif not self.life.initialized and not (one.ended is not None and one.ended.code == 0):
                self._drive(one)
                return
        if not self.life.initialized:
            self.life = replace(self.life, initialized=True)

    def _drive_all(self, containers: Iterable[ContainerLife]) -> None:
        for one in containers:
            self._drive(one)

    def _drive(self, one: ContainerLife) -> None:
        """Bring one container nearer to running."""
        if one.phase == "running":
            self._keep(one)
        elif one.phase == "exited":
            self._restart(one)
        elif one.phase == "waiting":
            self._begin(one)

    def _begin(self, one: ContainerLife) -> None:
        spec = self._specs[one.name]
        if self.now < one.retry_at:
            if one.flip_at and self.now >= one.flip_at:
                text = f'Back-off pulling image "{spec.image}"'
                self._emit("Normal", "BackOff", text, one.name)
                shown = f"{text}: {one.reason}: {one.failure}"
                self._put(replace(one, reason="ImagePullBackOff", message=shown, flip_at=0.0))
            return
        if not one.pulled:
            self._put(replace(one, phase="pulling", retry_at=0.0, flip_at=0.0))
            self.instructions.append(Pull(spec))
            return
        self._put(replace(one, phase="starting", retry_at=0.0, resources=spec.resources))
        self.instructions.append(Start(spec, one.attempt, one.image_id))

    def _restart(self, one: ContainerLife) -> None:
        spec, ended = self._specs.get(one.name), one.ended
        if spec is None or ended is None or not will_restart(self.life.pod, one, spec):
            return
        delay = 0.0 if one.again or self.now - one.crash_at > _FORGIVEN_AFTER else one.crash_delay
        due = ended.finished_at + delay
        fresh = replace(
            one, phase="waiting", attempt=one.attempt + 1, pulled=False, last=ended, ended=None, ready=False,
            started=False, hooked=False, stopping=None, early=None, resizing=False, again=False,
            crash_delay=min(CRASH_DELAY_LIMIT, delay * 2) if delay else CRASH_DELAY_FIRST, crash_at=max(due, self.now),
        )  # fmt: skip
        if delay and self.now < due:
            text = f"back-off {times.format_duration(delay)} restarting failed container={one.name} pod={self._label()}"
            self._emit(
                "Warning",
                "BackOff",
                f"Back-off restarting failed container {one.name} in pod {self._label()}",
                one.name,
            )
            self._put(replace(fresh, reason="CrashLoopBackOff", message=text, retry_at=due))
            return
        self._put(replace(fresh, reason="", message="", retry_at=0.0))
        self._begin(self.life.containers[one.name])

    def _keep(self, one: ContainerLife) -> None:
        """A container that runs: carry on stopping it if asked, follow changed resources."""
        if one.stopping is not None:
            self._stop(one)
            return
        spec = self._specs.get(one.name)
        if spec is None or one.resizing or spec.resources == one.resources or one.role == "ephemeral":
            return
        if self.life.resize_refused[0] or one.unresized:
            return
        if needs_restart(spec, one.resources):
            self._put(replace(one, again=True))
            self._request_stop(self.life.containers[one.name], "resize", self.now + grace_of(self.life.pod))
            self._stop(one)
            return
        self._put(replace(one, resizing=True))
        self.instructions.append(Resize(spec, one.attempt, one.id))

    # Coming down

    def _wind_down(self) -> None:
        if self.life.ending is None and not self.life.over:
            # The work is done; side-cars may go.
            self._stop_all("", self.now + grace_of(self.life.pod))
        elif self.life.ending is not None:
            self._stop_all(self.life.ending.reason, self.life.ending.deadline)
        if self._is_busy():
            return
        if not self.life.over:
            self.life = replace(self.life, over=_final_phase(self.life))
        if self.life.sandbox == "none":
            self.life = replace(self.life, sandbox="gone")
        if self.life.sandbox == "open" and self.now >= self.life.retry_at:
            self.life = replace(self.life, sandbox="closing")
            self.instructions.append(CloseSandbox(self.life.sandbox_id))
        if self.life.sandbox != "gone":
            return
        if self.life.volumes in {"none", "mounted"} and self.now >= self.life.retry_at:
            self.life = replace(self.life, volumes="unmounting")
            self.instructions.append(UnmountVolumes())
        if self.life.volumes != "gone":
            return
        ending = self.life.ending
        if ending is not None and (ending.deleted or ending.removed) and not self.life.forgetting:
            if self.now < self.life.retry_at:
                return
            self.life = replace(self.life, forgetting=True, retry_at=0.0)
            self.instructions.append(Forget(delete=not ending.removed))

    def _is_busy(self) -> bool:
        """Something is still being set up, or still runs."""
        if self.life.volumes == "mounting" or self.life.sandbox == "opening":
            return True
        return any(one.phase in {"pulling", "starting", "running"} for one in self.life.containers.values())

    def _stop_all(self, why: str, deadline: float) -> None:
        """Ask every running container to end: main ones at once, side-cars once those are gone, the last one first.

        One that is starting is stopped as soon as it has landed.
        """
        for one in self._ordered():
            if one.phase == "running":
                self._request_stop(one, why, deadline)
        others = [one for one in self._ordered() if one.role != "sidecar"]
        for one in others:
            self._stop(one)
        waiting_for = any(one.phase in {"running", "starting", "pulling"} for one in others)
        for one in reversed([one for one in self._ordered() if one.role == "sidecar"]):
            self._stop(one, may_signal=not waiting_for)
            waiting_for = waiting_for or self.life.containers[one.name].phase in {"running", "starting"}

    def _request_stop(self, one: ContainerLife, why: str, deadline: float) -> None:
        if one.stopping is None:
            self._put(replace(one, stopping=Stopping(why, deadline)))
            label = "Stopping container " + one.name
            self._emit("Normal", "Killing", label, one.name)
        elif deadline < one.stopping.deadline:
            self._put(replace(one, stopping=replace(one.stopping, deadline=deadline)))

    def _stop(self, one: ContainerLife, may_signal: bool = True) -> None:
        one = self.life.containers[one.name]
        stopping = one.stopping
        if one.phase != "running" or stopping is None:
            return
        spec = self._specs.get(one.name)
        hook = spec.lifecycle.preStop if spec is not None and spec.lifecycle is not None else None
        left = stopping.deadline - self.now
        if stopping.hook == "none" and hook is not None and spec is not None and left > 0:
            self._put(replace(one, stopping=replace(stopping, hook="running")))
            self.instructions.append(RunHook(spec, one.attempt, one.id, "preStop", left))
            return
        hasten = stopping.signalled is not None and stopping.deadline < stopping.signalled
        overdue = stopping.hook == "running" and left <= 0
        if (stopping.hook == "running" and not overdue) or not may_signal:
            return
        if stopping.signalled is None or hasten:
            least = _LEAST_GRACE if stopping.hook == "done" and stopping.signalled is None else 0.0
            self._put(replace(one, stopping=replace(stopping, signalled=stopping.deadline)))
            self.instructions.append(Stop(one.name, one.attempt, one.id, max(left, least)))

    def _ordered(self) -> list[ContainerLife]:
        return list(self.life.containers.values())

    def _put(self, one: ContainerLife) -> None:
        self.life = replace(self.life, containers={**self.life.containers, one.name: one})

    def _emit(self, kind: str, reason: str, message: str, container: str = "") -> None:
        self.instructions.append(Emit(kind, reason, message, container))  # type: ignore[arg-type]

    def _label(self) -> str:
        meta = self.life.pod.metadata
        return f"{meta.name}_{meta.namespace}({meta.uid})"


def grace_of(pod: Pod) -> float:
    """Seconds that the pod grants its containers to end."""
    seconds = pod.metadata.deletionGracePeriodSeconds
    if seconds is None:
        seconds = pod.spec.terminationGracePeriodSeconds
    return 30.0 if seconds is None else max(float(seconds), 0.0)


def will_restart(pod: Pod, one: ContainerLife, spec: Container) -> bool:
    """Whether an ended container is started again, by its own rules and policy or by the pod's."""
    if one.ended is None or one.role == "ephemeral":
        return False
    if one.role == "sidecar" or one.again or _rule_of(one, spec):
        return True
    code = one.ended.code
    policy = spec.restartPolicy or pod.spec.restartPolicy or "Always"
    if policy == "Never":
        return False
    if one.role == "init" or policy == "OnFailure":
        return code != 0
    return True


def _rule_of(one: ContainerLife, spec: Container) -> str:
    """What the first restart rule that fits the exit code asks for; empty when none does."""
    for rule in spec.restartPolicyRules or ():
        codes = rule.exitCodes
        if codes is not None and one.ended is not None and rule.action in {"Restart", "RestartAllContainers"}:
            listed = one.ended.code in (codes.values or ())
            if listed == (codes.operator == "In"):
                return rule.action
    return ""


def _anew(one: ContainerLife, due: float, now: float) -> ContainerLife:
    """A container of a pod that begins anew: the next attempt, due not before some time."""
    delay = min(CRASH_DELAY_LIMIT, one.crash_delay * 2) if one.crash_delay else CRASH_DELAY_FIRST
    return replace(
        ContainerLife(one.name, one.role), attempt=one.attempt + 1 if one.begun else one.attempt, begun=one.begun,
        last=one.ended or one.last, retry_at=due if due > now else 0.0,
        reason="CrashLoopBackOff" if due > now else "",
        crash_delay=delay if due else one.crash_delay, crash_at=now if due else one.crash_at,
    )  # fmt: skip


def needs_restart(spec: Container, before: object) -> bool:
    """Whether the changed resources can only be had by a restart, as the container's resizePolicy says."""
    old = before if isinstance(before, Resources) else Resources()
    new = spec.resources or Resources()
    restarts = {one.resourceName for one in spec.resizePolicy or () if one.restartPolicy == "RestartContainer"}
    return any(
        (was or {}).get(name) != (now or {}).get(name)
        for name in restarts
        for was, now in ((old.requests, new.requests), (old.limits, new.limits))
    )


def has_run_its_course(life: Life) -> bool:
    """Whether the containers have ended for good by themselves."""
    specs = {one.name: one for one in all_containers(life.pod)}

    def is_final(one: ContainerLife) -> bool:
        spec = specs.get(one.name)
        return one.phase == "exited" and (spec is None or not will_restart(life.pod, one, spec))

    if not life.initialized:
        inits = [one for one in life.containers.values() if one.role == "init"]
        return any(is_final(one) and one.ended is not None and one.ended.code != 0 for one in inits)
    mains = [one for one in life.containers.values() if one.role == "main"]
    return bool(mains) and all(is_final(one) for one in mains)


def _final_phase(life: Life) -> Literal["Succeeded", "Failed"]:
    if life.ending is not None and (life.ending.reason or life.ending.rejected):
        return "Failed"
    if not life.initialized and any(one.role == "init" and one.begun for one in life.containers.values()):
        return "Failed"
    mains = [one for one in life.containers.values() if one.role == "main"]
    good = all(one.ended is not None and one.ended.code == 0 for one in mains)
    return "Succeeded" if good else "Failed"


__all__ = ["Discard", "Exited", "begin", "grace_of", "has_run_its_course", "revive", "step", "wakes_at", "will_restart"]
