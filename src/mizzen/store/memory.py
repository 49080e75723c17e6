"""The store as a model: dictionaries and a log. It forgets everything at its end, and judges the other stores."""

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections.abc import AsyncIterator, Sequence

from mizzen.store.base import Change, Compacted, Conflict, Page, Value


class MemoryStore:
    """Keeps every revision until compaction; nothing survives the process."""

    def __init__(self) -> None:
        self._current: dict[str, Value] = {}
        self._keys: list[str] = []
        self._log: list[Change] = []
        self._replaced: dict[int, Value] = {}
        """What a write took the place of, by the write's revision."""
        self._revision = 0
        self._compacted = 0
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def revision(self) -> int:
        return self._revision

    @property
    def compacted(self) -> int:
        return self._compacted

    async def get(self, key: str) -> Value | None:
        return self._current.get(key)

    async def list(self, prefix: str, *, at: int = 0, after: str = "", limit: int = 0) -> Page:
        if at and at < self._compacted:
            raise Compacted
        state = self._as_of(at) if at and at < self._revision else self._current
        keys = self._keys if state is self._current else sorted(state)
        start = max(bisect_left(keys, prefix), bisect_right(keys, after) if after else 0)
        values: list[Value] = []
        for key in keys[start:]:
            if not key.startswith(prefix):
                break
            if limit and len(values) == limit:
                return Page(tuple(values), at or self._revision, more=True)
            values.append(state[key])
        return Page(tuple(values), at or self._revision, more=False)

    async def put(self, key: str, data: bytes, *, expect: int | None = None) -> int:
        current = self._expected(key, expect)
        if current is None:
            insort(self._keys, key)
        self._revision += 1
        self._current[key] = Value(key, data, self._revision)
        self._record(Change("PUT", key, data, self._revision), current)
        return self._revision

    async def delete(self, key: str, *, expect: int | None = None) -> int:
        current = self._expected(key, expect)
        if current is None:
            raise Conflict(None)
        self._revision += 1
        del self._current[key]
        self._keys.pop(bisect_left(self._keys, key))
        self._record(Change("DELETE", key, b"", self._revision), current)
        return self._revision

    async def watch(self, prefix: str, *, after: int) -> AsyncIterator[tuple[Change, ...]]:
        if after < self._compacted:
            raise Compacted
        while not self._closed:
            changed = self._changed
            batch = tuple(one for one in self._since(after) if one.key.startswith(prefix))
            after = self._revision
            if batch:
                yield batch
            else:
                await changed.wait()

    async def compact(self, revision: int) -> None:
        self._compacted = max(self._compacted, min(revision, self._revision))
        self._log = [*self._since(self._compacted)]
        self._replaced = {at: value for at, value in self._replaced.items() if at > self._compacted}

    async def close(self) -> None:
        self._closed = True
        self._changed.set()

    def _since(self, revision: int) -> Sequence[Change]:
        return self._log[bisect_right(self._log, revision, key=lambda one: one.revision) :]

    def _as_of(self, revision: int) -> dict[str, Value]:
        """The state at a revision, by taking back what came later."""
        state = dict(self._current)
        for change in reversed(self._since(revision)):
            replaced = self._replaced.get(change.revision)
            if replaced is None:
                del state[change.key]
            else:
                state[change.key] = replaced
        return state

    def _expected(self, key: str, expect: int | None) -> Value | None:
        current = self._current.get(key)
        if expect is not None and expect != (current.revision if current else 0):
            raise Conflict(current)
        return current

    def _record(self, change: Change, replaced: Value | None) -> None:
        self._log.append(change)
        if replaced is not None:
            self._replaced[change.revision] = replaced
        self._changed.set()
        self._changed = asyncio.Event()
