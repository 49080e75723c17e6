"""A pod's status as its users see it: a pure function of its life.

Ref: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from mizzen.agent.life import ContainerLife, Life, Termination, all_containers
from mizzen.agent.resources import qos_class, shown_requests
from mizzen.api.views.podspec import Container, Pod
from mizzen.machinery import times

OWNED_CONDITIONS = (
    *("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"),
    "AllContainersRestarting",
)
PASSING_CONDITIONS = ("PodResizePending", "PodResizeInProgress")
"""Those that are gone when they do not hold."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a status says of its node: addresses, the runtime's name, and how images are called."""

    host_ips: tuple[str, ...]
    runtime: str
    image_id: Callable[[str, str], str] = lambda image, _: image
    """(image id, name in the specification) → `repository@digest`."""
    devices: Callable[[Pod, Container], list[dict[str, Any]]] = lambda _pod, _container: []
    """The devices that a container has, by resource."""
    recursive_read_only: bool = True
    """Whether mounts are read-only with all below them where that is asked for if possible."""


def status_of(life: Life, shown: Shown, previous: Mapping[str, Any] | None, now: float) -> dict[str, Any]:
    """The whole status; `previous` is the last one, whose transition times and foreign conditions are kept."""
    pod = life.pod
    before = previous or {}
    phase = _phase(life)
    status: dict[str, Any] = {"phase": phase}
    if life.ending is not None and life.ending.reason:
        status |= {"reason": life.ending.reason, "message": life.ending.message}
    elif life.over and before.get("reason"):
        status |= {key: before[key] for key in ("reason", "message") if key in before}
    status["conditions"] = _conditions(life, phase, before.get("conditions") or (), now)
    status["startTime"] = before.get("startTime") or times.format(life.started_at)
    status["qosClass"] = qos_class(pod)
    if pod.metadata.generation is not None:
        status["observedGeneration"] = pod.metadata.generation
    if life.ending is not None and life.ending.rejected:
        return status
    status |= _addresses(life, shown, before)
    if life.sandbox not in {"none", "opening"}:
        status |= _amounts(life)
    for key, containers in (
        ("initContainerStatuses", pod.spec.initContainers or ()),
        ("containerStatuses", pod.spec.containers),
        ("ephemeralContainerStatuses", pod.spec.ephemeralContainers or ()),
    ):
        entries = [_container_status(life, life.containers[one.name], one, shown) for one in containers]
        if life.recalled and before.get(key):
            entries = before[key]
        if entries:
            status[key] = entries
    return status


def _amounts(life: Life) -> dict[str, Any]:
    """What the pod as a whole has been given, and what is set aside for it."""
    pod = _as_given(life) if life.resize_refused[0] else life.pod
    found: dict[str, Any] = {}
    if allocated := shown_requests(pod):
        found["allocatedResources"] = allocated
    if life.given is not None:
        found["resources"] = msgspec.to_builtins(life.given)
    return found


def _as_given(life: Life) -> Pod:
    """The pod with the resources that it has, instead of those it asks for."""

    def given(containers: tuple[Container, ...] | None) -> tuple[Container, ...] | None:
        return containers and tuple(
            msgspec.structs.replace(one, resources=life.containers[one.name].resources or one.resources)
            for one in containers
        )

    spec = life.pod.spec
    had = {"containers": given(spec.containers), "initContainers": given(spec.initContainers), "resources": life.given}
    return msgspec.structs.replace(life.pod, spec=msgspec.structs.replace(spec, **had))


