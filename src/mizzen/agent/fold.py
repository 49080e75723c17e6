"""What an event changes in a pod's life: the facts only; what follows from them is `lifecycle`'s to decide."""

from dataclasses import replace
from typing import assert_never

from mizzen.agent.life import (
    SANDBOX_CHANGED,
    CleanupFailed,
    ContainerLife,
    Discard,
    Emit,
    Ending,
    Evicted,
    Exited,
    ForgetDone,
    Happening,
    HookDone,
    Instruction,
    Life,
    PodChanged,
    PodRemoved,
    PodResized,
    Probed,
    Pulled,
    PullFailed,
    ReferenceChanged,
    Rejected,
    Resized,
    RunHook,
    SandboxClosed,
    SandboxLost,
    SandboxOpened,
    SetupFailed,
    Started,
    StartFailed,
    StopFailed,
    Stopping,
    Termination,
    Tick,
    VolumesMounted,
    VolumesUnmounted,
    all_containers,
    role_of,
)
from mizzen.agent.restarts import amounts_of, once_more
from mizzen.api.views.podspec import Container, Pod
from mizzen.machinery import times

Folded = tuple[Life, tuple[Instruction, ...]]
_PULL_DELAY_FIRST, _PULL_DELAY_LIMIT = 10.0, 300.0
_SETUP_DELAY_FIRST, _SETUP_DELAY_LIMIT = 1.0, 120.0
_CONFIG_ERROR = "CreateContainerConfigError"
_CONFIG_RETRY = 5.0
_DRIVER_DELAY_LIMIT = 10.0
"""Drivers of devices come up late, and tell nobody."""
_SHOWN_AS_ERROR = 2.0
_RESIZE_RETRY = 30.0
_REJECTED = "Pod was rejected: "
"""What the status says before the reason; the event does not."""


def fold(life: Life, event: Happening, now: float) -> Folded:
    """Take the event in."""
    match event:
        case PodChanged(pod, refused):
            return replace(_changed(life, pod, now), resize_refused=refused), ()
        case PodRemoved(grace):
            deadline = min(now + grace, life.ending.deadline if life.ending else now + grace)
            ending = life.ending or Ending("", "", deadline)
            return replace(life, ending=replace(ending, deadline=deadline, deleted=True, removed=True)), ()
        case Rejected(reason, message):
            ending = Ending(reason, message, now, rejected=True)
            return replace(life, ending=ending), (Emit("Warning", reason, message.removeprefix(_REJECTED)),)
        case Evicted(reason, message, grace):
            if life.ending is not None:
                return life, ()
            return replace(life, ending=Ending(reason, message, now + grace)), ()
        case VolumesMounted():
            return replace(life, volumes="mounted", problem=("", ""), retry_at=0.0, retry_delay=0.0), ()
        case SandboxOpened(id, ips):
            return replace(
                life, sandbox="open", sandbox_id=id, ips=ips, problem=("", ""), retry_at=0.0, retry_delay=0.0,
                given=life.pod.spec.resources,
            ), ()  # fmt: skip
        case SetupFailed(what, reason, message):
            return _setup_failed(life, what, reason, message, now)
        case SandboxLost():
            lost = _lost(life, now)
            return lost, () if lost is life else (Emit("Normal", *SANDBOX_CHANGED),)
        case SandboxClosed():
            return replace(life, sandbox="gone", retry_at=0.0, retry_delay=0.0), ()
        case VolumesUnmounted():
            return replace(life, volumes="gone", retry_at=0.0, retry_delay=0.0), ()
        case CleanupFailed(what, message):
            back = replace(life, sandbox="open") if what == "sandbox" else replace(life, volumes="mounted")
            return _delayed(back, now), (Emit("Warning", "FailedKillPod", f"error killing pod: {message}"),)
        case ForgetDone(ok):
            return replace(life, forgotten=True) if ok else _delayed(replace(life, forgetting=False), now), ()
        case PodResized(resources, failure):
            at = now + _RESIZE_RETRY if failure else 0.0
            changed = replace(life, resizing=False, given=resources, unresized=failure, resize_at=at)
            return changed, _told_of_resize(changed, failure, life.unresized)
        case ReferenceChanged(names, volumes):
            return _tried_at_once(life, names, volumes=volumes), ()
        case Tick():
            return life, ()
        case _:
            return _container_event(life, event, now)


