"""One reading of a node's counters, from its /metrics/resource in the Prometheus text format.

Ref: https://kubernetes.io/docs/reference/instrumentation/node-metrics/
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

Container = tuple[str, str, str]
"""Namespace, pod and container."""

_LINE: Final = re.compile(r"(\w+)(?:\{(.*)\})?\s+(\S+)(?:\s+(-?\d+))?\s*")
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Point:
    """Counters at one moment; `started_at` is 0 where it is not known. Times are seconds since the epoch."""

    at: float
    cpu_seconds: float
    memory_bytes: int
    started_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What one node said: the machine as a whole, and its running containers."""

    machine: Point | None = None
    containers: Mapping[Container, Point] = field(default_factory=dict)


def parse(text: str, now: float) -> Sample:
    """Read the text; `now` dates values that carry no time. What lacks CPU or memory is left out."""
    found: dict[str, dict[Container, tuple[float, float]]] = {}
    for name, labels, value, at in _values(text, now):
        key = (labels.get("namespace", ""), labels.get("pod", ""), labels.get("container", ""))
        found.setdefault(name, {})[key] = (value, at)
    return Sample(_machine(found), _containers(found))


def _values(text: str, now: float) -> Iterator[tuple[str, Mapping[str, str], float, float]]:
    for line in text.splitlines():
        match = _LINE.fullmatch(line) if not line.startswith("#") else None
        if match is None:
            continue
        name, labels, value, stamp = match.groups()
        try:
            number = float(value)
        except ValueError:
            continue
        yield name, dict(_LABEL.findall(labels or "")), number, int(stamp) / 1000 if stamp else now


def _machine(found: Mapping[str, Mapping[Container, tuple[float, float]]]) -> Point | None:
    nowhere = ("", "", "")
    cpu = found.get("node_cpu_usage_seconds_total", {}).get(nowhere)
    memory = found.get("node_memory_working_set_bytes", {}).get(nowhere)
    return Point(cpu[1], cpu[0], int(memory[0])) if cpu is not None and memory is not None else None


def _containers(found: Mapping[str, Mapping[Container, tuple[float, float]]]) -> dict[Container, Point]:
    memory = found.get("container_memory_working_set_bytes", {})
    started = found.get("container_start_time_seconds", {})
    return {
        key: Point(at, seconds, int(memory[key][0]), started.get(key, (0.0, 0.0))[0])
        for key, (seconds, at) in found.get("container_cpu_usage_seconds_total", {}).items()
        if key in memory
    }
