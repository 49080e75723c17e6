"""Keys waiting to be worked on: each at most once, none twice at the same time, failing ones ever later.

The queue keeps no clock and never sleeps; its owner says what time it is and asks when the next key falls due.
"""

import heapq
import itertools
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delay in seconds after the n-th failure in a row: first, then doubled, never above longest."""

    first: float = 0.005
    longest: float = 1000.0

    def delay(self, failures: int) -> float:
        return min(self.longest, self.first * 2.0 ** min(failures - 1, 40))


class WorkQueue:
    """A set of due keys in order of arrival, and a heap of later ones."""

    def __init__(self, backoff: Backoff | None = None) -> None:
        self._backoff = backoff or Backoff()
        self._due: deque[str] = deque()
        self._waiting: set[str] = set()
        self._busy: set[str] = set()
        self._again: set[str] = set()
        self._later: list[tuple[float, int, str]] = []
        self._when: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._sequence = itertools.count()

    def __len__(self) -> int:
        """Due keys."""
        return len(self._due)

    @property
    def busy(self) -> int:
        return len(self._busy)

    def add(self, key: str) -> None:
        """Work on this key soon; once more after it is done, if it is being worked on now."""
        if key in self._busy:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._due.append(key)

    def add_at(self, key: str, when: float) -> None:
        """Work on this key at a time; the earliest time wins."""
        if when >= self._when.get(key, float("inf")):
            return
        self._when[key] = when
        heapq.heappush(self._later, (when, next(self._sequence), key))

    def hasten(self) -> None:
        """Work on all later keys soon."""
        for key in self._when:
            self.add(key)
        self._when.clear()
        self._later.clear()

    def take(self, now: float) -> str | None:
        """The next due key, to be given back by `done`; None when nothing is due."""
        while self._later and self._later[0][0] <= now:
            when, _, key = heapq.heappop(self._later)
            if self._when.get(key) == when:
                del self._when[key]
                self.add(key)
        if not self._due:
            return None
        key = self._due.popleft()
        self._waiting.discard(key)
        self._busy.add(key)
        return key

    def done(self, key: str) -> None:
        """Give a key back."""
        self._busy.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def failed(self, key: str, now: float) -> float:
        """Work on this key again after its backoff; answers the delay in seconds."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = self._backoff.delay(failures)
        self.add_at(key, now + delay)
        return delay

    def succeeded(self, key: str) -> None:
        """Forget the key's failures."""
        self._failures.pop(key, None)

    def next_due(self) -> float | None:
        """When the earliest later key falls due."""
        while self._later and self._when.get(self._later[0][2]) != self._later[0][0]:
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else None
