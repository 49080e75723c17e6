"""All watch caches, kept current from the store by one task; reads never leave this memory.

A write is folded in when the store's watch delivers it, which is after it became durable; `seen` lets the writer wait
for that, so every client reads its own writes.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.machinery.errors import Object
from mizzen.server.bell import Bell
from mizzen.server.watchcache import Entry, Event, FieldGetters, WatchCache, index
from mizzen.store.base import Change, Compacted, Damaged, Store, Value

_log = log.get("cacher")
_PAGE: Final = 2_000
_RETRY_SECONDS: Final = 1.0
_RELIVED: Final = 1_000
"""Revisions of before a restart that watchers can resume from, as far as the store still has them."""


class _Labelled(msgspec.Struct):
    """As much of a stored object as an index without selectable fields needs."""

    class Metadata(msgspec.Struct):
        labels: dict[str, str] | None = None

    metadata: Metadata


_labelled = msgspec.json.Decoder(_Labelled)


class Cacher:
    """Watch caches by storage prefix. `start` before use."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._caches: dict[str, WatchCache] = {}
        self._bells: dict[str, Bell] = {}
        self._subscribers: dict[str, list[Callable[[Event], None]]] = {}
        self._written: dict[str, tuple[bytes, Object]] = {}
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None
        self._base = 0
        self._wanted = 0
        self.revision = 0

    def cache(self, storage: str) -> WatchCache:
        """The cache of a storage prefix."""
        known = self._caches.get(storage)
        if known is None:
            known = self._caches[storage] = WatchCache(storage)
            known.floor = known.changed = self._base
            self._bells[storage] = Bell(known)
        return known

    def bell(self, storage: str) -> Bell:
        """What rings when the cache of a storage prefix has changed."""
        self.cache(storage)
        return self._bells[storage]

    def select_by(self, storage: str, getters: FieldGetters, kind: str, api_version: str) -> None:
        """Index these fields, of which `kind` is the stored form."""
        cache = self.cache(storage)
        if list(cache.getters) != list(getters):
            cache.reindex(getters, kind, api_version)
            self._bells[storage].ring()

    def subscribe(self, storage: str, changed: Callable[[Event], None]) -> None:
        """Call `changed` with an event for everything there is (once it is read), then with every event to come."""
        self._subscribers.setdefault(storage, []).append(changed)
        self._replay(storage, (changed,))

    def _replay(self, storage: str, subscribers: Sequence[Callable[[Event], None]]) -> None:
        for entry in list(self.cache(storage).entries.values()):
            event = Event(entry.revision, entry.key, entry, None)
            for changed in subscribers:
                changed(event)

    @property
    def problem(self) -> str:
        """Why memory does not follow the store; empty while it does."""
        return "" if self._task is not None and not self._task.done() else "the store is not followed"

    @property
    def lag(self) -> str:
        """What memory has not read yet; empty when it has caught up."""
        return "" if self.revision >= self._wanted else f"read up to {self.revision} of {self._wanted}"

    @property
    def sizes(self) -> list[tuple[str, int, int]]:
        """Each storage prefix with how many objects it holds and how many watchers wait."""
        return [
            (storage, len(cache.entries), self._bells[storage].listeners) for storage, cache in self._caches.items()
        ]

    async def start(self) -> None:
        """Read everything, then follow the store until `close`. Raises Damaged for what cannot be read.

        Memory starts a little in the past and catches up, so that watchers of before a restart can resume.
        """
        newest = self._wanted = self._store.revision
        await self._load(max(self._store.compacted, newest - _RELIVED))
        self._task = asyncio.create_task(self._follow(), name="cacher")
        caught_up = asyncio.ensure_future(self.seen(newest))
        await asyncio.wait({self._task, caught_up}, return_when=asyncio.FIRST_COMPLETED)
        if not caught_up.done():
            caught_up.cancel()
            self._task.result()

    async def close(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        for bell in self._bells.values():
            bell.close()

    def announce(self, key: str, data: bytes, decoded: Object) -> None:
        """These bytes are about to be written and decode to this object, which must not change any more."""
        self._written[key] = (data, decoded)

    def forget(self, key: str) -> None:
        """The announced write failed."""
        self._written.pop(key, None)

    def entry_of(self, storage: str, key: str, data: bytes, revision: int) -> Entry:
        """The entry that these bytes had at a revision that memory has left behind."""
        return index(key, data, revision, self.cache(storage).getters)

    async def seen(self, revision: int) -> None:
        """Return when the change of this revision is in memory."""
        if self.revision >= revision:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append((revision, waiter))
        await waiter

    async def _load(self, revision: int) -> None:
        """Take over the state as of a revision; there was nothing at 0."""
        found: dict[str, list[Entry]] = {}
        after = ""
        while revision:
            page = await self._store.list("", at=revision, after=after, limit=_PAGE)
            for value in page.values:
                storage, key = self._split(value.key)
                found.setdefault(storage, []).append(self._indexed(storage, key, value))
            if not page.more:
                break
            after = page.values[-1].key
        self.revision = self._base = revision
        for storage in {*found, *self._caches}:
            self.cache(storage).load(sorted(found.get(storage, ()), key=lambda entry: entry.key), revision)
        for storage in {*found, *self._caches}:
            self._replay(storage, self._subscribers.get(storage, ()))

    async def _follow(self) -> None:
        while True:
            try:
                async for batch in self._store.watch("", after=self.revision):
                    self._fold(batch)
                return
            except Compacted:
                _log.warning("history lost, reading everything again", revision=self.revision)
            except Exception as error:
                if isinstance(error, Damaged) and self.revision < self._wanted:
                    raise
                _log.error("watch of the store failed", error=repr(error))
                await self._clock.sleep(_RETRY_SECONDS)
            await self._resync()

    async def _resync(self) -> None:
        """Bring memory up to the store by comparison, as events for the watchers."""
        page = await self._store.list("")
        current = {value.key: value for value in page.values}
        changes: list[Change] = []
        for storage, cache in self._caches.items():
            for entry in cache.entries.values():
                key = f"{storage}/{entry.key}"
                if key not in current:
                    changes.append(Change("DELETE", key, b"", page.revision))
        for key, value in current.items():
            storage, short = self._split(key)
            known = self.cache(storage).entries.get(short)
            if known is None or known.revision != value.revision:
                changes.append(Change("PUT", key, value.data, value.revision))
        self._fold(sorted(changes, key=lambda change: change.revision))
        self.revision = self._base = max(self.revision, page.revision)

    def _split(self, key: str) -> tuple[str, str]:
        """A store key as storage prefix and object key; the prefixes of groups hold one slash."""
        first, _, rest = key.partition("/")
        if first in self._caches:
            return first, rest
        if "." in first or first in _PLAIN_GROUPS:
            second, _, rest = rest.partition("/")
            return f"{first}/{second}", rest
        return first, rest

    def _indexed(self, storage: str, key: str, value: Value | Change) -> Entry:
        cache = self.cache(storage)
        announced = self._written.pop(value.key, None)
        if announced is not None and announced[0] == value.data:
            return index(key, value.data, value.revision, cache.getters, announced[1])
        try:
            if cache.getters:
                return index(key, value.data, value.revision, cache.getters)
            labels = _labelled.decode(value.data).metadata.labels
            return index(key, value.data, value.revision, {}, {"metadata": {"labels": labels}})
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Damaged(f"the store is damaged: {value.key} at {value.revision} cannot be read: {error}") from error

    def _fold(self, batch: Sequence[Change]) -> None:
        touched: set[str] = set()
        for change in batch:
            storage, key = self._split(change.key)
            entry = self._indexed(storage, key, change) if change.type == "PUT" else None
            event = self.cache(storage).apply(key, entry, change.revision)
            self.revision = max(self.revision, change.revision)
            if event is None:
                continue
            touched.add(storage)
            for changed in self._subscribers.get(storage, ()):
                changed(event)
        # Who wrote hears of it before the watchers, who may be many.
        if self._waiting:
            self._release()
        for storage in touched:
            self._bells[storage].ring()

    def _release(self) -> None:
        late = [(revision, waiter) for revision, waiter in self._waiting if revision > self.revision]
        for revision, waiter in self._waiting:
            if revision <= self.revision and not waiter.done():
                waiter.set_result(None)
        self._waiting = late


_PLAIN_GROUPS: Final = frozenset({"apps", "batch", "autoscaling", "policy"})
