"""A kind as this server serves it: its name for lists, its schema, and its objects spliced from stored bytes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from mizzen.api.kind import Kind
from mizzen.machinery.errors import Object
from mizzen.machinery.schema import Schema
from mizzen.server.recent import RECENT, Encoding
from mizzen.server.watchcache import decode_tail

_PIECE: Final = 128
"""Objects in one piece of a list that is made bit by bit."""
_EVENT: Final = {name: b'{"type":"%b","object":' % name.encode() for name in ("ADDED", "MODIFIED", "DELETED")}


@dataclass(frozen=True, slots=True)
class ListMeta:
    """What a list says of itself."""

    revision: int
    token: str = ""
    remaining: int = 0

    def as_object(self) -> Object:
        meta: Object = {"resourceVersion": str(self.revision)}
        if self.token:
            meta["continue"] = self.token
        if self.remaining:
            meta["remainingItemCount"] = self.remaining
        return meta


class Lines:
    """What all JSON representations say of a watch itself."""

    binary = False
    encoding: Encoding | None = None

    def notice(self, type: str, obj: Object) -> bytes:
        return orjson.dumps({"type": type, "object": obj}, option=orjson.OPT_APPEND_NEWLINE)


class Whole(Lines):
    """Objects as they are."""

    def __init__(self, kind: Kind, list_kind: str, *, typed: bool) -> None:
        convert = _converter(kind)
        self._prefix = b'{"kind":%b,"apiVersion":%b,' % (orjson.dumps(kind.kind), orjson.dumps(kind.api_version))
        self._item = b"{" if typed else self._prefix
        self._separator = b"," + self._item
        self._convert = convert
        self._list = b'{"kind":%b,"apiVersion":%b,"metadata":' % (
            orjson.dumps(list_kind),
            orjson.dumps(kind.api_version),
        )
        self._events = {name: head + self._prefix for name, head in _EVENT.items()}
        self._typed = typed
        self.shares_lines = convert is None

    def one(self, tail: bytes) -> bytes:
        return self._prefix + (tail if self._convert is None else self._convert(tail))

    def many(self, tails: Sequence[bytes], meta: ListMeta) -> bytes | Sequence[bytes]:
        head = self._head(meta)
        if not tails:
            return head + b',"items":[]}'
        if self._convert is not None:
            tails = [self._convert(tail) for tail in tails]
        separator = self._separator
        joined = RECENT.get(separator, tails, lambda: separator.join(tails))
        return (head, b',"items":[', self._item, joined, b"]}")

    def bit_by_bit(self, tails: Sequence[bytes], meta: ListMeta) -> Iterator[bytes]:
        """The same list, of at least one object, in pieces that are made when they are asked for."""
        before = b'%b,"items":[%b' % (self._head(meta), self._item)
        for start in range(0, len(tails), _PIECE):
            some: Sequence[bytes] = tails[start : start + _PIECE]
            if self._convert is not None:
                some = [self._convert(tail) for tail in some]
            yield before + self._separator.join(some)
            before = self._separator
        yield b"]}"

    def _head(self, meta: ListMeta) -> bytes:
        shown = meta.as_object()
        if not self._typed:
            # Lists of custom resources always say where they go on, be it nowhere.
            shown.setdefault("continue", "")
        return self._list + orjson.dumps(shown)

    def event(self, type: str, tail: bytes) -> bytes:
        if self._convert is not None:
            tail = self._convert(tail)
        return b"%b%b}\n" % (self._events[type], tail)


class Served:
    """`builtin` kinds are typed; others come from a CustomResourceDefinition."""

    def __init__(
        self,
        kind: Kind,
        *,
        builtin: bool = True,
        list_kind: str = "",
        schema: Schema | None = None,
        document: Object | None = None,
    ) -> None:
        self.kind = kind
        self.builtin = builtin
        self.list_kind = list_kind or kind.kind + "List"
        self.schema = schema
        """The schema of a custom resource, for field-level work."""
        self.document = document
        """The same as it is published in OpenAPI."""
        self.whole = Whole(kind, self.list_kind, typed=builtin)

    def decode(self, tail: bytes) -> Object:
        """From a stored tail to the whole object as served."""
        kind = self.kind
        obj = decode_tail(tail)
        if kind.from_stored is not None:
            obj = kind.from_stored(obj)
        return {**obj, "kind": kind.kind, "apiVersion": kind.api_version}


def _converter(kind: Kind) -> Callable[[bytes], bytes] | None:
    """From stored tails to tails of the served version; None where they are the same."""
    if kind.from_stored is None:
        return None
    change = kind.from_stored

    def convert(tail: bytes) -> bytes:
        obj = change(decode_tail(tail))
        return encode_tail(obj)

    return convert


def encode_tail(obj: Object) -> bytes:
    """An object's tail; metadata comes first, the resourceVersion first in it, where there is one."""
    meta = obj["metadata"]
    version = meta.get("resourceVersion")
    ordered: Object = {"metadata": {"resourceVersion": version, **meta} if version else meta}
    ordered.update((key, value) for key, value in obj.items() if key not in ("kind", "apiVersion", "metadata"))
    return orjson.dumps(ordered)[1:]
