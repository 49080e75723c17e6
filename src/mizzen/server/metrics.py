"""Request metrics, counted in plain dicts on the hot path and shown in Prometheus' text format when asked.

Ref: https://kubernetes.io/docs/reference/instrumentation/metrics/
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from mizzen.base import metrics
from mizzen.base.metrics import Histogram
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
_READS: Final = frozenset({"get", "list", "watch", "head", "options"})
_LONG: Final = frozenset({"watch", "proxy", "connect"})
_SERIES_LIMIT: Final = 4_096
_SECONDS: Final = "apiserver_request_duration_seconds"
_SLI_SECONDS: Final = "apiserver_request_sli_duration_seconds"

_Labels = tuple[str, str, str, str, str, str]


class Metrics:
    """Counts requests by verb, group, version, resource, subresource and scope."""

    def __init__(self) -> None:
        self._totals: dict[tuple[_Labels, str, int], int] = {}
        self._seconds: dict[_Labels, Histogram] = {}
        self._waiting = {"readOnly": 0, "mutating": 0}
        self.others: list[Callable[[], Iterable[str]]] = []
        """Lines that others add."""

    def observe(self, dry_run: str, info: RequestInfo, status: int, seconds: float) -> None:
        """Count one request."""
        labels = (info.verb, info.group, info.version, info.resource, info.subresource, _scope(info))
        histogram = self._seconds.get(labels)
        if histogram is None:
            if len(self._seconds) >= _SERIES_LIMIT:
                return
            histogram = self._seconds[labels] = Histogram(_BOUNDS)
        histogram.observe(seconds)
        key = (labels, "All" if dry_run == "All" else "", status)
        self._totals[key] = self._totals.get(key, 0) + 1

    def begin(self, info: RequestInfo) -> None:
        """A request waits for its answer; `end` it."""
        self._waiting["readOnly" if info.verb in _READS else "mutating"] += 1

    def end(self, info: RequestInfo) -> None:
        """It has its answer."""
        self._waiting["readOnly" if info.verb in _READS else "mutating"] -= 1

    def render(self) -> bytes:
        """All metrics as text, those of the process included."""
        from prometheus_client import REGISTRY, generate_latest

        lines = [*self._requests(), *self._durations()]
        for other in self.others:
            lines += other()
        return "\n".join(lines).encode() + b"\n" + generate_latest(REGISTRY)

    def _requests(self) -> Iterator[str]:
        name, about = "apiserver_request_total", "Requests by what they asked for and how they were answered"
        yield from metrics.head(name, "counter", about)
        for (labels, dry_run, status), count in self._totals.items():
            yield f'{name}{{{_shown(labels)},dry_run="{dry_run}",code="{status}"}} {count}'
        waiting = ((metrics.labels({"request_kind": kind}), count) for kind, count in self._waiting.items())
        yield from metrics.family(
            "apiserver_current_inflight_requests", "gauge", "Requests that wait for their answer", waiting
        )

    def _durations(self) -> Iterator[str]:
        yield from metrics.head(_SECONDS, "histogram", "Seconds until the answer began")
        for labels, histogram in self._seconds.items():
            yield from histogram.lines(_SECONDS, _shown(labels))
        yield from metrics.head(_SLI_SECONDS, "histogram", "The same without requests that last, webhooks included")
        for labels, histogram in self._seconds.items():
            if labels[0] not in _LONG:
                yield from histogram.lines(_SLI_SECONDS, _shown(labels))


def stored(sizes: Iterable[tuple[str, int, int]]) -> Iterator[str]:
    """How much is stored and who watches it: storage prefix, objects, watchers of each resource."""
    held: list[tuple[str, int]] = []
    whole: list[tuple[str, int]] = []
    waiting: list[tuple[str, int]] = []
    for storage, objects, watchers in sizes:
        group, _, plural = storage.rpartition("/")
        shown = metrics.labels({"group": group, "resource": plural})
        held.append((shown, objects))
        whole.append((metrics.labels({"resource": f"{plural}.{group}" if group else plural}), objects))
        if watchers:
            waiting.append((f'verb="WATCH",{shown}', watchers))
    yield from metrics.family("apiserver_resource_objects", "gauge", "Objects that are stored", held)
    yield from metrics.family("apiserver_storage_objects", "gauge", "The same by resource", whole)
    yield from metrics.family("apiserver_longrunning_requests", "gauge", "Watchers that wait", waiting)


def _scope(info: RequestInfo) -> str:
    """What a request is about: one object, a namespace, or the cluster."""
    if info.name:
        return "resource"
    if not info.resource:
        return ""
    return "namespace" if info.namespace else "cluster"


def _shown(labels: _Labels) -> str:
    verb, group, version, resource, subresource, scope = labels
    return metrics.labels(
        {
            "verb": _SHOWN_VERBS.get(verb, verb.upper()),
            "group": group,
            "version": version,
            "resource": resource,
            "subresource": subresource,
            "scope": scope,
            "component": "apiserver",
        }
    )
