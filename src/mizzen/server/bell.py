"""Wakes the watchers whom a change concerns: at once when little happens, and coalesced when much does.

The first ring is heard immediately; further ones within the pause are heard together at its end. The pause grows with
the number of those woken, since waking them is what costs; a crowd is woken in groups, with room for others in between.
"""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from mizzen.server.watchcache import Event, Expired, WatchCache

_SHORTEST_SECONDS: Final = 0.001
_LONGEST_SECONDS: Final = 0.05
_SECONDS_PER_LISTENER: Final = 0.00005
GROUP: Final = 16
"""Listeners that are woken before anybody else has a turn: little work, since a write takes several turns."""

Topic = tuple[int, str]
"""What somebody wants to hear of: objects with a value in an indexed field (by its position), or one of these."""
EVERYTHING: Final[Topic] = (-3, "")
NAMESPACE: Final = -2
NAME: Final = -1


class Listener:
    """One watcher that waits."""

    __slots__ = ("first", "topic", "woken")

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.first: int | None = None
        """The position of the first change that concerns it, once there is one."""


class Bell:
    """One bell for all watchers of a resource."""

    def __init__(self, cache: WatchCache) -> None:
        self._cache = cache
        self._heard = cache.end
        """The position up to which everybody was told of the changes that concern him."""
        self._listening: dict[int, dict[str, set[Listener]]] = {}
        self._ringing = False
        self.closed = False

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return sum(len(listening) for values in self._listening.values() for listening in values.values())

    def ring(self) -> None:
        """Something changed."""
        if self._ringing:
            return
        woken = self._concerned()
        self._heard = self._cache.end
        if not woken:
            return
        self._ringing = True
        pause = min(_LONGEST_SECONDS, max(_SHORTEST_SECONDS, len(woken) * _SECONDS_PER_LISTENER))
        self._wake(iter(woken), asyncio.get_running_loop().time() + pause)

    def close(self) -> None:
        """Let every listener go for good."""
        self.closed = True
        for listener in self._everybody():
            if not listener.woken.done():
                listener.woken.set_result(None)

    def listen(self, topic: Topic) -> Listener:
        """Wait for changes that concern a topic, from the cache's end on; `leave` to stop listening."""
        listener = Listener(topic)
        self._listening.setdefault(topic[0], {}).setdefault(topic[1], set()).add(listener)
        return listener

    def leave(self, listener: Listener) -> int:
        """Stop listening; answers the position before which nothing concerned the listener."""
        listener.woken.cancel()
        slot, value = listener.topic
        values = self._listening.get(slot, {})
        listening = values.get(value)
        if listening is not None:
            listening.discard(listener)
            if not listening:
                del values[value]
                if not values:
                    del self._listening[slot]
        return self._heard if listener.first is None else listener.first

    def _concerned(self) -> list[Listener]:
        """Those whom the changes since the last ring concern; they listen no more."""
        if not self._listening:
            return []
        try:
            events = self._cache.since(self._heard)
        except Expired:
            everybody, self._listening = self._everybody(), {}
            return _told(everybody, self._heard)
        woken: list[Listener] = []
        for slot, values in tuple(self._listening.items()):
            for position, event in enumerate(events, self._heard):
                for value in _values(event, slot):
                    woken += _told(values.pop(value, ()), position)
                if not values:
                    del self._listening[slot]
                    break
        return woken

    def _everybody(self) -> list[Listener]:
        return [one for values in self._listening.values() for listening in values.values() for one in listening]

    def _wake(self, listening: Iterator[Listener], pause_ends: float) -> None:
        """Wake a group now, and the others after whoever else is waiting."""
        group = tuple(islice(listening, GROUP))
        for listener in group:
            if not listener.woken.done():
                listener.woken.set_result(None)
        loop = asyncio.get_running_loop()
        if len(group) == GROUP:
            loop.call_soon(self._wake, listening, pause_ends)
        else:
            loop.call_at(pause_ends, self._end_of_pause)

    def _end_of_pause(self) -> None:
        self._ringing = False
        if self._heard != self._cache.end:
            self.ring()


def _told(listeners: Iterable[Listener], position: int) -> list[Listener]:
    found = list(listeners)
    for listener in found:
        listener.first = position
    return found


def _values(event: Event, slot: int) -> tuple[str, ...]:
    """What a change says about a topic: the values before and after it."""
    if slot == EVERYTHING[0]:
        return ("",)
    if slot < 0:
        return (event.key.rpartition("/")[0 if slot == NAMESPACE else 2],)
    fields = [one.fields[slot] for one in (event.entry, event.previous) if one is not None]
    return tuple(fields[:1]) if fields[0] == fields[-1] else tuple(fields)
