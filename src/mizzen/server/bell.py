"""Wakes watchers: at once when little happens, and coalesced when much does.

The first ring is heard immediately; further ones within the pause are heard together at its end. The pause grows with
the number of listeners, since waking them is what costs.
"""

import asyncio
from typing import Final

_SHORTEST_SECONDS: Final = 0.001
_LONGEST_SECONDS: Final = 0.05
_SECONDS_PER_LISTENER: Final = 0.00005


class Bell:
    """One bell for all watchers of a resource."""

    def __init__(self) -> None:
        self._listening: set[asyncio.Future[None]] = set()
        self._pausing = False
        self._rung = False
        self.closed = False

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._listening)

    def ring(self) -> None:
        """Something changed."""
        if self._pausing:
            self._rung = True
            return
        listeners = self._wake()
        if not listeners:
            return
        self._pausing = True
        pause = min(_LONGEST_SECONDS, max(_SHORTEST_SECONDS, listeners * _SECONDS_PER_LISTENER))
        asyncio.get_running_loop().call_later(pause, self._end_of_pause)

    def close(self) -> None:
        """Let every listener go for good."""
        self.closed = True
        self._wake()

    def listen(self) -> asyncio.Future[None]:
        """A future that is done at the next wake-up; `leave` it to stop listening."""
        listener = asyncio.get_running_loop().create_future()
        self._listening.add(listener)
        return listener

    def leave(self, listener: asyncio.Future[None]) -> None:
        """Stop listening."""
        listener.cancel()
        self._listening.discard(listener)

    def _wake(self) -> int:
        listening, self._listening = self._listening, set()
        woken = 0
        for listener in listening:
            if not listener.done():
                listener.set_result(None)
                woken += 1
        return woken

    def _end_of_pause(self) -> None:
        self._pausing = False
        if self._rung:
            self._rung = False
            self.ring()