def _tried_at_once(life: Life, names: frozenset[str], *, volumes: bool) -> Life:
    """What waits for its next attempt because of its configuration waits no longer."""
    containers = {
        name: replace(one, retry_at=0.0) if name in names and one.reason == _CONFIG_ERROR else one
        for name, one in life.containers.items()
    }
    life = replace(life, containers=containers)
    return replace(life, retry_at=0.0) if volumes and life.volumes == "none" else life


def _container_event(
    life: Life,
    event: Pulled | PullFailed | Started | StartFailed | HookDone | Exited | StopFailed | Probed | Resized,
    now: float,
) -> Folded:
    one = life.containers.get(event.name)
    if one is None:
        return life, ()
    spec = next((spec for spec in all_containers(life.pod) if spec.name == event.name), None)
    if not isinstance(event, Pulled | PullFailed) and event.attempt != one.attempt:
        return life, ()  # the answer to an earlier attempt
    changed, told = _container(life, one, spec, event, now)
    life = replace(life, containers={**life.containers, one.name: changed})
    if isinstance(event, Resized):
        told += _told_of_resize(life, event.failure, one.unresized)
    return life, told


def _told_of_resize(life: Life, failure: str, before: str) -> tuple[Instruction, ...]:
    """The event about a resize that has failed, unless as before, or is complete."""
    if failure:
        text = f"Pod resize error: {amounts_of(life.pod, failure)}"
        return (Emit("Warning", "ResizeError", text),) if failure != before else ()
    if life.resizing or life.unresized or any(one.resizing or one.unresized for one in life.containers.values()):
        return ()
    return (Emit("Normal", "ResizeCompleted", f"Pod resize completed: {amounts_of(life.pod)}"),)


def _container(
    life: Life,
    one: ContainerLife,
    spec: Container | None,
    event: Pulled | PullFailed | Started | StartFailed | HookDone | Exited | StopFailed | Probed | Resized,
    now: float,
) -> tuple[ContainerLife, tuple[Instruction, ...]]:
    match event:
        case Pulled(_, image_id):
            if one.phase != "pulling":
                return one, ()
            return replace(
                one, phase="waiting", pulled=True, image_id=image_id, pull_delay=0.0, retry_at=0.0, flip_at=0.0,
                reason="" if one.reason in _PULL_REASONS else one.reason,
                message="" if one.reason in _PULL_REASONS else one.message,
            ), ()  # fmt: skip
        case PullFailed(_, reason, message, image):
            if spec is not None and spec.image != one.image and one.phase == "pulling":
                return replace(one, phase="waiting"), ()  # another image is wanted by now
            return replace(_pull_failed(one, reason, message, now), refused=image), ()
        case Started():
            return _started(one, spec, event)
        case StartFailed():
            return _start_failed(one, event, now), ()
        case HookDone(_, _, hook, failure):
            return _hook_done(one, hook, failure, now, life.pod)
        case Exited(_, _, how):
            return _exited(one, how), ()
        case StopFailed():
            stopping = replace(one.stopping, signalled=None) if one.stopping is not None else None
            return replace(one, stopping=stopping), ()
        case Probed():
            return _probed(one, spec, event, now, life.pod)
        case Resized(_, _, resources, failure):
            at = now + _RESIZE_RETRY if failure else 0.0
            return replace(one, resizing=False, resources=resources, unresized=failure, resize_at=at), ()
        case _:
            assert_never(event)


