"""Whole objects on the wire: the four bytes `k8s\\0`, then a message that names the kind around the object's own.

Ref: https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from mizzen.machinery.errors import Object
from mizzen.machinery.protobuf import varint
from mizzen.machinery.protobuf.forms import numbers_and_bodies
from mizzen.machinery.protobuf.messages import ProtobufError, message_of
from mizzen.machinery.protobuf.reader import reader_of
from mizzen.machinery.protobuf.writer import writer_of

MAGIC: Final = b"k8s\x00"
_NO_ENCODING: Final = b"\x1a\x00\x22\x00"
_EVENT_TYPES: Final = {
    name: b"\n" + varint.sized(name.encode()) for name in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR")
}


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is in the envelope; the kind may be missing."""

    api_version: str
    kind: str
    raw: bytes


def is_protobuf(body: bytes) -> bool:
    """Whether a body is in the envelope."""
    return body.startswith(MAGIC)


def opened(body: bytes) -> Envelope:
    """Raises: ProtobufError."""
    if not is_protobuf(body):
        raise ProtobufError("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    try:
        found = numbers_and_bodies(body, len(MAGIC), len(body))
        about = found.get(1, b"")
        named = numbers_and_bodies(about, 0, len(about))
        return Envelope(named.get(1, b"").decode(), named.get(2, b"").decode(), found.get(2, b""))
    except (IndexError, UnicodeDecodeError, AttributeError, TypeError):
        raise ProtobufError("proto: cannot parse invalid wire-format data") from None


def can_carry(api_version: str, kind: str) -> bool:
    """Whether a kind has a protobuf form."""
    return message_of(api_version, kind) is not None


def read(envelope: Envelope, api_version: str, kind: str) -> Object:
    """The object in an envelope, of the kind that it states, else of the one given. Raises: ProtobufError."""
    api_version, kind = envelope.api_version or api_version, envelope.kind or kind
    message = message_of(api_version, kind)
    if message is None:
        raise ProtobufError(f'no kind "{kind}" is registered for version "{api_version}"')
    raw = envelope.raw
    try:
        obj = reader_of(message).read(raw, 0, len(raw))
    except (IndexError, RecursionError, OverflowError):
        raise ProtobufError("proto: cannot parse invalid wire-format data") from None
    return {"kind": kind, "apiVersion": api_version, **obj}


def write(obj: Object) -> bytes:
    """A whole object in its envelope. Raises: LookupError for a kind that has no protobuf form."""
    api_version, kind = obj.get("apiVersion") or "v1", obj["kind"]
    return wrapped(api_version, kind, message(obj, api_version, kind))


def message(obj: Any, api_version: str, kind: str) -> bytearray:
    """An object's own message. Raises: LookupError for a kind that has no protobuf form."""
    name = message_of(api_version, kind)
    if name is None:
        raise LookupError(f"no protobuf message for {kind} in {api_version}")
    return writer_of(name).write(obj)


def wrapped(api_version: str, kind: str, raw: bytes | bytearray) -> bytes:
    """A message in its envelope."""
    return b"".join((_head(api_version, kind), varint.write(len(raw)), raw, _NO_ENCODING))


def item(message: bytes | bytearray) -> bytes:
    """An object's message as one of the items of a list."""
    return b"".join((b"\x12", varint.write(len(message)), message))


def listed(api_version: str, kind: str, meta: Object, items: bytes) -> tuple[bytes, ...]:
    """A list in its envelope, of items joined, in pieces."""
    list_meta = b"\n" + varint.sized(writer_of(_LIST_META).write(meta))
    length = varint.write(len(list_meta) + len(items))
    return _head(api_version, kind) + length + list_meta, items, _NO_ENCODING


def frame(type: str, enveloped: bytes) -> bytes:
    """One event of a watch: its length in four bytes, then the event without an envelope around the object in one."""
    embedded = b"\n" + varint.sized(enveloped)
    event = b"".join((_EVENT_TYPES[type], b"\x12", varint.write(len(embedded)), embedded))
    return len(event).to_bytes(4, "big") + event


@lru_cache(maxsize=1024)
def _head(api_version: str, kind: str) -> bytes:
    """The envelope up to the length of the message in it."""
    about = b"\n" + varint.sized(api_version.encode()) + b"\x12" + varint.sized(kind.encode())
    return MAGIC + b"\n" + varint.sized(about) + b"\x12"


_LIST_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"
