"""Protobuf answers: objects decoded once from their JSON, their messages kept for the next list or watcher.

Ref: https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
"""

from collections.abc import Callable, Sequence
from typing import Final

import orjson

from mizzen.api.kind import Kind
from mizzen.machinery.errors import Object
from mizzen.machinery.protobuf import envelope
from mizzen.server import tables
from mizzen.server.media import PROTOBUF
from mizzen.server.recent import Encoding
from mizzen.server.served import ListMeta
from mizzen.server.watchcache import metadata_of

KEPT_BYTES: Final = 32 << 20
"""Messages that are kept, over all kinds, enough for some 15,000 pods; the oldest go first. Most of the tails that they
were made of are in memory anyway."""


class Kept:
    """Messages by the kind and tail that they were made of."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._limit = limit
        self._size = 0
        self._messages: dict[tuple[str, str, bytes], bytes] = {}

    def get(self, key: tuple[str, str, bytes], make: Callable[[], bytes]) -> bytes:
        """The message of a key."""
        known = self._messages.get(key)
        if known is None:
            known = self._messages[key] = make()
            self._size += len(known)
            while self._size > self._limit and len(self._messages) > 1:
                self._size -= len(self._messages.pop(next(iter(self._messages))))
        return known


_KEPT: Final = Kept()


class Binary:
    """Objects as they are."""

    shares_lines = True
    binary = True

    def __init__(self, kind: Kind, list_kind: str, decode: Callable[[bytes], Object], kept: Kept = _KEPT) -> None:
        self._kind = kind
        self._list_kind = list_kind
        self._decode = decode
        self._kept = kept
        self.encoding = Encoding((PROTOBUF, kind.api_version, kind.kind), self._item)

    def one(self, tail: bytes) -> bytes:
        kind = self._kind
        return envelope.wrapped(kind.api_version, kind.kind, self._message(tail))

    def many(self, tails: Sequence[bytes], meta: ListMeta) -> Sequence[bytes]:
        items = self.encoding.joined(b"", tails)
        return envelope.listed(self._kind.api_version, self._list_kind, meta.as_object(), items)

    def event(self, type: str, tail: bytes) -> bytes:
        return envelope.frame(type, self.one(tail))

    def notice(self, type: str, obj: Object) -> bytes:
        return envelope.frame(type, envelope.write(obj))

    def _item(self, tail: bytes) -> bytes:
        return envelope.item(self._message(tail))

    def _message(self, tail: bytes) -> bytes:
        kind = self._kind

        def make() -> bytes:
            return bytes(envelope.message(self._decode(tail), kind.api_version, kind.kind))

        return self._kept.get((kind.api_version, kind.kind, tail), make)


class BinaryPartial:
    """Metadata alone."""

    shares_lines = False
    binary = True

    def __init__(self, version: str) -> None:
        self._api_version = f"meta.k8s.io/{version}"
        self.encoding = Encoding((PROTOBUF, self._api_version), self._item)

    def one(self, tail: bytes) -> bytes:
        return envelope.write(self._reduced(tail))

    def many(self, tails: Sequence[bytes], meta: ListMeta) -> Sequence[bytes]:
        items = self.encoding.joined(b"", tails)
        return envelope.listed(self._api_version, f"{_PARTIAL}List", meta.as_object(), items)

    def event(self, type: str, tail: bytes) -> bytes:
        return envelope.frame(type, self.one(tail))

    def notice(self, type: str, obj: Object) -> bytes:
        if obj["kind"] != "Status":
            obj = tables.metadata_only(obj, self._api_version)
        return envelope.frame(type, envelope.write(obj))

    def _item(self, tail: bytes) -> bytes:
        return envelope.item(envelope.message(self._reduced(tail), self._api_version, _PARTIAL))

    def _reduced(self, tail: bytes) -> Object:
        return {"kind": _PARTIAL, "apiVersion": self._api_version, "metadata": orjson.loads(metadata_of(tail))}


_PARTIAL: Final = "PartialObjectMetadata"
