"""What a controller's queue and its work look like from outside, under the names that dashboards know.

Ref: https://kubernetes.io/docs/reference/instrumentation/metrics/ (workqueue_*)
"""

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from mizzen.base import metrics
from mizzen.base.metrics import Histogram

_BOUNDS: Final = (1e-08, 1e-07, 1e-06, 1e-05, 0.0001, 0.001, 0.01, 0.1, 1.0, 10.0)


class Queue(Protocol):
    """As much of a work queue as is shown."""

    def __len__(self) -> int: ...

    @property
    def busy(self) -> int: ...


class Measures:
    """Measures one controller: what comes, how long it waits, how long it is worked on."""

    def __init__(self, name: str, queue: Queue) -> None:
        self.shown = metrics.labels({"name": name})
        self.queue = queue
        self.adds = 0
        self.retries = 0
        self.waited = Histogram(_BOUNDS)
        self.worked = Histogram(_BOUNDS)
        self._came: dict[str, float] = {}
        self._begun: dict[str, float] = {}

    def came(self, key: str, now: float) -> None:
        """A key is due."""
        if key not in self._came:
            self.adds += 1
            self._came[key] = now

    def begun(self, key: str, now: float) -> None:
        """Work on a key begins."""
        came = self._came.pop(key, None)
        if came is None:
            self.adds += 1
        self.waited.observe(0.0 if came is None else now - came)
        self._begun[key] = now

    def done(self, key: str, now: float) -> None:
        """Work on a key has ended."""
        self.worked.observe(now - self._begun.pop(key, now))

    def unfinished(self, now: float) -> tuple[float, float]:
        """Seconds of work under way: all together, and the longest."""
        ages = [now - begun for begun in self._begun.values()]
        return sum(ages), max(ages, default=0.0)


def lines(all_measures: Sequence[Measures], now: float) -> Iterator[str]:
    """All controllers in Prometheus' text format."""
    numbers = (
        ("adds_total", "counter", "Keys that came to be worked on", lambda one: one.adds),
        ("retries_total", "counter", "Keys that are worked on again after a failure", lambda one: one.retries),
        ("depth", "gauge", "Keys that wait", lambda one: len(one.queue)),
        ("unfinished_work_seconds", "gauge", "Seconds of work under way", lambda one: one.unfinished(now)[0]),
        ("longest_running_processor_seconds", "gauge", "The longest of it", lambda one: one.unfinished(now)[1]),
    )
    for name, kind, about, value in numbers:
        samples = ((one.shown, value(one)) for one in all_measures)
        yield from metrics.family(f"workqueue_{name}", kind, about, samples)
    name = "workqueue_queue_duration_seconds"
    yield from metrics.head(name, "histogram", "Seconds that a key waits")
    for one in all_measures:
        yield from one.waited.lines(name, one.shown)
    name = "workqueue_work_duration_seconds"
    yield from metrics.head(name, "histogram", "Seconds of work on a key")
    for one in all_measures:
        yield from one.worked.lines(name, one.shown)
