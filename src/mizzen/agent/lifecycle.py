"""A pod's life as a pure function: what happened and the time go in, the new state and instructions come out.

Going up: volumes, sandbox, images, init containers and side-cars in order, containers. Coming down: what is being
set up lands first, then pre-stop hooks, containers, side-cars in reverse, sandbox, volumes. An instruction is given
once; the state remembers that it is under way until its result comes back as an event.
Ref: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from collections.abc import Iterable
from dataclasses import replace

from mizzen.agent.fold import fold
from mizzen.agent.life import (
    CloseSandbox,
    ContainerLife,
    Emit,
    Ending,
    Forget,
    Happening,
    Instruction,
    Life,
    MountVolumes,
    OpenSandbox,
    Pull,
    Resize,
    ResizePod,
    RunHook,
    Start,
    Stop,
    Stopping,
    Termination,
    UnmountVolumes,
    all_containers,
)
from mizzen.agent.restarts import (
    amounts_of,
    anew,
    final_phase,
    grace_of,
    has_run_its_course,
    needs_restart,
    next_delay,
    rule_of,
    will_restart,
)
from mizzen.machinery import times

_FORGIVEN_AFTER = 600.0
_LEAST_GRACE = 2.0
"""Seconds that a pre-stop hook or a side-car has beyond the grace period that others have used up."""


def step(life: Life, event: Happening, now: float) -> tuple[Life, tuple[Instruction, ...]]:
    """Take in one event and decide what to do about it."""
    is_going_up = life.ending is None
    life, told = fold(life, event, now)
    if is_going_up and life.ending is not None:
        life = replace(life, retry_at=0.0, retry_delay=0.0)  # what failed on the way up keeps nobody from going down
    planner = _Planner(life, now)
    planner.instructions.extend(told)
    planner.plan()
    return planner.life, tuple(planner.instructions)


def wakes_at(life: Life, now: float) -> float | None:
    """When the life wants a Tick although nothing happens; what was due before `now` has been dealt with."""
    candidates = [life.retry_at, life.resize_at if life.unresized else 0.0]
    for one in life.containers.values():
        if one.phase == "waiting":
            candidates += [one.retry_at, one.flip_at]
        if one.phase == "running" and one.unresized:
            candidates.append(one.resize_at)
        if one.stopping is not None and one.stopping.signalled is None:
            candidates.append(one.stopping.deadline)
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
        """RestartAllContainers: when a rule asks for it every container ends, then all begin as in a new pod.

        They end soon, and without their pre-stop hooks.
        """
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
                    self._request_stop(one, "RestartAllContainers", self.now)
                    self._stop(one)
            return
        for one in self._ordered():
            if one.role != "ephemeral":
                due = self._ended_at(one.ended) + one.crash_delay if one.ended is not None and asking is one else 0.0
                self._put(anew(one, due, self.now, life.longest_crash_delay))
        self.life = replace(self.life, restarting_all=False, initialized=False)

    def _asks_for_all(self, one: ContainerLife) -> bool:
        spec = self._specs.get(one.name)
        return spec is not None and one.phase == "exited" and rule_of(one, spec) == "RestartAllContainers"

    # Going up

    def _bring_up(self) -> None:
        if self.life.volumes == "none" and self.now >= self.life.retry_at:
            self.life = replace(self.life, volumes="mounting", retry_at=0.0)
            self.instructions.append(MountVolumes())
        if self.life.volumes != "mounted":
            return
        if self.life.sandbox == "none" and self.now >= self.life.retry_at:
            self.life = replace(self.life, sandbox="opening", opened=True, retry_at=0.0)
            self.instructions.append(OpenSandbox())
        if self.life.sandbox != "open":
            return
        self._resize_whole()
        self._drive_all(one for one in self._ordered() if one.role == "ephemeral")
        self._initialize()
        if self.life.initialized:
            self._drive_all(one for one in self._ordered() if one.role == "main")

    def _resize_whole(self) -> None:
        life = self.life
        if life.resizing or life.given == life.pod.spec.resources or life.resize_refused[0]:
            return
        if life.unresized and self.now < life.resize_at:
            return
        self._announce_resize(life.unresized)
        self.life = replace(self.life, resizing=True)
        self.instructions.append(ResizePod(life.given))

    def _announce_resize(self, failed_before: str) -> None:
        under_way = self.life.resizing or any(one.resizing for one in self._ordered())
        if not under_way and not failed_before:
            self._emit("Normal", "ResizeStarted", f"Pod resize started: {amounts_of(self.life.pod)}")

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
                text = f'Back-off pulling image "{one.refused or spec.image}"'
                self._emit("Normal", "BackOff", text, one.name)
                self._emit("Warning", "Failed", "Error: ImagePullBackOff", one.name)
                shown = f"{text}: {one.reason}: {one.failure}"
                self._put(replace(one, reason="ImagePullBackOff", message=shown, flip_at=0.0))
            return
        if not one.pulled or one.image != spec.image:
            self._put(replace(one, phase="pulling", image=spec.image, pulled=False, retry_at=0.0, flip_at=0.0))
            self.instructions.append(Pull(spec))
            return
        if self._is_held_up(one):
            return
        self._put(replace(one, phase="starting", retry_at=0.0, resources=spec.resources))
        self.instructions.append(Start(spec, one.attempt, one.image_id))

    def _is_held_up(self, one: ContainerLife) -> bool:
        """Whether a container before it is still to run its post-start hook; one that waits for another try is not."""
        for other in self._ordered():
            if other.name == one.name or one.role != "main":
                return False
            spec = self._specs.get(other.name)
            has_hook = spec is not None and spec.lifecycle is not None and spec.lifecycle.postStart is not None
            is_coming = other.phase in {"pulling", "starting"} or (other.phase == "running" and not other.hooked)
            if other.role == "main" and has_hook and is_coming:
                return True
        return False

    def _ended_at(self, ended: Termination) -> float:
        """When it ended, which is over, whatever clock has stamped it."""
        return min(ended.finished_at, self.now)

    def _restart(self, one: ContainerLife) -> None:
        spec, ended = self._specs.get(one.name), one.ended
        if spec is None or ended is None or not will_restart(self.life.pod, one, spec):
            return
        delay = 0.0 if one.again or self.now - one.crash_at > _FORGIVEN_AFTER else one.crash_delay
        due = self._ended_at(ended) + delay
        fresh = replace(
            one, phase="waiting", attempt=one.attempt + 1, pulled=False, last=ended, ended=None, ready=False,
            started=False, hooked=False, stopping=None, early=None, resizing=False, again=False,
            crash_delay=next_delay(delay, self.life.longest_crash_delay), crash_at=max(due, self.now),
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
        """A container that runs: carry on stopping it if asked, follow a changed image or changed resources."""
        if one.stopping is not None:
            self._stop(one)
            return
        spec = self._specs.get(one.name)
        if spec is not None and one.image != spec.image and one.role in {"main", "sidecar"}:
            self._stop_to_restart(one, f"Container {one.name} definition changed, will be restarted")
            return
        if spec is None or one.resizing or spec.resources == one.resources or one.role == "ephemeral":
            return
        if self.life.resize_refused[0] or (one.unresized and self.now < one.resize_at):
            return
        if needs_restart(spec, one.resources):
            self._stop_to_restart(one, f"Container {one.name} resize requires restart")
            return
        self._announce_resize(one.unresized)
        self._put(replace(one, resizing=True))
        self.instructions.append(Resize(spec, one.attempt, one.id))

    def _stop_to_restart(self, one: ContainerLife, text: str) -> None:
        self._put(replace(one, again=True))
        self._request_stop(self.life.containers[one.name], "restart", self.now + grace_of(self.life.pod), text)
        self._stop(one)

    # Coming down

    def _wind_down(self) -> None:
        if self.life.ending is None and not self.life.over:
            # The work is done; side-cars may go.
            self._stop_all("", self.now + grace_of(self.life.pod))
        elif self.life.ending is not None:
            self._stop_all(self.life.ending.reason, self.life.ending.deadline)
        for one in [one for one in self._ordered() if one.phase == "pulling"]:
            self._put(replace(one, phase="waiting"))  # nobody waits for the image any more
        if self._is_busy():
            return
        if not self.life.over:
            self.life = replace(self.life, over=final_phase(self.life))
        if self.life.sandbox == "none" and not self.life.opened:
            self.life = replace(self.life, sandbox="gone")
        if self.life.sandbox in {"none", "open"} and self.now >= self.life.retry_at:
            self.life = replace(self.life, sandbox="closing")
            self.instructions.append(CloseSandbox(self.life.sandbox_id or self.life.pod.metadata.uid))
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

        One that is starting is stopped as soon as it has landed, and nobody waits for its turn beyond the deadline.
        """
        for one in self._ordered():
            if one.phase == "running":
                self._request_stop(one, why, deadline)
        others = [one for one in self._ordered() if one.role != "sidecar"]
        for one in others:
            self._stop(one)
        waiting_for = any(one.phase in {"running", "starting"} for one in others)
        for one in reversed([one for one in self._ordered() if one.role == "sidecar"]):
            self._stop(one, may_signal=not waiting_for)
            waiting_for = waiting_for or self.life.containers[one.name].phase in {"running", "starting"}

    def _request_stop(self, one: ContainerLife, why: str, deadline: float, text: str = "") -> None:
        if one.stopping is None:
            self._put(replace(one, stopping=Stopping(why, deadline)))
            self._emit("Normal", "Killing", text or f"Stopping container {one.name}", one.name)
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
            self.instructions.append(RunHook(spec, one.attempt, one.id, "preStop", left + _LEAST_GRACE))
            return
        hasten = stopping.signalled is not None and stopping.deadline < stopping.signalled
        if left > 0 and (stopping.hook == "running" or not may_signal):
            return
        if stopping.signalled is None or hasten:
            may_be_late = stopping.hook != "none" or one.role == "sidecar" or stopping.why == "RestartAllContainers"
            least = _LEAST_GRACE if may_be_late and stopping.signalled is None else 0.0
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
