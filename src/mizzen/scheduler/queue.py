"""Pods that wait: ready ones by priority and age, failed ones until something changes that may help them.

A pod that failed waits in `stuck` for an event that one of the plugins that rejected it is woken by, then serves its
back-off (1 s doubling to 10 s), then is ready again. After five minutes it is tried again in any case.
"""

import heapq
import itertools
from dataclasses import dataclass, field
from typing import Final

from mizzen.scheduler.framework import Event
from mizzen.scheduler.snapshot import PodInfo

FIRST_BACKOFF: Final = 1.0
LAST_BACKOFF: Final = 10.0
STUCK_SECONDS: Final = 300.0


@dataclass(slots=True, eq=False)
class Waiting:
    """A pod in the queue: how often it failed, since when, and which plugins were against it."""

    pod: PodInfo
    added: float
    attempts: int = 0
    failed_at: float = 0.0
    plugins: frozenset[str] = frozenset()

    @property
    def backoff_ends(self) -> float:
        if not self.attempts:
            return 0.0
        return self.failed_at + min(FIRST_BACKOFF * 2.0 ** min(self.attempts - 1, 10), LAST_BACKOFF)


@dataclass(slots=True)
class Queue:
    """`wakes` says for each plugin which events may change its mind."""

    wakes: dict[str, frozenset[Event]]
    _ready: list[tuple[int, float, int, Waiting]] = field(default_factory=list)
    _backing_off: list[tuple[float, int, Waiting]] = field(default_factory=list)
    _stuck: dict[str, Waiting] = field(default_factory=dict)
    _known: dict[str, Waiting] = field(default_factory=dict)
    _sequence: "itertools.count[int]" = field(default_factory=itertools.count)
    _event_seen: float = -1.0

    def __len__(self) -> int:
        return len(self._known)

    def add(self, pod: PodInfo, now: float) -> None:
        """Add a pod, or replace what is known of it; a pod whose spec changed may be schedulable now."""
        known = self._known.get(pod.key)
        if known is None:
            self._known[pod.key] = known = Waiting(pod, now)
            self._make_ready(known)
            return
        changed = known.pod.pod.spec != pod.pod.spec or known.pod.pod.metadata.labels != pod.pod.metadata.labels
        known.pod = pod
        if changed and self._stuck.pop(pod.key, None) is not None:
            self._make_ready(known)

    def remove(self, key: str) -> None:
        """Forget a pod."""
        self._known.pop(key, None)
        self._stuck.pop(key, None)

    def pop(self, now: float) -> Waiting | None:
        """The next pod to decide, or None."""
        self._release(now)
        while self._ready:
            waiting = heapq.heappop(self._ready)[3]
            if self._known.get(waiting.pod.key) is waiting:
                return waiting
        return None

    def failed(self, waiting: Waiting, plugins: frozenset[str], now: float, popped_at: float) -> None:
        """Put back a pod that could not be placed; what happened since it was taken counts for it too."""
        if self._known.get(waiting.pod.key) is not waiting:
            return
        waiting.attempts += 1
        waiting.failed_at = now
        waiting.plugins = plugins
        if self._event_seen > popped_at:
            self._back_off(waiting)
        else:
            self._stuck[waiting.pod.key] = waiting

    def retry(self, waiting: Waiting, now: float) -> None:
        """Put back a pod whose placement did not go through (a lost write, a conflict): try again after back-off."""
        if self._known.get(waiting.pod.key) is waiting:
            waiting.attempts += 1
            waiting.failed_at = now
            self._back_off(waiting)

    def wake(self, event: Event, now: float) -> None:
        """Something happened: pods that it may help serve their back-off and are tried again."""
        self._event_seen = now
        helped = [
            key
            for key, waiting in self._stuck.items()
            if not waiting.plugins or any(event in self.wakes.get(name, ()) for name in waiting.plugins)
        ]
        for key in helped:
            self._back_off(self._stuck.pop(key))

    def next_time(self) -> float | None:
        """When the queue next has something to do by itself; None when it waits for events alone."""
        times = [self._backing_off[0][0]] if self._backing_off else []
        times += [min(one.failed_at for one in self._stuck.values()) + STUCK_SECONDS] if self._stuck else []
        return min(times, default=None)

    def _back_off(self, waiting: Waiting) -> None:
        heapq.heappush(self._backing_off, (waiting.backoff_ends, next(self._sequence), waiting))

    def _make_ready(self, waiting: Waiting) -> None:
        entry = (-waiting.pod.priority, waiting.added, next(self._sequence), waiting)
        heapq.heappush(self._ready, entry)

    def _release(self, now: float) -> None:
        while self._backing_off and self._backing_off[0][0] <= now:
            self._make_ready(heapq.heappop(self._backing_off)[2])
        overdue = [key for key, one in self._stuck.items() if now - one.failed_at >= STUCK_SECONDS]
        for key in overdue:
            self._make_ready(self._stuck.pop(key))
