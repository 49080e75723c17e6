"""Objects in and out of the store: encoded once, written with compare-and-set, seen in memory before it returns."""

import asyncio
from typing import Final

import orjson

from mizzen.api.kind import Kind
from mizzen.machinery.errors import ApiError, Errors, Object
from mizzen.server.cacher import Cacher
from mizzen.server.locks import KeyLocks
from mizzen.server.watchcache import Entry, decode_entry
from mizzen.store.base import Conflict, Store, StoreFull

_FULL: Final = "the store is full, writes are refused"


def object_key(kind: Kind, namespace: str, name: str) -> str:
    """The key of an object among its kind: `namespace/name`, or `name`."""
    return f"{namespace}/{name}" if kind.namespaced else name


class Storage:
    """Reads entries of stored kinds from memory and writes objects in their stored form."""

    def __init__(self, store: Store, cacher: Cacher) -> None:
        self._store = store
        self.cacher = cacher
        self.locks = KeyLocks()

    def entry(self, kind: Kind, namespace: str, name: str) -> Entry | None:
        """What memory knows of an object."""
        return self.cacher.cache(kind.storage).entries.get(object_key(kind, namespace, name))

    def decode(self, kind: Kind, entry: Entry) -> Object:
        """A fresh copy of an object, as its kind serves it."""
        obj = decode_entry(entry, kind.kind, kind.api_version)
        if kind.from_stored is None:
            return obj
        return {**kind.from_stored(obj), "kind": kind.kind, "apiVersion": kind.api_version}

    async def prepare(self, kind: Kind, entry: Entry) -> None:
        """Let an entry of another version be decoded, which may need an answer from elsewhere. Raises ApiError."""
        if kind.converter is not None:
            await kind.converter.prepare(((entry.version, entry.tail),))

    async def put(self, kind: Kind, obj: Object, expect: int) -> Entry:
        """Write an object that is at revision `expect` (0: absent). Raises Conflict, ApiError when the store is full.

        The object is not changed by the caller afterwards.
        """
        meta = obj["metadata"]
        short = object_key(kind, meta.get("namespace", ""), meta["name"])
        key = f"{kind.storage}/{short}"
        converter = kind.converter
        stored = stored_form(kind, obj if converter is None else await converter.to_stored(obj))
        data = orjson.dumps(stored)
        self.cacher.announce(key, data, stored)
        try:
            revision = await self._store.put(key, data, expect=expect)
        except StoreFull as full:
            self.cacher.forget(key)
            raise _full(full) from None
        except BaseException:
            self.cacher.forget(key)
            raise
        if converter is not None:
            converter.written(obj, revision)
        await self.cacher.seen(revision)
        entry = self.cacher.cache(kind.storage).entries.get(short)
        if entry is None or entry.revision != revision:
            return self.cacher.entry_of(kind.storage, short, data, revision)
        return entry

    async def delete(self, kind: Kind, entry: Entry) -> int:
        """Remove an object at its revision. Raises Conflict, ApiError."""
        try:
            revision = await self._store.delete(f"{kind.storage}/{entry.key}", expect=entry.revision)
        except StoreFull as full:
            raise _full(full) from None
        await self.cacher.seen(revision)
        return revision

    async def catch_up(self, conflict: Conflict) -> None:
        """Let memory see what stood in the way of a write."""
        if conflict.current is not None:
            await self.cacher.seen(conflict.current.revision)
        else:
            await asyncio.sleep(0.002)


def _full(full: StoreFull) -> ApiError:
    return Errors.internal(f"{_FULL}: {full}")


def is_full(error: ApiError) -> bool:
    """Whether a write was refused because there is no room for it."""
    return _FULL in error.message


def stored_form(kind: Kind, obj: Object) -> Object:
    """What is written: kind, apiVersion and metadata first, no resourceVersion."""
    if kind.to_stored is not None:
        obj = kind.to_stored(obj)
    meta = obj["metadata"]
    if "resourceVersion" in meta:
        meta = {key: value for key, value in meta.items() if key != "resourceVersion"}
    stored = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], "metadata": meta}
    stored.update((key, value) for key, value in obj.items() if key not in stored)
    return stored
