"""Watch answers: first what there is, if asked for, then every event that concerns the watcher, until a deadline.

A watcher is a cursor into the cache's history: it holds no queue, and one that falls behind the history is ended, to
resume by revision. Events without selectors are encoded once for all watchers.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from mizzen.api.kind import Converter
from mizzen.machinery.errors import Errors
from mizzen.server.bell import EVERYTHING, NAMESPACE, Bell, Topic
from mizzen.server.deadlines import Deadlines
from mizzen.server.representation import Representation
from mizzen.server.selection import Selection
from mizzen.server.watchcache import Entry, Event, Expired, WatchCache, at_revision

BOOKMARK_SECONDS: Final = 60.0
_CHUNK_EVENTS: Final = 500
"""Events in one piece of an answer, so that a long replay leaves room for other clients."""
_CHUNK_BYTES: Final = 1 << 20
"""And bytes of objects, but for a single one: what a client does not read is held for each of them alone."""
_CHUNKS_KEPT: Final = 16
"""Pieces that are kept until the next event, for watchers who are at the same place."""


@dataclass(slots=True)
class Watch:
    """One watcher: what it follows, what it wants to see, and how."""

    cache: WatchCache
    bell: Bell
    deadlines: Deadlines
    revision: Callable[[], int]
    """The revision that memory shows."""
    kind: str
    api_version: str
    namespace: str
    selection: Selection
    representation: Representation
    timeout: float
    after: int | None
    """Events after this revision; None: first the current state."""
    bookmarks: bool = False
    converter: Converter | None = None
    initial_end: bool = False
    """Mark the end of the current state with a bookmark."""

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The lines of the answer, several at a time."""
        position, beginning = await self._begin()
        for chunk in beginning:
            yield chunk
        if position is None:
            return
        alike = self._is_one_of_many()
        deadline = self.deadlines.start(self.timeout, BOOKMARK_SECONDS if self.bookmarks else 0)
        try:
            while not self.bell.closed:
                if position < self.cache.end:
                    try:
                        position, chunk = self._shared(position) if alike else await self._own(position)
                    except Expired:
                        return
                    if chunk:
                        yield chunk
                    continue
                if deadline.over:
                    return
                if deadline.take_tick():
                    yield self._bookmark(self.revision())
                    continue
                listener = self.bell.listen(self._topic())
                deadline.listener = listener.woken
                try:
                    await listener.woken
                finally:
                    position = max(position, self.bell.leave(listener))
        finally:
            deadline.cancel()

    async def _begin(self) -> tuple[int | None, Iterable[bytes]]:
        """Where to follow the events from (None: it ends), and what comes first."""
        if self.after is not None:
            try:
                return self.cache.position(self.after), ()
            except Expired as expired:
                return None, (self._too_old(self.after, expired.oldest),)
        seen, position = self.revision(), self.cache.end
        entries = list(self.cache.current().range(self.namespace))
        if self.converter is not None:
            await self.converter.prepare((entry.version, entry.tail) for entry in entries)
        ended = (self._bookmark(seen, initial_end=True),) if self.initial_end else ()
        return position, chain(self._initial(entries), ended)

    def _initial(self, entries: Sequence[Entry]) -> Iterator[bytes]:
        event = self.representation.event
        matching = [entry for entry in entries if self.selection.matches(entry)]
        start = 0
        while start < len(matching):
            end = start + _fitting(matching[start : start + _CHUNK_EVENTS])
            yield b"".join(event("ADDED", entry.tail) for entry in matching[start:end])
            start = end

    def _topic(self) -> Topic:
        """What it must be woken for; of what else happens meanwhile it wants to know nothing."""
        if self.selection.topic is not None:
            return self.selection.topic
        return (NAMESPACE, self.namespace) if self.namespace else EVERYTHING

    def _is_one_of_many(self) -> bool:
        """Whether from here on it gets what everybody gets who watches the same namespace in the same form."""
        plain = self.selection.everything and self.representation.shares_lines and self.converter is None
        return plain and (self.after or 0) <= self.revision()

    def _shared(self, position: int) -> tuple[int, bytes]:
        """Where to go on after the next events, and their lines, put together once for many. Raises Expired."""
        chunks, following = self.cache.chunks, (position, self.namespace, self.representation.binary)
        known = chunks.get(following)
        if known is None:
            events = _piece(self.cache.since(position))
            known = position + len(events), self._encode(events)
            if len(chunks) >= _CHUNKS_KEPT:
                chunks.clear()
            chunks[following] = known
        return known

    async def _own(self, position: int) -> tuple[int, bytes]:
        """The same for this watcher alone. Raises Expired."""
        events = _piece(self.cache.since(position))
        if self.converter is not None:
            await self.converter.prepare(_stored(events))
        return position + len(events), self._encode(events)

    def _encode(self, events: Sequence[Event]) -> bytes:
        """The lines of those events that concern this watcher."""
        lines: list[bytes] = []
        inside = f"{self.namespace}/" if self.namespace else ""
        plain = self.selection.everything and self.representation.shares_lines
        after = self.after or 0
        for event in events:
            if event.revision <= after or not event.key.startswith(inside):
                continue
            if plain:
                lines.append(self._shared_line(event))
                continue
            line = self._selected_line(event)
            if line:
                lines.append(line)
        return lines[0] if len(lines) == 1 else b"".join(lines)

    def _shared_line(self, event: Event) -> bytes:
        binary = self.representation.binary
        line = event.frame if binary else event.line
        if line is None:
            line = self.representation.event(event.type, event.tail)
            if binary:
                event.frame = line
            else:
                event.line = line
        return line

    def _selected_line(self, event: Event) -> bytes:
        """An object that begins to match is ADDED, one that ceases is DELETED as it last matched."""
        new = event.entry if event.entry is not None and self.selection.matches(event.entry) else None
        old = event.previous if event.previous is not None and self.selection.matches(event.previous) else None
        if new is not None:
            if self.representation.shares_lines and (old is None) == (event.previous is None):
                return self._shared_line(event)
            return self.representation.event("ADDED" if old is None else "MODIFIED", new.tail)
        if old is not None:
            return self.representation.event("DELETED", at_revision(old.tail, event.revision))
        return b""

    def _bookmark(self, revision: int, *, initial_end: bool = False) -> bytes:
        meta: dict[str, object] = {"resourceVersion": str(revision)}
        if initial_end:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        marker = {"kind": self.kind, "apiVersion": self.api_version, "metadata": meta}
        return self.representation.notice("BOOKMARK", marker)

    def _too_old(self, asked: int, oldest: int) -> bytes:
        error = Errors.expired(f"too old resource version: {asked} ({oldest})")
        return self.representation.notice("ERROR", error.status())


def _piece(events: Sequence[Event]) -> Sequence[Event]:
    """Those events that go into one piece of an answer."""
    events = events[:_CHUNK_EVENTS]
    return events[: _fitting([event.entry or event.previous for event in events])]


def _fitting(entries: Sequence[Entry | None]) -> int:
    """How many entries go into one piece of an answer, at least one."""
    size = 0
    for count, entry in enumerate(entries):
        size += len(entry.tail) if entry is not None else 0
        if size > _CHUNK_BYTES and count:
            return count
    return len(entries)


def _stored(events: Sequence[Event]) -> Iterator[tuple[str, bytes]]:
    """What the events show: objects, and those deleted as they last were, with the revision of their end."""
    for event in events:
        if event.entry is not None:
            yield event.entry.version, event.entry.tail
        elif event.previous is not None:
            yield event.previous.version, at_revision(event.previous.tail, event.revision)
