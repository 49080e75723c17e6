"""From what pods use to how many there should be: pods that are not ready, or whose usage is not known, never tip it.

Ref: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mizzen.api.views.core import Pod
from mizzen.api.views.meta import condition
from mizzen.machinery import times

_INITIAL = 300.0
"""Seconds after its start in which a pod's CPU usage counts only when measured since it became ready."""
_READINESS = 30.0
"""Seconds after its start in which a pod that turned unready has never been ready."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a pod used, in billionths, measured until `at` over `window` seconds."""

    value: int
    at: float = 0.0
    window: float = 0.0


@dataclass(frozen=True, slots=True)
class Goal:
    """What usage is compared with: a share of all requests, or so much for each pod; and what change is too small."""

    tolerance: tuple[float, float]
    each: int = 0
    percent: int = 0
    requests: Mapping[str, int] | None = None

    def ratio(self, usage: Mapping[str, int]) -> float:
        if self.requests is None:
            return sum(usage.values()) / max(1, len(usage)) / max(1, self.each)
        return self.share(usage) / max(1, self.percent)

    def share(self, usage: Mapping[str, int]) -> int:
        """Usage in percent of what the same pods request."""
        requested = sum((self.requests or {}).get(name, 0) for name in usage)
        return sum(usage.values()) * 100 // max(1, requested)

    def is_close(self, ratio: float) -> bool:
        up, down = self.tolerance
        return 1 - down <= ratio <= 1 + up

    def stand_in(self, name: str) -> int:
        """What a pod of unknown usage is taken to use when there would be fewer: at least what it was given."""
        if self.requests is None:
            return self.each
        return self.requests.get(name, 0) * max(100, self.percent) // 100


@dataclass(frozen=True, slots=True)
class Groups:
    """Pods whose usage counts, those that are not up yet, and those whose usage is not known."""

    usage: Mapping[str, int]
    waiting: tuple[str, ...]
    missing: tuple[str, ...]


def grouped(pods: Iterable[Pod], samples: Mapping[str, Sample], now: float, *, cpu: bool) -> Groups:
    """Tell a target's pods apart; for CPU, what a pod uses while it starts does not count."""
    usage: dict[str, int] = {}
    waiting: list[str] = []
    missing: list[str] = []
    for pod in pods:
        name = pod.metadata.name
        if pod.metadata.deleting or pod.status.phase in ("Failed", "Succeeded"):
            continue
        sample = samples.get(name)
        if pod.status.phase == "Pending":
            waiting.append(name)
        elif sample is None:
            missing.append(name)
        elif cpu and _is_starting(pod, sample, now):
            waiting.append(name)
        else:
            usage[name] = sample.value
    return Groups(usage, tuple(waiting), tuple(missing))


def _is_starting(pod: Pod, sample: Sample, now: float) -> bool:
    ready = condition(pod.status.conditions, "Ready")
    if ready is None or not pod.status.startTime:
        return True
    started = times.parse(pod.status.startTime)
    since = times.parse(ready.lastTransitionTime) if ready.lastTransitionTime else 0.0
    if started + _INITIAL > now:
        return ready.status == "False" or sample.at < since + sample.window
    return ready.status == "False" and started + _READINESS > since


def replicas(groups: Groups, goal: Goal, have: int) -> int:
    """How many replicas would bring usage to the goal."""
    ratio = goal.ratio(groups.usage)
    grows = ratio > 1
    idle = groups.waiting if grows else ()
    if not idle and not groups.missing:
        return have if goal.is_close(ratio) else math.ceil(ratio * len(groups.usage))
    usage = dict(groups.usage)
    usage |= {name: 0 if grows else goal.stand_in(name) for name in groups.missing}
    usage |= dict.fromkeys(idle, 0)
    again = goal.ratio(usage)
    if goal.is_close(again) or (ratio < 1 < again) or (again < 1 < ratio):
        return have
    wanted = math.ceil(again * len(usage))
    turned = (again < 1 and wanted > have) or (again > 1 and wanted < have)
    return have if turned else wanted