def _addresses(life: Life, shown: Shown, before: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if shown.host_ips:
        found |= {"hostIP": shown.host_ips[0], "hostIPs": [{"ip": ip} for ip in shown.host_ips]}
    ips = life.ips
    if life.pod.spec.hostNetwork and life.sandbox not in {"none", "opening"}:
        ips = shown.host_ips
    if ips:
        found |= {"podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips]}
    elif before.get("podIP") and life.sandbox in {"gone", "closing"}:
        found |= {"podIP": before["podIP"], "podIPs": before.get("podIPs", [])}
    return found


def _phase(life: Life) -> str:
    if life.over:
        return life.over
    if not life.initialized and any(one.role in {"init", "sidecar"} for one in life.containers.values()):
        return "Pending"
    running = stopped = succeeded = waiting = 0
    for one in life.containers.values():
        if one.role != "main":
            continue
        end = one.ended if one.phase == "exited" else one.last
        if one.phase == "running" and one.hooked:
            running += 1
        elif end is not None:
            stopped += 1
            succeeded += one.phase == "exited" and end.code == 0
        else:
            waiting += 1
    if waiting:
        return "Pending"
    if running:
        return "Running"
    if life.ending is None and life.pod.spec.restartPolicy != "Always" and stopped == succeeded:
        return "Running" if _has_live_sidecar(life) else "Succeeded"
    return "Running" if stopped else "Pending"


def _has_live_sidecar(life: Life) -> bool:
    return any(one.role == "sidecar" and one.phase in {"running", "starting"} for one in life.containers.values())


def _conditions(life: Life, phase: str, before: Iterable[Mapping[str, Any]], now: float) -> list[dict[str, Any]]:
    known = {one["type"]: one for one in before}
    wanted: list[Claim] = [
        ("PodReadyToStartContainers", life.sandbox in {"open", "closing"}, "", ""),
        _initialized(life, phase),
        _ready(life, phase, known),
        _containers_ready(life, phase),
        ("PodScheduled", True, "", ""),
    ]
    wanted += _restarting(life, phase) + _resize(life) + _disruption(life)
    conditions = []
    for kind, holds, reason, message in wanted:
        value = "True" if holds else "False"
        old = known.get(kind, {})
        since = old.get("lastTransitionTime") if old.get("status") == value else None
        one: dict[str, Any] = {
            "type": kind,
            "status": value,
            "lastProbeTime": None,
            "lastTransitionTime": since or times.format(now),
        }
        if life.pod.metadata.generation is not None:
            one["observedGeneration"] = life.pod.metadata.generation
        if reason:
            one["reason"] = reason
        if message:
            one["message"] = message
        conditions.append(one)
    owned = {*OWNED_CONDITIONS, *PASSING_CONDITIONS}
    shown = {one["type"] for one in conditions}
    return conditions + [dict(one) for kind, one in known.items() if kind not in owned | shown]


Claim = tuple[str, bool, str, str]


def _restarting(life: Life, phase: str) -> list[Claim]:
    """Whether all containers are being ended to begin anew, of a pod that has a rule for that."""
    rules = [rule for one in all_containers(life.pod) for rule in one.restartPolicyRules or ()]
    if not any(rule.action == "RestartAllContainers" for rule in rules):
        return []
    if life.restarting_all and not life.over:
        text = "container exited with restart policy rule"
        return [("AllContainersRestarting", True, "RestartAllContainersStarted", text)]
    return [_finished("AllContainersRestarting", phase) or ("AllContainersRestarting", False, "", "")]


def _resize(life: Life) -> list[Claim]:
    """What is in the way of resources that were asked for in place."""
    if life.over or life.ending is not None:
        return []
    reason, message = life.resize_refused
    if reason:
        return [("PodResizePending", True, reason, message)]
    running = [one for one in life.containers.values() if one.phase == "running"]
    failed = life.unresized or next((one.unresized for one in running if one.unresized), "")
    if failed:
        return [("PodResizeInProgress", True, "Error", failed)]
    asked = {one.name: one.resources for one in all_containers(life.pod)}
    # A container may also be started anew for another image.
    if life.resizing or any(
        one.resizing or (one.again and one.stopping is not None and one.resources != asked.get(one.name))
        for one in running
    ):
        return [("PodResizeInProgress", True, "", "")]
    return []


def _disruption(life: Life) -> list[Claim]:
    """Ended by its node, not by its own doing."""
    if life.ending is None or life.ending.reason not in {"Evicted", "Terminated", "Preempting"}:
        return []
    return [("DisruptionTarget", True, "TerminationByKubelet", life.ending.message)]


def _initialized(life: Life, phase: str) -> Claim:
    if phase == "Succeeded":
        return "Initialized", True, "PodCompleted", ""
    missing = [
        one.name
        for one in life.containers.values()
        if (one.role == "init" and not (one.ended is not None and one.ended.code == 0))
        or (one.role == "sidecar" and not one.started)
    ]
    if life.initialized or not missing:
        return "Initialized", True, "", ""
    return "Initialized", False, "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(missing)}]"


def _finished(kind: str, phase: str) -> Claim | None:
    reasons = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}
    return (kind, False, reasons[phase], "") if phase in reasons else None


def _containers_ready(life: Life, phase: str) -> Claim:
    if (finished := _finished("ContainersReady", phase)) is not None:
        return finished
    unready = [one.name for one in life.containers.values() if one.role in {"main", "sidecar"} and not _is_ready(one)]
    if not unready:
        return "ContainersReady", True, "", ""
    return "ContainersReady", False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"


def _ready(life: Life, phase: str, known: Mapping[str, Mapping[str, Any]]) -> Claim:
    _, holds, reason, message = _containers_ready(life, phase)
    if not holds:
        return "Ready", False, reason, message
    problems = []
    for gate in life.pod.spec.readinessGates or ():
        condition = known.get(gate.conditionType)
        if condition is None:
            problems.append(f'corresponding condition of pod readiness gate "{gate.conditionType}" does not exist.')
        elif condition.get("status") != "True":
            seen = condition.get("status")
            problems.append(f'the status of pod readiness gate "{gate.conditionType}" is not "True", but {seen}')
    if problems:
        shown = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        return "Ready", False, "ReadinessGatesNotReady", shown
    return "Ready", True, "", ""


def _is_ready(one: ContainerLife) -> bool:
    if one.role == "init":
        return one.phase == "exited" and one.ended is not None and one.ended.code == 0
    return one.phase == "running" and one.hooked and one.started and one.ready and one.role != "ephemeral"


def _container_status(life: Life, one: ContainerLife, spec: Container, shown: Shown) -> dict[str, Any]:
    has_run = one.begun or one.phase == "running"
    last = None if _shows_last(life, one) else one.last
    latest = one.id if one.phase in {"running", "exited"} else one.last.id if one.last is not None else ""
    entry: dict[str, Any] = {
        "name": one.name,
        "state": _state(life, one, shown),
        "lastState": {"terminated": _terminated(last, shown)} if last is not None else {},
        "ready": _is_ready(one),
        "restartCount": _restarts(one),
        "image": one.image if has_run and one.image else spec.image,
        "imageID": shown.image_id(one.image_id, one.image or spec.image) if one.image_id and has_run else "",
        "started": one.phase == "running" and one.hooked and one.started,
    }
    if latest:
        entry["containerID"] = f"{shown.runtime}://{latest}"
    if one.phase == "running" and one.resources is not None:
        resources = msgspec.to_builtins(one.resources)
        entry["resources"] = resources
        allocated = resources
        if not life.resize_refused[0] and spec.resources is not None:
            allocated = msgspec.to_builtins(spec.resources)  # granted, even if not given yet
        if allocated.get("requests"):
            entry["allocatedResources"] = allocated["requests"]
    if has_run and one.user is not None:
        user = one.user
        entry["user"] = {"linux": {"uid": user.uid, "gid": user.gid, "supplementalGroups": list(user.groups)}}
    if has_run and one.stop_signal:
        entry["stopSignal"] = one.stop_signal
    if one.role == "main" and (devices := shown.devices(life.pod, spec)):
        entry["allocatedResourcesStatus"] = devices
    mounts = [_mount(mount, shown) for mount in spec.volumeMounts or ()]
    if mounts:
        entry["volumeMounts"] = mounts
    return entry


def _mount(mount: Any, able: Shown) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": mount.name, "mountPath": mount.mountPath}
    if mount.readOnly:
        shown |= {"readOnly": True, "recursiveReadOnly": "Disabled"}
        if mount.recursiveReadOnly in {"Enabled", "IfPossible"} and able.recursive_read_only:
            shown["recursiveReadOnly"] = "Enabled"
    return shown


def _restarts(one: ContainerLife) -> int:
    """The number of the newest attempt that has started."""
    is_next = one.phase not in {"running", "exited"}
    return max(0, one.attempt - 1) if is_next and one.begun else one.attempt


def _state(life: Life, one: ContainerLife, shown: Shown) -> dict[str, Any]:
    if one.phase == "exited" and one.ended is not None:
        return {"terminated": _terminated(one.ended, shown)}
    if one.last is not None and _shows_last(life, one):
        return {"terminated": _terminated(one.last, shown)}
    if _is_lost(life, one):
        return {"terminated": {**_LOST, "startedAt": None, "finishedAt": None}}
    if one.phase == "running" and one.hooked:
        return {"running": {"startedAt": times.format(one.started_at)}}
    if one.phase != "running" and one.last is not None and not one.reason:
        return {"terminated": _terminated(one.last, shown)}
    waiting: dict[str, Any] = {"reason": one.reason or _default_reason(life, one)}
    if one.message:
        waiting["message"] = one.message
    return {"waiting": waiting}


_LOST = {
    "exitCode": 137,
    "reason": "ContainerStatusUnknown",
    "message": "The container could not be located when the pod was terminated",
}


def _shows_last(life: Life, one: ContainerLife) -> bool:
    """It was waiting for its next start when the pod ended: that will not come."""
    return bool(life.over) and one.phase == "waiting" and one.last is not None


def _is_lost(life: Life, one: ContainerLife) -> bool:
    """It should have run but never did, and now the pod has ended; what waited for initialization still does."""
    initialized = life.initialized or not life.pod.spec.initContainers
    return bool(life.over) and one.role == "main" and one.phase == "waiting" and initialized


def _default_reason(life: Life, one: ContainerLife) -> str:
    """Containers that wait for initialization say so; all others are about to be created."""
    has_init = any(other.role in {"init", "sidecar"} for other in life.containers.values())
    return "PodInitializing" if has_init and not life.initialized else "ContainerCreating"


_NEVER_RAN = "StartError"
"""Containers of this reason are shown to have started at the beginning of time."""


def _terminated(end: Termination, shown: Shown) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "exitCode": end.code,
        "reason": end.reason,
        "startedAt": times.format(end.started_at) if end.started_at or end.reason == _NEVER_RAN else None,
        "finishedAt": times.format(end.finished_at) if end.finished_at else None,
    }
    if end.signal:
        entry["signal"] = end.signal
    if end.message:
        entry["message"] = end.message
    if end.id:
        entry["containerID"] = f"{shown.runtime}://{end.id}"
    return entry
