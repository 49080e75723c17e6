"""What schedulers tell of themselves, under the names that dashboards of kube-scheduler know.

Ref: https://kubernetes.io/docs/reference/instrumentation/metrics/ (scheduler_*)
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from mizzen.base import metrics
from mizzen.base.metrics import Histogram

Result = Literal["scheduled", "unschedulable", "error"]
_SECONDS: Final = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192)
_NUMBERS: Final = (1, 2, 4, 8, 16, 32, 64)


class Measures:
    """Counts attempts by scheduler and outcome, how long they took, and what preemption did."""

    def __init__(self) -> None:
        self._attempts: Counter[tuple[str, Result]] = Counter()
        self._seconds: dict[tuple[str, Result], Histogram] = {}
        self._tries = Histogram(_NUMBERS)
        self._victims = Histogram(_NUMBERS)
        self._preemptions = 0

    def attempt(self, profile: str, result: Result, seconds: float) -> None:
        """Count one attempt, from the decision to what came of it."""
        key = (profile, result)
        self._attempts[key] += 1
        histogram = self._seconds.get(key)
        if histogram is None:
            histogram = self._seconds[key] = Histogram(_SECONDS)
        histogram.observe(seconds)

    def scheduled(self, attempts: int) -> None:
        """Count a pod that was placed after so many attempts."""
        self._tries.observe(attempts)

    def preemption(self, victims: int) -> None:
        """Count a look for victims, and how many were found."""
        self._preemptions += 1
        if victims:
            self._victims.observe(victims)

    def lines(self, waiting: Mapping[str, int]) -> Iterator[str]:
        """The samples, with the number of pods in each queue."""
        name, about = "scheduler_schedule_attempts_total", "Attempts to schedule a pod by outcome"
        yield from metrics.family(
            name, "counter", about, ((_shown(key), count) for key, count in self._attempts.items())
        )
        name, about = "scheduler_scheduling_attempt_duration_seconds", "Seconds from a decision to what came of it"
        yield from metrics.head(name, "histogram", about)
        for key, histogram in self._seconds.items():
            yield from histogram.lines(name, _shown(key))
        pending = ((metrics.labels({"queue": queue}), count) for queue, count in waiting.items())
        yield from metrics.family("scheduler_pending_pods", "gauge", "Pods that wait, by queue", pending)
        name = "scheduler_pod_scheduling_attempts"
        yield from metrics.head(name, "histogram", "Attempts until a pod had its node")
        yield from self._tries.lines(name, "")
        name, about = "scheduler_preemption_attempts_total", "How often victims were looked for"
        yield from metrics.family(name, "counter", about, (("", self._preemptions),))
        yield from metrics.head("scheduler_preemption_victims", "histogram", "Victims of one pod")
        yield from self._victims.lines("scheduler_preemption_victims", "")


def _shown(key: tuple[str, Result]) -> str:
    return metrics.labels({"profile": key[0], "result": key[1]})
