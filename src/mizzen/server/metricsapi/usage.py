"""Usage over a window: what two samples of a node's counters say together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from mizzen.server.metricsapi.samples import Container, Point, Sample

YOUNG_SECONDS: Final = 30.0
"""A container at most this old is measured from its start when there is no earlier sample of it."""
SHORTEST_SECONDS: Final = 0.5
"""CPU time divided by less than this says nothing."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used in the `window` seconds before `at`: CPU on average, memory at the end."""

    at: float
    window: float
    cpu_nanocores: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Reading:
    """The latest sample of a node and the usage up to it; pods are keyed by namespace and name."""

    sample: Sample = field(default_factory=Sample)
    machine: Usage | None = None
    pods: Mapping[tuple[str, str], Mapping[str, Usage]] = field(default_factory=dict)


def read(before: Reading, sample: Sample) -> Reading:
    """Fold a new sample in. A pod shows only when all of its containers can be measured."""
    last = before.sample.machine
    if last is not None and sample.machine is not None and sample.machine.at - last.at < SHORTEST_SECONDS:
        return before
    pods: dict[tuple[str, str], dict[str, Usage]] = {}
    unmeasured: set[tuple[str, str]] = set()
    for key, point in sample.containers.items():
        namespace, pod, container = key
        used = _between(_earlier(before.sample, key, point), point)
        if used is None:
            unmeasured.add((namespace, pod))
        else:
            pods.setdefault((namespace, pod), {})[container] = used
    measured = {pod: used for pod, used in pods.items() if pod not in unmeasured}
    machine = _between(before.sample.machine, sample.machine) if sample.machine is not None else None
    return Reading(sample, machine, measured)


def _earlier(before: Sample, key: Container, point: Point) -> Point | None:
    """The point to measure from: the same run of the container earlier, or its start when it is young."""
    known = before.containers.get(key)
    if known is not None and known.started_at == point.started_at:
        return known
    if point.started_at and point.at - point.started_at <= YOUNG_SECONDS:
        return Point(point.started_at, 0.0, 0, point.started_at)
    return None


def _between(before: Point | None, after: Point) -> Usage | None:
    if before is None or after.cpu_seconds < before.cpu_seconds:
        return None
    window = after.at - before.at
    if window < SHORTEST_SECONDS:
        return None
    nanocores = round((after.cpu_seconds - before.cpu_seconds) / window * 1e9)
    return Usage(after.at, window, nanocores, after.memory_bytes)
