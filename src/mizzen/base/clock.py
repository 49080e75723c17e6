"""Time is handed in: components receive a Clock and never read the machine's own.

`SystemClock` is the machine's; `VirtualClock` moves only when told, and wakes sleepers in order of their deadline.
"""

import asyncio
import heapq
import itertools
import time
from typing import Protocol


class Clock(Protocol):
    """Where a component takes its time from."""

    def now(self) -> float:
        """Seconds since the Unix epoch."""

    def monotonic(self) -> float:
        """Seconds that never go back, from an arbitrary start."""

    async def sleep(self, seconds: float) -> None:
        """Return once that many seconds of this clock have passed."""


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class VirtualClock:
    """Time that stands still until `advance` moves it; sleepers wake in the order of their deadlines."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._start = start
        self._elapsed = 0.0
        self._sequence = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._start + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waker: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._sequence), waker))
        await waker

    @property
    def next_deadline(self) -> float | None:
        """Seconds from now until the earliest sleeper is due; None when nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return max(0.0, self._sleepers[0][0] - self._elapsed) if self._sleepers else None

    async def advance(self, seconds: float) -> None:
        """Move time forward, letting every sleeper that falls due run before later ones."""
        target = self._elapsed + seconds
        woke = True
        while woke:
            woke = self.wake_next(target)
            await asyncio.sleep(0)

    def wake_next(self, until: float) -> bool:
        """Move time to the earliest sleeper and wake it, or else to `until` (monotonic): answers whether one woke."""
        due = self.next_deadline
        if due is None or self._elapsed + due > until:
            self._elapsed = max(self._elapsed, until)
            return False
        self._elapsed += due
        _, _, waker = heapq.heappop(self._sleepers)
        waker.set_result(None)
        return True
