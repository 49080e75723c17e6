"""The embedded store: an append-only table of records in one SQLite file, and one thread that commits.

Compare-and-set is decided in memory, against writes that are still on their way to the disk; the writes that wait
while one transaction is being synced go into the next one together (group commit). A write is acknowledged, and seen
by readers and watchers, only when its transaction is durable.
"""

import asyncio
import fcntl
import queue
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import apsw

from mizzen.store.base import Change, Compacted, Conflict, Page, StoreFull, Unusable, Value
from mizzen.store.files import check_presence, check_version, connect, copy, note_presence, undamaged
from mizzen.store.room import Room

HISTORY: Final = 1_000
"""How many replaced records stay on disk; older ones are removed with later writes, a few at a time."""
_ROWS: Final = 64
"""Rows of one INSERT."""
_ALONE: Final = 24
"""Batches of so many rows have a statement of just their length."""
_REMOVED_AT_ONCE: Final = 64
"""Replaced records past the limit that wait for each other, so that few writes carry a removal."""
_REMOVE: Final = "DELETE FROM record WHERE revision IN (SELECT value FROM json_each(?))"
WATCHER_LIMIT: Final = 10_000
"""How many changes wait in memory for a slow watcher; past it, the watcher reads them from the disk."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS record (
    revision INTEGER PRIMARY KEY, key TEXT NOT NULL, data BLOB NOT NULL,
    live INTEGER NOT NULL, replaced INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS record_key ON record (key, revision, live);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""


@dataclass(slots=True, eq=False)
class _Write:
    """One write that waits for its transaction; `replaced` is the revision it takes the place of, 0 for none."""

    change: Change
    replaced: int
    done: asyncio.Future[int]


@dataclass(slots=True, eq=False)
class _Watcher:
    """Changes for one watcher, or, when it fell behind, only the fact that there are some."""

    prefix: str
    waiting: list[Change] = field(default_factory=list)
    behind: bool = True
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class SqliteStore:
    """A store in one file. Opened by one process at a time; raises Unusable when another one holds it."""

    def __init__(self, path: Path, *, max_bytes: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = path.with_suffix(".lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unusable(f"another process has the store {path}") from None
        self._path = path
        check_presence(path, self._lock)
        with undamaged(path):
            self._open(path, max_bytes)
        note_presence(self._lock)
        self._assigned = self._revision
        self._pending: dict[str, Change] = {}
        self._batch: list[_Write] = []
        self._busy = False
        self._jobs: queue.SimpleQueue[list[_Write] | None] = queue.SimpleQueue()
        self._watchers: set[_Watcher] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def _open(self, path: Path, max_bytes: int) -> None:
        self._writer = connect(path)
        check_version(self._writer, path)
        for statement in filter(str.strip, _SCHEMA.split(";")):
            self._writer.execute(statement)
        self._room = Room(self._writer, path, max_bytes)
        self._reader = connect(path)
        self._compacted: int = next((row[0] for row in self._reader.execute("SELECT value FROM meta")), 0)
        self._index, self._replaced = _load(self._reader)
        newest: int = _one(self._reader, "SELECT coalesce(max(revision), 0) FROM record")
        self._revision = max(newest, self._compacted)

    @property
    def revision(self) -> int:
        return self._revision

    @property
    def compacted(self) -> int:
        return self._compacted

    async def get(self, key: str) -> Value | None:
        sql = "SELECT data, revision, live FROM record WHERE key = ? ORDER BY revision DESC LIMIT 1"
        row = self._reader.execute(sql, (key,)).fetchone()
        return Value(key, row[0], row[1]) if row and row[2] else None

    async def list(self, prefix: str, *, at: int = 0, after: str = "", limit: int = 0) -> Page:
        if at and at < self._compacted:
            raise Compacted
        revision = at or self._revision
        sql = """
            SELECT key, data, revision FROM record AS r WHERE key > ? AND key >= ? AND key < ? AND revision <= ?
            AND live AND NOT EXISTS (
                SELECT 1 FROM record AS n WHERE n.key = r.key AND n.revision > r.revision AND n.revision <= ?
            ) ORDER BY key LIMIT ?"""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else chr(0x10FFFF)
        limits = limit + 1 if limit else -1
        with undamaged(self._path):
            rows: Any = self._reader.execute(sql, (after, prefix, end, revision, revision, limits)).fetchall()
        more = bool(limit) and len(rows) > limit
        return Page(tuple(Value(*row) for row in (rows[:limit] if more else rows)), revision, more)

    async def put(self, key: str, data: bytes, *, expect: int | None = None) -> int:
        replaced = await self._expected(key, expect)
        return await self._write(Change("PUT", key, data, self._next()), replaced)

    async def delete(self, key: str, *, expect: int | None = None) -> int:
        replaced = await self._expected(key, expect)
        if not replaced:
            raise Conflict(None)
        return await self._write(Change("DELETE", key, b"", self._next()), replaced)

    async def watch(self, prefix: str, *, after: int) -> AsyncIterator[tuple[Change, ...]]:
        if after < self._compacted:
            raise Compacted
        watcher = _Watcher(prefix)
        self._watchers.add(watcher)
        try:
            while not self._closed:
                watcher.woken.clear()
                if watcher.behind:
                    watcher.behind, watcher.waiting = False, []
                    batch = self._from_disk(prefix, after)
                    after = self._revision
                else:
                    batch, watcher.waiting = tuple(watcher.waiting), []
                    after = batch[-1].revision if batch else after
                if batch:
                    yield batch
                else:
                    await watcher.woken.wait()
        finally:
            self._watchers.discard(watcher)

    async def compact(self, revision: int) -> None:
        while self._busy or self._batch:
            await self._barrier()
        self._compacted = max(self._compacted, min(revision, self._revision))
        doomed = [old for old, by in self._replaced if by <= self._compacted]
        self._replaced = deque((old, by) for old, by in self._replaced if by > self._compacted)
        with _transaction(self._writer):
            self._writer.execute(_REMOVE, (str(doomed),))
            self._writer.execute("INSERT OR REPLACE INTO meta VALUES ('compacted', ?)", (self._compacted,))

    async def backup(self, target: Path) -> None:
        """Write a consistent copy of the store to a new file while it is in use. Raises FileExistsError."""
        await asyncio.to_thread(copy, self._path, target)

    async def close(self) -> None:
        while self._busy or self._batch:
            await self._barrier()
        self._closed = True
        for watcher in self._watchers:
            watcher.woken.set()
        if self._thread:
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join)
        self._reader.close()
        self._writer.close()
        self._room.close()
        self._lock.close()

    async def _barrier(self) -> None:
        """Wait until the writes of this moment are durable or have failed."""
        if self._batch:
            await asyncio.wait([self._batch[-1].done])
        else:
            await asyncio.sleep(0.001)

    def _next(self) -> int:
        self._assigned += 1
        return self._assigned

    async def _expected(self, key: str, expect: int | None) -> int:
        """The revision the key is at, counting writes on their way. Raises Conflict when it is another one."""
        at = self._index.get(key, 0)
        if expect is not None and expect != at:
            pending = self._pending.get(key)
            if pending is None:
                raise Conflict(await self.get(key))
            raise Conflict(Value(key, pending.data, pending.revision) if pending.type == "PUT" else None)
        return at

    async def _write(self, change: Change, replaced: int) -> int:
        if self._closed:
            raise RuntimeError("the store is closed")
        loop = self._loop or self._start()
        write = _Write(change, replaced, loop.create_future())
        self._enqueue(write)
        return await write.done

    def _enqueue(self, write: _Write) -> None:
        change = write.change
        if change.type == "PUT":
            self._index[change.key] = change.revision
        else:
            del self._index[change.key]
        self._pending[change.key] = change
        self._batch.append(write)
        if not self._busy:
            self._busy = True
            asyncio.get_running_loop().call_soon(self._submit)

    def _start(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._commit_batches, name="store", daemon=True)
        self._thread.start()
        return self._loop

    def _submit(self) -> None:
        """Hand on what waits: all of it, or one at a time while each may fail for want of room."""
        count = 1 if self._room.spent else len(self._batch)
        batch, self._batch = self._batch[:count], self._batch[count:]
        self._jobs.put(batch)

    def _commit_batches(self) -> None:
        """The writer thread: one transaction per batch."""
        loop = self._loop
        assert loop is not None
        while (batch := self._jobs.get()) is not None:
            failure: Exception | None = None
            removed = self._replaced_beyond(batch)
            try:
                self._commit_in_room(batch, removed)
            except apsw.FullError as error:
                failure = StoreFull(str(error)) if self._room.spent else error
                removed = self._make_room()
            except (apsw.Error, OSError) as error:
                failure, removed = error, ()
            loop.call_soon_threadsafe(self._committed, batch, removed, failure)

    def _replaced_beyond(self, batch: Sequence[_Write]) -> Sequence[tuple[int, int]]:
        """The oldest replaced records, as many as there are past the limit, once it is worth a statement."""
        if self._room.spent:
            return [self._replaced[i] for i in range(min(len(self._replaced), _REMOVED_AT_ONCE))]
        surplus = min(len(self._replaced) + len(batch) - HISTORY, len(self._replaced))
        return [self._replaced[i] for i in range(surplus)] if surplus >= _REMOVED_AT_ONCE else []

    def _commit_in_room(self, batch: Sequence[_Write], removed: Sequence[tuple[int, int]]) -> None:
        """Commit, with more room if need be. Raises apsw.FullError when there is none for this batch."""
        size = sum(len(write.change.data) for write in batch)
        if self._room.spent and not self._is_spared(batch[0]) and not self._room.restore(size):
            raise apsw.FullError("no space left")
        try:
            self._commit(batch, removed)
        except apsw.FullError:
            if self._room.spent or not self._room.grow(size):
                raise
            try:
                self._commit(batch, removed)
            finally:
                self._room.settle()

    def _is_spared(self, write: _Write) -> bool:
        """Whether a write may use what is kept for a full disk."""
        change = write.change
        return change.type == "DELETE" or (write.replaced > 0 and self._room.has_for_update(len(change.data)))

    def _make_room(self) -> Sequence[tuple[int, int]]:
        """The disk is full: use what was kept, and give up some history; answers which records are gone."""
        try:
            self._room.release()
            removed = self._replaced_beyond(())
            with _transaction(self._writer):
                self._remove(removed)
        except apsw.Error:
            return ()
        return removed

    def _commit(self, batch: Sequence[_Write], removed: Sequence[tuple[int, int]]) -> None:
        if not removed and len(batch) <= _ALONE:
            # One statement is a transaction of its own, and hands the interpreter's lock over once.
            self._writer.execute(_insert(len(batch)), [value for write in batch for value in _row(write)])
            return
        with _transaction(self._writer):
            self._remove(removed)
            for start, count in _chunks(len(batch)):
                rows = batch[start : start + count]
                values = [value for w in rows for value in _row(w)]
                self._writer.execute(_insert(count), values)

    def _remove(self, removed: Sequence[tuple[int, int]]) -> None:
        if removed:
            self._writer.execute(_REMOVE, (str([old for old, _ in removed]),))
            self._writer.execute("INSERT OR REPLACE INTO meta VALUES ('compacted', ?)", (removed[-1][1],))

    def _committed(
        self, batch: Sequence[_Write], removed: Sequence[tuple[int, int]], failure: Exception | None
    ) -> None:
        for _ in removed:
            self._compacted = self._replaced.popleft()[1]
        if failure is not None:
            self._take_back(batch, failure)
            return
        for write in batch:
            self._settle(write)
        self._revision = batch[-1].change.revision
        for watcher in self._watchers:
            self._notify(watcher, batch)
        for write in batch:
            if not write.done.done():
                write.done.set_result(write.change.revision)
        self._busy = bool(self._batch)
        if self._batch:
            self._submit()

    def _settle(self, write: _Write) -> None:
        """Make one durable write visible to readers."""
        change = write.change
        if write.replaced:
            self._replaced.append((write.replaced, change.revision))
        if change.type == "DELETE":
            self._replaced.append((change.revision, change.revision))
        if self._pending.get(change.key) is change:
            del self._pending[change.key]

    def _notify(self, watcher: _Watcher, batch: Sequence[_Write]) -> None:
        if watcher.behind:
            watcher.woken.set()
            return
        mine = [write.change for write in batch if write.change.key.startswith(watcher.prefix)]
        if not mine:
            return
        watcher.waiting.extend(mine)
        if len(watcher.waiting) > WATCHER_LIMIT:
            watcher.waiting, watcher.behind = [], True
        watcher.woken.set()

    def _take_back(self, batch: Sequence[_Write], failure: Exception) -> None:
        """The transaction failed: nothing of it, nor of what was decided on top of it, has happened.

        For want of room, what still can be is tried again, each by itself; a StoreFull is the answer to one such.
        """
        undone, self._batch = [*batch, *self._batch], []
        for write in reversed(undone):
            if write.replaced:
                self._index[write.change.key] = write.replaced
            else:
                self._index.pop(write.change.key, None)
        self._pending.clear()
        self._assigned, self._busy = self._revision, False
        again = isinstance(failure, (apsw.FullError, StoreFull))
        refused = batch if isinstance(failure, StoreFull) else ()
        for write in undone:
            if again and write not in refused and self._index.get(write.change.key, 0) == write.replaced:
                self._enqueue(replace(write, change=replace(write.change, revision=self._next())))
            elif not write.done.done():
                write.done.set_exception(StoreFull(str(failure)) if again else OSError(str(failure)))

    def _from_disk(self, prefix: str, after: int) -> tuple[Change, ...]:
        if after < self._compacted:
            raise Compacted
        sql = """
            SELECT revision, key, data, live FROM record
            WHERE revision > ? AND revision <= ? ORDER BY revision"""
        return tuple(
            Change("PUT" if live else "DELETE", key, data, revision)
            for revision, key, data, live in self._reader.execute(sql, (after, self._revision))
            if key.startswith(prefix)
        )


def _chunks(count: int) -> Iterator[tuple[int, int]]:
    """Start and length of the statements that a batch is written with: few, and of few lengths.

    Every step of a statement hands the interpreter's lock over and waits to get it back; a statement a row made
    a batch wait for the loop as often as it has rows.
    """
    start = 0
    while start < count:
        rest = count - start
        length = rest if rest <= _ALONE else min(_ROWS, 1 << (rest.bit_length() - 1))
        yield start, length
        start += length


@lru_cache
def _insert(count: int) -> str:
    return f"INSERT INTO record VALUES {','.join(['(?, ?, ?, ?, ?)'] * count)}"


def _row(write: _Write) -> tuple[int, str, bytes, bool, int]:
    change = write.change
    put = change.type == "PUT"
    return change.revision, change.key, change.data, put, write.replaced


@contextmanager
def _transaction(connection: apsw.Connection) -> Iterator[None]:
    """All or nothing; a full disk may have rolled back already."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _one(connection: apsw.Connection, sql: str, *values: Any) -> Any:
    """The single value that a query answers."""
    return next(iter(connection.execute(sql, values)))[0]


def _load(reader: apsw.Connection) -> tuple[dict[str, int], deque[tuple[int, int]]]:
    """Current revisions by key, and (replaced revision, revision that replaced it) in order."""
    current: dict[str, int] = {}
    latest: dict[str, int] = {}
    replaced: deque[tuple[int, int]] = deque()
    for revision, key, live in reader.execute("SELECT revision, key, live FROM record ORDER BY revision"):
        if key in latest:
            replaced.append((latest[key], revision))
        if live:
            latest[key] = current[key] = revision
        else:
            latest.pop(key, None)
            current.pop(key, None)
            replaced.append((revision, revision))
    return current, replaced