_REPEATED = {"ErrImagePull", "RegistryUnavailable", "SignatureValidationFailed"}
"""Reasons for which an image is pulled again, later and later."""
_PULL_REASONS = _REPEATED | {"ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"}


def _changed(life: Life, pod: Pod, now: float) -> Life:
    known = dict(life.containers)
    images = {spec.name: spec.image for spec in all_containers(life.pod)}
    for spec in all_containers(pod):
        if spec.name not in known:
            known[spec.name] = ContainerLife(spec.name, role_of(pod, spec))
        elif images.get(spec.name) != spec.image:
            known[spec.name] = _with_another_image(known[spec.name])
    if pod.metadata.generation != life.pod.metadata.generation:
        known = {name: replace(one, unresized="") if one.unresized else one for name, one in known.items()}
        life = replace(life, unresized="")
    life = replace(life, pod=pod, containers=known)
    if pod.metadata.deletionTimestamp is None:
        return life
    grace = pod.metadata.deletionGracePeriodSeconds
    deadline = times.parse(pod.metadata.deletionTimestamp)
    if grace is not None:
        # The clocks of server and node may differ: never wait longer than the grace period from now.
        deadline = min(deadline, now + grace)
    ending = life.ending or Ending("", "", deadline)
    return replace(life, ending=replace(ending, deadline=min(deadline, ending.deadline), deleted=True))


def _with_another_image(one: ContainerLife) -> ContainerLife:
    """The failures of the image before count no more; one that runs is restarted by `lifecycle`."""
    if one.phase != "waiting":
        return one
    return replace(
        one, pulled=False, pull_delay=0.0, crash_delay=0.0, retry_at=0.0, flip_at=0.0, reason="", message="", failure=""
    )


def _setup_failed(life: Life, what: str, reason: str, message: str, now: float) -> Folded:
    back = replace(life, volumes="none") if what == "volumes" else replace(life, sandbox="none")
    limit = _DRIVER_DELAY_LIMIT if reason == "FailedPrepareDynamicResources" else _SETUP_DELAY_LIMIT
    return _delayed(replace(back, problem=(reason, message)), now, limit), (Emit("Warning", reason, message),)


def _delayed(life: Life, now: float, limit: float = _SETUP_DELAY_LIMIT) -> Life:
    delay = min(limit, life.retry_delay * 2) if life.retry_delay else _SETUP_DELAY_FIRST
    return replace(life, retry_delay=delay, retry_at=now + delay)


def _lost(life: Life, now: float) -> Life:
    if life.sandbox not in {"open"}:
        return life
    containers = {}
    for name, one in life.containers.items():
        if one.phase == "running":
            ended = Termination(one.id, 137, "Error", "the pod's sandbox is gone", one.started_at, now)
            containers[name] = _exited(one, ended)
        elif one.role == "init" and one.phase != "starting":
            containers[name] = once_more(one)
        elif one.phase == "waiting":
            # That it could not start was the sandbox's fault.
            containers[name] = replace(one, crash_delay=0.0, retry_at=0.0, reason="", message="")
        else:
            containers[name] = one
    return replace(life, sandbox="none", sandbox_id="", ips=(), initialized=False, containers=containers)


def _pull_failed(one: ContainerLife, reason: str, message: str, now: float) -> ContainerLife:
    if one.phase != "pulling":
        return one
    delay = min(_PULL_DELAY_LIMIT, one.pull_delay * 2) if one.pull_delay else _PULL_DELAY_FIRST
    flips = now + _SHOWN_AS_ERROR if reason in _REPEATED else 0.0
    return replace(
        one, phase="waiting", reason=reason, message=message, failure=message, pull_delay=delay, retry_at=now + delay,
        flip_at=flips,
    )  # fmt: skip


