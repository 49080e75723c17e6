"""The life of a simulated pod: how long it takes to start, how long it runs and how it ends, as the stages say.

A file of stages is YAML: `stages:` with entries of `selector` (a label selector, absent: every pod), `startup`,
`jitter`, `runs`, `exitCode`, `failureRate`, `cpu` and `memory`; the first that selects a pod is its own.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, assert_never

import msgspec
import yaml

from mizzen.api.views.core import Container, ContainerStatus, Pod
from mizzen.api.views.meta import LabelSelector, View, condition, is_true
from mizzen.cluster.config import ConfigError
from mizzen.machinery import quantity, times
from mizzen.machinery.errors import Object

STOP_SECONDS: Final = 0.1
"""How long a pod that is deleted takes to end; never longer than its grace period."""
BRIEF_SECONDS: Final = 1.0
"""How long a pod runs that ends by itself, where no stage says so."""
FIRST_BACK_OFF: Final = 10.0
LAST_BACK_OFF: Final = 300.0
"""How long a container that failed again rests before its next start."""
Move = Literal["start", "complete", "fail", "restart", "remove"]


class Stage(View, frozen=True, gc=False):
    """How pods that the selector selects behave; seconds. `failureRate`: the share of starts that end in failure.

    `cpu` and `memory` are what each container uses; empty: what it requests.
    """

    selector: LabelSelector | None = None
    startup: float | str = 0.5
    jitter: float = 0.5
    runs: float | str | None = None
    exitCode: int = 0
    failureRate: float = 0.0
    cpu: str = ""
    memory: str = ""

    def selects(self, pod: Pod) -> bool:
        return self.selector is None or self.selector.matches(pod.metadata.labels)


class _Document(View, frozen=True, gc=False, forbid_unknown_fields=True):
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """What a pod does next, and in how many seconds; `code`: with which exit code its containers end."""

    move: Move
    after: float
    code: int = 0


def load(path: Path) -> tuple[Stage, ...]:
    """The stages of a file. Raises ConfigError when it cannot be understood."""
    try:
        document = msgspec.convert(yaml.safe_load(path.read_text()) or {}, _Document)
        for stage in document.stages:
            seconds(stage.startup)
            seconds(stage.runs or 0)
            quantity.parse(stage.cpu or "0")
            quantity.parse(stage.memory or "0")
    except (OSError, yaml.YAMLError, msgspec.ValidationError, ValueError) as error:
        raise ConfigError(f"{path} holds no stages that can be understood: {error}") from error
    return document.stages


def seconds(value: float | str) -> float:
    """`0.5`, `"500ms"`, `"2s"` or `"1m"` in seconds. Raises ValueError."""
    if not isinstance(value, str):
        return float(value)
    for unit, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)):
        if value.endswith(unit):
            return float(value.removesuffix(unit)) * factor
    return quantity.parse(value).milli / 1000


def stage_of(pod: Pod, stages: Sequence[Stage]) -> Stage:
    """The first stage that selects the pod."""
    return next((one for one in stages if one.selects(pod)), Stage())


def is_over(pod: Pod) -> bool:
    """Whether the pod has ended for good."""
    return pod.status.phase in ("Succeeded", "Failed")


def next_step(pod: Pod, stages: Sequence[Stage], rng: random.Random) -> Step | None:
    """What a pod on a node does next by itself; None when it just goes on."""
    meta = pod.metadata
    if meta.deleting:
        return Step("remove", min(STOP_SECONDS, float(meta.deletionGracePeriodSeconds or 0)))
    if is_over(pod):
        return None
    stage = stage_of(pod, stages)
    if pod.status.phase != "Running" or not is_true(pod.status.conditions, "Ready"):
        delay = seconds(stage.startup) * rng.uniform(1 - stage.jitter, 1 + stage.jitter)
        return Step("start", delay + _back_off(pod))
    return _ending(pod, stage, rng)


def _back_off(pod: Pod) -> float:
    """How long a pod that failed rests; the first start anew comes at once."""
    if not pod.status.containerStatuses:
        return 0.0
    restarts = max(one.restartCount for one in pod.status.containerStatuses)
    return min(FIRST_BACK_OFF * 2.0 ** min(restarts - 1, 10), LAST_BACK_OFF) if restarts else 0.0


def _ending(pod: Pod, stage: Stage, rng: random.Random) -> Step | None:
    """How and when a running pod ends."""
    policy = pod.spec.restartPolicy
    fails = stage.exitCode != 0 or rng.random() < stage.failureRate
    if stage.runs is None and policy == "Always" and not fails:
        return None
    after = seconds(stage.runs) if stage.runs is not None else BRIEF_SECONDS
    code = (stage.exitCode or 1) if fails else 0
    if policy == "Always" or (policy == "OnFailure" and fails):
        return Step("restart", after, code)
    return Step("fail" if fails else "complete", after, code)


def status_after(pod: Pod, step: Step, ip: str, host_ip: str, now: float) -> Object:
    """The status, as a strategic merge patch, of a pod that has made a step."""
    stamp = times.format(now)
    match step.move:
        case "start":
            return _running(pod, ip, host_ip, stamp)
        case "restart":
            return {
                "conditions": _conditions(pod, "False", stamp),
                "containerStatuses": [_failed(pod, one.name, stamp, step.code) for one in _containers(pod)],
            }
        case "complete" | "fail":
            return _ended(pod, stamp, step.code)
        case "remove":
            return {}
        case _:
            assert_never(step.move)


def _running(pod: Pod, ip: str, host_ip: str, stamp: str) -> Object:
    address = pod.status.podIP or (host_ip if pod.spec.hostNetwork else ip)
    before = {one.name: one for one in pod.status.containerStatuses}
    containers = []
    for one in _containers(pod):
        known = before.get(one.name)
        status = _container(one, pod, stamp, known.restartCount + 1 if known is not None else 0, ready=True)
        if known is not None and (ended := known.state.terminated or known.lastState.terminated) is not None:
            last = ended.finishedAt or stamp
            status["lastState"] = {"terminated": _terminated(ended.exitCode, last, last)}
        containers.append(status)
    return {
        "phase": "Running",
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": pod.status.startTime or stamp,
        "conditions": _conditions(pod, "True", stamp),
        "containerStatuses": containers,
        **_prepared(pod, stamp),
    }


def _prepared(pod: Pod, stamp: str) -> Object:
    """The init containers of a pod that has started: side-cars run, the others are done."""
    if not pod.spec.initContainers:
        return {}
    done = {"terminated": _terminated(0, stamp, stamp)}
    statuses = []
    for one in pod.spec.initContainers:
        status = _container(one, pod, stamp, 0, ready=True)
        statuses.append(status if one.restartPolicy == "Always" else {**status, "started": False, "state": done})
    return {"initContainerStatuses": statuses}


def _failed(pod: Pod, name: str, stamp: str, code: int) -> Object:
    """A container that has ended and will start again, at once or when its back-off is over."""
    known = next((one for one in pod.status.containerStatuses if one.name == name), ContainerStatus())
    container = next(one for one in _containers(pod) if one.name == name)
    began = (known.state.running or {}).get("startedAt") or stamp
    status = {**_container(container, pod, stamp, known.restartCount, ready=False), "started": False}
    ended = {"terminated": _terminated(code, began, stamp)}
    pause = _back_off(pod)
    if not pause:
        return {**status, "state": ended}
    meta = pod.metadata
    text = f"back-off {pause:g}s restarting failed container={name} pod={meta.name}_{meta.namespace}({meta.uid})"
    return {**status, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": text}}, "lastState": ended}


def _ended(pod: Pod, stamp: str, code: int) -> Object:
    before = {one.name: one for one in pod.status.containerStatuses}
    containers = []
    for one in _containers(pod):
        known = before.get(one.name, ContainerStatus())
        began = (known.state.running or {}).get("startedAt") or stamp
        status = _container(one, pod, stamp, known.restartCount, ready=False)
        containers.append({**status, "started": False, "state": {"terminated": _terminated(code, began, stamp)}})
    return {
        "phase": "Failed" if code else "Succeeded",
        "conditions": _conditions(pod, "False", stamp, "" if code else "PodCompleted"),
        "containerStatuses": containers,
    }


def _terminated(code: int, began: str, stamp: str) -> Object:
    reason = "Error" if code else "Completed"
    return {"exitCode": code, "reason": reason, "startedAt": began, "finishedAt": stamp}


def _containers(pod: Pod) -> Sequence[Container]:
    return pod.spec.containers


def _container(container: Container, pod: Pod, stamp: str, restarts: int, *, ready: bool) -> Object:
    return {
        "name": container.name,
        "image": container.image,
        "imageID": "",
        "containerID": f"simulated://{pod.metadata.uid}-{container.name}-{restarts}",
        "ready": ready,
        "started": True,
        "restartCount": restarts,
        "state": {"running": {"startedAt": stamp}},
    }


def _conditions(pod: Pod, ready: str, stamp: str, reason: str = "") -> list[Mapping[str, Any]]:
    """The kubelet's conditions; with a change of Ready its time."""
    states = {"PodReadyToStartContainers": "True", "Initialized": "True", "Ready": ready, "ContainersReady": ready}
    found: list[Mapping[str, Any]] = []
    for kind, status in states.items():
        known = condition(pod.status.conditions, kind)
        if known is not None and known.status == status:
            continue
        found.append({"type": kind, "status": status, "lastTransitionTime": stamp, "reason": reason or None})
    return [{key: value for key, value in one.items() if value is not None} for one in found]
