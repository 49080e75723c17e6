"""Request metrics, counted in plain dicts on the hot path and shown in Prometheus' text format when asked."""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Final

from mizzen.server.requestinfo import RequestInfo

_BOUNDS: Final = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60)
_SHOWN_VERBS: Final = {
    "get": "GET",
    "list": "LIST",
    "watch": "WATCH",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETECOLLECTION",
}
_SERIES_LIMIT: Final = 4_096

_Labels = tuple[str, str, str, str, str]


class Metrics:
    """Counts requests by verb, group, version, resource and subresource."""

    def __init__(self) -> None:
        self._totals: dict[tuple[_Labels, int], int] = {}
        self._buckets: dict[_Labels, list[int]] = {}
        self._seconds: dict[_Labels, float] = {}
        self.others: list[Callable[[], Iterable[str]]] = []
        """Lines that others add."""

    def observe(self, _method: str, info: RequestInfo, status: int, seconds: float) -> None:
        """Count one request."""
        labels = (info.verb, info.group, info.version, info.resource, info.subresource)
        buckets = self._buckets.get(labels)
        if buckets is None:
            if len(self._buckets) >= _SERIES_LIMIT:
                return
            buckets = self._buckets[labels] = [0] * (len(_BOUNDS) + 1)
            self._seconds[labels] = 0.0
        buckets[bisect_left(_BOUNDS, seconds)] += 1
        self._seconds[labels] += seconds
        key = (labels, status)
        self._totals[key] = self._totals.get(key, 0) + 1

    def render(self) -> bytes:
        """All metrics as text, those of the process included."""
        from prometheus_client import REGISTRY, generate_latest

        lines = ["# TYPE apiserver_request_total counter"]
        for (labels, status), count in self._totals.items():
            lines.append(f'apiserver_request_total{{{_shown(labels)},code="{status}"}} {count}')
        lines.append("# TYPE apiserver_request_duration_seconds histogram")
        for labels, buckets in self._buckets.items():
            lines += _histogram(labels, buckets, self._seconds[labels])
        for other in self.others:
            lines += other()
        return "\n".join(lines).encode() + b"\n" + generate_latest(REGISTRY)


def _histogram(labels: _Labels, buckets: list[int], seconds: float) -> list[str]:
    name, shown = "apiserver_request_duration_seconds", _shown(labels)
    lines, total = [], 0
    for bound, count in zip(_BOUNDS, buckets, strict=False):
        total += count
        lines.append(f'{name}_bucket{{{shown},le="{bound}"}} {total}')
    total += buckets[-1]
    lines.append(f'{name}_bucket{{{shown},le="+Inf"}} {total}')
    lines.append(f"{name}_sum{{{shown}}} {seconds:.6f}")
    lines.append(f"{name}_count{{{shown}}} {total}")
    return lines


def _shown(labels: _Labels) -> str:
    verb, group, version, resource, subresource = labels
    pairs = {
        "verb": _SHOWN_VERBS.get(verb, verb.upper()),
        "group": group,
        "version": version,
        "resource": resource,
        "subresource": subresource,
    }
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs.items())


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
