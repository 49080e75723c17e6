"""A Store that keeps some of its values encrypted: sealed on the way in, opened on the way out.

Everything above sees plain values; the file, its backups and the etcd behind it never do.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from mizzen.server.ciphers import SEALED
from mizzen.server.encryption import Encryption, storage_of
from mizzen.store.base import Change, Conflict, Page, Store, Value

_AT_ONCE: Final = 500
"""Values that are read together when all are looked at."""


class SealedStore:
    """Another store, with encryption around the values of the storage prefixes that are configured."""

    def __init__(self, store: Store, encryption: Encryption) -> None:
        self._store = store
        self._encryption = encryption

    @property
    def revision(self) -> int:
        return self._store.revision

    @property
    def compacted(self) -> int:
        return self._store.compacted

    async def get(self, key: str) -> Value | None:
        value = await self._store.get(key)
        return await self._opened(value) if value is not None else None

    async def list(self, prefix: str, *, at: int = 0, after: str = "", limit: int = 0) -> Page:
        page = await self._store.list(prefix, at=at, after=after, limit=limit)
        return Page(tuple([await self._opened(value) for value in page.values]), page.revision, page.more)

    async def put(self, key: str, data: bytes, *, expect: int | None = None) -> int:
        sealed = self._encryption.seal(storage_of(key), key, data)
        try:
            return await self._store.put(key, sealed, expect=expect)
        except Conflict as conflict:
            raise await self._opened_conflict(conflict) from None

    async def delete(self, key: str, *, expect: int | None = None) -> int:
        try:
            return await self._store.delete(key, expect=expect)
        except Conflict as conflict:
            raise await self._opened_conflict(conflict) from None

    async def watch(self, prefix: str, *, after: int) -> AsyncIterator[tuple[Change, ...]]:
        async for changes in self._store.watch(prefix, after=after):
            yield tuple([await self._opened_change(change) for change in changes])

    async def compact(self, revision: int) -> None:
        await self._store.compact(revision)

    async def close(self) -> None:
        await self._store.close()

    async def reseal(self) -> int:
        """Write again what is not sealed with the first key, after a rotation; answers how many values.

        The history is forgotten then: it holds what only the older keys open.
        """
        count = 0
        for prefix in self._encryption.prefixes:
            async for value in self._values(prefix):
                if not self._encryption.is_current(storage_of(value.key), value.data):
                    await self.put(value.key, await self._open(value.key, value.data), expect=value.revision)
                    count += 1
        if count:
            await self._store.compact(self._store.revision)
        return count

    async def _values(self, prefix: str) -> AsyncIterator[Value]:
        """All values as they are stored."""
        after, more = "", True
        while more:
            page = await self._store.list(prefix, after=after, limit=_AT_ONCE)
            for value in page.values:
                yield value
            after, more = page.values[-1].key if page.values else "", page.more

    async def _open(self, key: str, data: bytes) -> bytes:
        """Raises Unreadable."""
        if not data.startswith(SEALED):
            return data
        storage = storage_of(key)
        await self._encryption.fetch(storage, key, data)
        return self._encryption.open(storage, key, data)

    async def _opened(self, value: Value) -> Value:
        data = await self._open(value.key, value.data)
        return value if data is value.data else replace(value, data=data)

    async def _opened_conflict(self, conflict: Conflict) -> Conflict:
        return Conflict(await self._opened(conflict.current) if conflict.current is not None else None)

    async def _opened_change(self, change: Change) -> Change:
        if change.type != "PUT":
            return change
        data = await self._open(change.key, change.data)
        return change if data is change.data else replace(change, data=data)
