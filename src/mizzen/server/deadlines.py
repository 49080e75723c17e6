"""Ends of watches and times of their bookmarks, for any number of watchers with one sleeping task."""

import asyncio
import heapq
import itertools
from typing import Final

from mizzen.base.clock import Clock

_FIRST_PRUNE: Final = 256
_BEFORE_END: Final = 2.0
"""Seconds before its end that a watch gets a last bookmark, so that its client resumes from near there."""


class Deadline:
    """When a watch ends and when it is due a bookmark; wakes the watcher's current listener."""

    __slots__ = ("_tick", "cancelled", "last", "listener", "over", "period")

    def __init__(self, period: float, last: float) -> None:
        self.period = period
        self.last = last
        self.over = False
        self.cancelled = False
        self.listener: asyncio.Future[None] | None = None
        self._tick = False

    def take_tick(self) -> bool:
        """Whether a bookmark is due; it is due once."""
        due, self._tick = self._tick, False
        return due

    def cancel(self) -> None:
        """The watcher is gone."""
        self.cancelled = True
        self.listener = None

    def strike(self, *, end: bool) -> None:
        """Time is up for a bookmark or for the watch."""
        if end:
            self.over = True
        else:
            self._tick = True
        if self.listener is not None and not self.listener.done():
            self.listener.set_result(None)


class Deadlines:
    """Strikes deadlines in order of their time, by one clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, Deadline, bool]] = []
        self._sequence = itertools.count()
        self._task: asyncio.Task[None] | None = None
        self._next = 0.0
        self._prune_at = _FIRST_PRUNE

    def start(self, timeout: float, period: float) -> Deadline:
        """A deadline after `timeout` seconds; a bookmark every `period` (0: none) and shortly before the end."""
        now = self._clock.monotonic()
        deadline = Deadline(period, now + timeout - _BEFORE_END)
        if len(self._due) >= self._prune_at:
            self._prune()
        self._push(now + timeout, deadline, end=True)
        if period and now < deadline.last:
            self._push(min(now + period, deadline.last), deadline, end=False)
        return deadline

    def close(self) -> None:
        """Strike nothing any more."""
        if self._task is not None:
            self._task.cancel()

    def _prune(self) -> None:
        """Forget those whose watchers left long before their time."""
        self._due = [one for one in self._due if not one[2].cancelled]
        heapq.heapify(self._due)
        self._prune_at = max(_FIRST_PRUNE, 2 * len(self._due))

    def _push(self, when: float, deadline: Deadline, *, end: bool) -> None:
        heapq.heappush(self._due, (when, next(self._sequence), deadline, end))
        if self._task is None or when < self._next:
            if self._task is not None:
                self._task.cancel()
            self._next = when
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while self._due:
            when, _, deadline, end = self._due[0]
            if deadline.cancelled:
                heapq.heappop(self._due)
                continue
            wait = when - self._clock.monotonic()
            if wait > 0:
                self._next = when
                await self._clock.sleep(wait)
                continue
            heapq.heappop(self._due)
            deadline.strike(end=end)
            if not end and when < deadline.last:
                after = min(when + deadline.period, deadline.last)
                heapq.heappush(self._due, (after, next(self._sequence), deadline, False))
        self._task = None
