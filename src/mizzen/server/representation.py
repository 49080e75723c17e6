"""How objects leave: whole, as metadata alone, or as a Table; one at a time, listed, or in watch events.

Whole objects of a kind that is stored as it is served are spliced from bytes; everything else is decoded first.
"""

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import orjson

from mizzen.machinery.errors import ApiError, Object
from mizzen.server import tables
from mizzen.server.binary import Binary, BinaryPartial
from mizzen.server.media import PROTOBUF, Media
from mizzen.server.recent import Encoding
from mizzen.server.served import Lines, ListMeta, Served
from mizzen.server.watchcache import metadata_of
from mizzen.wire.message import Request


class Representation(Protocol):
    """Encodes stored tails as one kind of answer; made for one request, but for whole objects in JSON."""

    shares_lines: bool
    """Whether events look the same to every watcher that asks for this kind."""
    binary: bool
    """Whether it is protobuf."""

    @property
    def encoding(self) -> Encoding | None:
        """What encodes the objects of a list; None where they are joined as they are."""

    def one(self, tail: bytes) -> bytes:
        """A single object."""

    def many(self, tails: Sequence[bytes], meta: ListMeta) -> bytes | Sequence[bytes]:
        """A list, in one piece or several."""

    def event(self, type: str, tail: bytes) -> bytes:
        """One watch event: a line, or a frame."""

    def notice(self, type: str, obj: Object) -> bytes:
        """One watch event about the watch itself: a bookmark, an error."""


class Partial(Lines):
    """Metadata alone, as the bytes that it is kept as."""

    shares_lines = False
    encoding: Encoding

    def __init__(self, version: str) -> None:
        self._api_version = f"meta.k8s.io/{version}"
        self._start = b'{"kind":"PartialObjectMetadata","apiVersion":"%b","metadata":' % self._api_version.encode()
        self.encoding = Encoding(self._api_version, self.one)

    def one(self, tail: bytes) -> bytes:
        return b"%b%b}" % (self._start, metadata_of(tail))

    def many(self, tails: Sequence[bytes], meta: ListMeta) -> bytes | Sequence[bytes]:
        shown = orjson.dumps(
            {"kind": "PartialObjectMetadataList", "apiVersion": self._api_version, "metadata": meta.as_object()}
        )
        head = shown[:-1] + b',"items":'
        return (head, b"[", self.encoding.joined(b",", tails), b"]}") if tails else head + b"null}"

    def event(self, type: str, tail: bytes) -> bytes:
        return b'{"type":"%b","object":%b}\n' % (type.encode(), self.one(tail))

    def notice(self, type: str, obj: Object) -> bytes:
        return super().notice(type, obj if obj["kind"] == "Status" else tables.metadata_only(obj, self._api_version))


class Tabular(Lines):
    """Rows of cells, as kubectl shows them; only the first event of a watch carries the columns."""

    shares_lines = False
    encoding: Encoding

    def __init__(self, shape: tables.Shape, decode: Callable[[bytes], Object], now: Callable[[], float]) -> None:
        self._shape = shape
        self._decode = decode
        self._now = now
        self._headed = False
        # Ages are told in whole seconds, so that all lists of one second look the same.
        self._second = math.floor(now())
        self.encoding = Encoding((shape, self._second), self._row)

    def one(self, tail: bytes) -> bytes:
        obj = self._decode(tail)
        meta = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
        return orjson.dumps(tables.render(self._shape, [obj], meta, self._now()))

    def many(self, tails: Sequence[bytes], meta: ListMeta) -> bytes | Sequence[bytes]:
        if not tails:
            return orjson.dumps(tables.render(self._shape, [], meta.as_object(), self._second))
        order = self._shape.table.order if self._shape.table is not None else None
        if order is not None:
            tails = sorted(tails, key=lambda tail: order(self._decode(tail)))
        head = orjson.dumps(tables.head(self._shape, meta.as_object()))
        return head[:-1] + b',"rows":[', self.encoding.joined(b",", tails), b"]}"

    def event(self, type: str, tail: bytes) -> bytes:
        obj = self._decode(tail)
        meta = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
        table = tables.render(self._shape, [obj], meta, self._now(), headed=not self._headed)
        self._headed = True
        return orjson.dumps({"type": type, "object": table}, option=orjson.OPT_APPEND_NEWLINE)

    def _row(self, tail: bytes) -> bytes:
        return orjson.dumps(tables.row(self._shape, self._decode(tail), self._second))


def choose(
    request: Request, served: Served, media: Media, now: Callable[[], float], *, listing: bool
) -> Representation:
    """The representation that was negotiated. Raises ApiError 406 for one that does not fit."""
    if not media.convert:
        return served.whole if media.type != PROTOBUF else Binary(served.kind, served.list_kind, served.decode)
    if media.convert == "Table":
        return Tabular(_shape(request, served, media), served.decode, now)
    if media.convert == "PartialObjectMetadataList" and not listing:
        kind = served.kind
        type_name = f"*{kind.group.partition('.')[0] or 'core'}.{kind.kind}"
        text = f"you requested PartialObjectMetadataList, but the requested object is not a list ({type_name})"
        raise ApiError(406, "NotAcceptable", text)
    if media.convert == "PartialObjectMetadata" and listing and not request.parameter("watch"):
        text = "you requested PartialObjectMetadata, but the requested object is a list"
        raise ApiError(406, "NotAcceptable", f"{text} (*{served.kind.group or 'core'}.{served.list_kind})")
    return Partial(media.version) if media.type != PROTOBUF else BinaryPartial(media.version)


def _shape(request: Request, served: Served, media: Media) -> tables.Shape:
    include = request.parameter("includeObject") or "Metadata"
    if include not in ("None", "Metadata", "Object"):
        text = f"includeObject: Invalid value: \"{include}\": must be 'Metadata', 'Object', 'None', or empty"
        raise ApiError(400, "BadRequest", f"Unable to convert to Table as requested: {text}")
    return tables.Shape(served.kind.table, served.builtin, include, f"meta.k8s.io/{media.version}")
