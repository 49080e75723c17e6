"""Wakes watchers: at once when little happens, and coalesced when much does.

The first ring is heard immediately; further ones within the pause are heard together at its end. The pause grows with
the number of listeners, since waking them is what costs; a crowd is woken in groups, with room for others in between.
"""

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Final

_SHORTEST_SECONDS: Final = 0.001
_LONGEST_SECONDS: Final = 0.05
_SECONDS_PER_LISTENER: Final = 0.00005
GROUP: Final = 16
"""Listeners that are woken before anybody else has a turn: little work, since a write takes several turns."""


class Bell:
    """One bell for all watchers of a resource."""

    def __init__(self) -> None:
        self._listening: set[asyncio.Future[None]] = set()
        self._ringing = False
        self._rung = False
        self.closed = False

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._listening)

    def ring(self) -> None:
        """Something changed."""
        if self._ringing:
            self._rung = True
            return
        listening, self._listening = self._listening, set()
        if not listening:
            return
        self._ringing = True
        pause = min(_LONGEST_SECONDS, max(_SHORTEST_SECONDS, len(listening) * _SECONDS_PER_LISTENER))
        self._wake(iter(listening), asyncio.get_running_loop().time() + pause)

    def close(self) -> None:
        """Let every listener go for good."""
        self.closed = True
        for listener in self._listening:
            if not listener.done():
                listener.set_result(None)

    def listen(self) -> asyncio.Future[None]:
        """A future that is done at the next wake-up; `leave` it to stop listening."""
        listener = asyncio.get_running_loop().create_future()
        self._listening.add(listener)
        return listener

    def leave(self, listener: asyncio.Future[None]) -> None:
        """Stop listening."""
        listener.cancel()
        self._listening.discard(listener)

    def _wake(self, listening: Iterator[asyncio.Future[None]], pause_ends: float) -> None:
        """Wake a group now, and the others after whoever else is waiting."""
        group = tuple(islice(listening, GROUP))
        for listener in group:
            if not listener.done():
                listener.set_result(None)
        loop = asyncio.get_running_loop()
        if len(group) == GROUP:
            loop.call_soon(self._wake, listening, pause_ends)
        else:
            loop.call_at(pause_ends, self._end_of_pause)

    def _end_of_pause(self) -> None:
        self._ringing = False
        if self._rung:
            self._rung = False
            self.ring()
