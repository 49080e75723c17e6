"""A store whose values are encrypted on their way in and opened on their way out, for the kinds that ask for it."""

from collections.abc import AsyncIterator
from dataclasses import replace

from mizzen.server.encryption import Encryption
from mizzen.store.base import Change, Conflict, Page, Store, Value


class SealedStore:
    """Another store, seen through its encryption; keys stay as they are."""

    def __init__(self, store: Store, encryption: Encryption) -> None:
        self._store = store
        self._encryption = encryption
        self._storages = frozenset(encryption.storages)

    @property
    def revision(self) -> int:
        return self._store.revision

    async def get(self, key: str) -> Value | None:
        found = await self._store.get(key)
        return self._opened(found) if found else None

    async def list(self, prefix: str, *, at: int = 0, after: str = "", limit: int = 0) -> Page:
        page = await self._store.list(prefix, at=at, after=after, limit=limit)
        return replace(page, values=tuple(self._opened(value) for value in page.values))

    async def put(self, key: str, data: bytes, *, expect: int | None = None) -> int:
        storage = self._storage(key)
        sealed = self._encryption.seal(storage, key, data) if storage else data
        try:
            return await self._store.put(key, sealed, expect=expect)
        except Conflict as conflict:
            raise self._readable(conflict) from None

    async def delete(self, key: str, *, expect: int | None = None) -> int:
        try:
            return await self._store.delete(key, expect=expect)
        except Conflict as conflict:
            raise self._readable(conflict) from None

    async def watch(self, prefix: str, *, after: int) -> AsyncIterator[tuple[Change, ...]]:
        async for batch in self._store.watch(prefix, after=after):
            yield tuple(self._change(change) for change in batch)

    async def compact(self, revision: int) -> None:
        await self._store.compact(revision)

    async def close(self) -> None:
        await self._store.close()

    def _storage(self, key: str) -> str:
        """The sealed storage that a key belongs to; empty for all others."""
        storage = key.partition("/")[0]
        return storage if storage in self._storages else ""

    def _opened(self, value: Value) -> Value:
        storage = self._storage(value.key)
        return replace(value, data=self._encryption.open(storage, value.key, value.data)) if storage else value

    def _change(self, change: Change) -> Change:
        storage = self._storage(change.key)
        if not storage:
            return change
        data = self._encryption.open(storage, change.key, change.data) if change.data else change.data
        previous = self._encryption.open(storage, change.key, change.previous) if change.previous else change.previous
        return replace(change, data=data, previous=previous)

    def _readable(self, conflict: Conflict) -> Conflict:
        return Conflict(self._opened(conflict.current) if conflict.current else None)
