"""Events last an hour after they were last written; the API server removes them, as the original's store does.

Ref: https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/ (--event-ttl)
"""

import asyncio
import heapq
from typing import Final

from mizzen.api.kind import Kind
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError, Object
from mizzen.server.storage import Storage
from mizzen.server.watchcache import Entry, Event, decode_tail
from mizzen.store.base import Conflict

LIFETIME: Final = 3600.0
"""Seconds."""
_SWEEP_SECONDS: Final = 30.0
_TOGETHER: Final = 64
_log = log.get("expiry")


class Expiry:
    """Removes what has not been written for an hour of one kind; `start` once memory has caught up with the store."""

    def __init__(self, kind: Kind, storage: Storage, clock: Clock) -> None:
        self._kind = kind
        self._storage = storage
        self._clock = clock
        self._due: list[tuple[float, str, int]] = []
        self._task: asyncio.Task[None] | None = None
        storage.cacher.subscribe(kind.storage, self._changed)

    def start(self) -> None:
        """Sweep from now on."""
        self._task = asyncio.create_task(self._run(), name="expiry")

    async def close(self) -> None:
        """Sweep no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _changed(self, event: Event) -> None:
        entry = event.entry
        if entry is None:
            return
        # What is read at the start was written some time ago.
        age = 0.0 if self._task is not None else max(0.0, self._clock.now() - _written(decode_tail(entry.tail)))
        due = self._clock.monotonic() + max(0.0, LIFETIME - age)
        heapq.heappush(self._due, (due, entry.key, entry.revision))

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(_SWEEP_SECONDS)
            now = self._clock.monotonic()
            while self._due and self._due[0][0] <= now:
                some: list[Entry] = []
                while self._due and self._due[0][0] <= now and len(some) < _TOGETHER:
                    _, key, revision = heapq.heappop(self._due)
                    entry = self._storage.cacher.cache(self._kind.storage).entries.get(key)
                    if entry is not None and entry.revision == revision:
                        some.append(entry)
                await asyncio.gather(*map(self._remove, some))

    async def _remove(self, entry: Entry) -> None:
        async with self._storage.locks.hold(f"{self._kind.storage}/{entry.key}"):
            try:
                await self._storage.delete(self._kind, entry)
            except Conflict:
                return  # somebody was faster: it is gone, or has an hour more
            except (ApiError, OSError) as error:
                _log.error("an event stays", key=entry.key, error=str(error))
                heapq.heappush(self._due, (self._clock.monotonic() + LIFETIME, entry.key, entry.revision))


def _written(event: Object) -> float:
    """When an event was last written, as far as it tells."""
    told = (
        event["metadata"].get("creationTimestamp"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        (event.get("series") or {}).get("lastObservedTime"),
    )
    return max((times.parse(one) for one in told if one), default=0.0)