def _started(
    one: ContainerLife, spec: Container | None, event: Started
) -> tuple[ContainerLife, tuple[Instruction, ...]]:
    if one.phase != "starting":
        return one, ()
    id, at = event.id, event.at
    hook = spec.lifecycle.postStart if spec is not None and spec.lifecycle is not None else None
    told: tuple[Instruction, ...] = ()
    if one.last is not None and one.last.id and one.last.id != id:
        told = (Discard(one.last.id, one.name, one.attempt - 1),)
    running = replace(
        one, phase="running", id=id, user=event.user, stop_signal=event.stop_signal, started_at=at, begun=True,
        hooked=hook is None, reason="", message="",
        started=spec is None or spec.startupProbe is None,
        ready=spec is None or (spec.readinessProbe is None and spec.startupProbe is None),
    )  # fmt: skip
    if one.early is not None:
        # The answer to the start may be older news than the end.
        return _exited(running, replace(one.early, id=id, started_at=min(at, one.early.finished_at))), told
    if hook is not None and spec is not None:
        told += (RunHook(spec, one.attempt, id, "postStart"),)
    return running, told


def _start_failed(one: ContainerLife, event: StartFailed, now: float) -> ContainerLife:
    if one.phase != "starting":
        return one
    reason, message = event.reason, event.message
    if reason == "RunContainerError":
        # It came into being and ended at once: this counts as a crash.
        ended = Termination(event.id, 128, "StartError", message, 0.0, now)
        return replace(one, phase="exited", id=event.id, ended=ended, begun=True, reason=reason, message=message)
    return replace(one, phase="waiting", reason=reason, message=message, retry_at=now + _CONFIG_RETRY, pulled=False)


def _hook_done(
    one: ContainerLife, hook: str, failure: str, now: float, pod: Pod
) -> tuple[ContainerLife, tuple[Instruction, ...]]:
    if one.phase != "running":
        return one, ()
    if hook == "preStop":
        told = (Emit("Warning", "FailedPreStopHook", failure, one.name),) if failure else ()
        stopping = replace(one.stopping, hook="done") if one.stopping is not None else None
        return replace(one, stopping=stopping), told
    if not failure:
        return replace(one, hooked=True), ()
    failed = Emit("Warning", "FailedPostStartHook", failure, one.name)
    if one.stopping is not None:
        return one, (failed,)
    stop = Stopping("FailedPostStartHook", now + _grace(pod))
    return replace(one, stopping=stop), (failed, Emit("Normal", "Killing", "FailedPostStartHook", one.name))


def _exited(one: ContainerLife, how: Termination) -> ContainerLife:
    if one.phase == "starting":
        return replace(one, early=how)
    if one.phase != "running":
        return one
    return replace(one, phase="exited", ended=how, ready=False, started=False, stopping=None, resizing=False)


def _probed(
    one: ContainerLife, spec: Container | None, event: Probed, now: float, pod: Pod
) -> tuple[ContainerLife, tuple[Instruction, ...]]:
    if one.phase != "running" or spec is None:
        return one, ()
    if event.probe == "readiness":
        return replace(one, ready=event.ok and one.started), ()
    if event.ok:
        if event.probe == "startup":
            return replace(one, started=True, ready=spec.readinessProbe is None), ()
        return one, ()
    if one.stopping is not None:
        return one, ()
    probe = spec.startupProbe if event.probe == "startup" else spec.livenessProbe
    own = probe.terminationGracePeriodSeconds if probe is not None else None
    grace = _grace(pod) if own is None else float(own)
    kind = "Container" if one.role == "main" else "Init container"
    text = f"{kind} {one.name} failed {event.probe} probe"
    if one.role == "main" and (spec.restartPolicy or pod.spec.restartPolicy) != "Never":
        text += ", will be restarted"
    stopping = Stopping(event.probe, now + grace)
    return replace(one, stopping=stopping), (Emit("Normal", "Killing", text, one.name),)


def _grace(pod: Pod) -> float:
    seconds = pod.spec.terminationGracePeriodSeconds
    return 30.0 if seconds is None else float(seconds)
