"""Protocol buffers from a table of field numbers: a message is a dict with the field names of its public definition.

Fields that are absent have their zero value. What the table does not name is skipped when reading, so newer peers may
say more. In a table each message has a line, `Name: field NUMBER KIND, …`; `*` marks a list, `int` is every kind of
varint (booleans and enumerations too), `map` leads from texts to texts, `blobs` from texts to bytes, and every other
kind but `string` and `bytes` is a message.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

from mizzen.machinery.protobuf import varint

Message = dict[str, Any]
_ENTRIES: Final = {"map": "Entry", "blobs": "BlobEntry"}
_OWN: Final = "Entry: key 1 string, value 2 string\nBlobEntry: key 1 string, value 2 bytes"
_ZERO: Final[Mapping[str, Any]] = {"int": 0, "string": "", "bytes": b""}


class DecodeError(ValueError):
    """The bytes are not such a message."""


class Schema:
    """The messages of a table."""

    def __init__(self, table: str) -> None:
        self._fields = _parsed(f"{table}\n{_OWN}")
        self._by_number = {
            name: {number: (field, repeated, kind) for field, (number, repeated, kind) in fields.items()}
            for name, fields in self._fields.items()
        }

    def encode(self, name: str, message: Mapping[str, Any]) -> bytes:
        """A message as bytes. Raises KeyError for a field that it does not have."""
        out = bytearray()
        fields = self._fields[name]
        for field, value in message.items():
            number, repeated, kind = fields[field]
            if kind in _ENTRIES:
                for key, one in value.items():
                    self._append(out, number, _ENTRIES[kind], {"key": key, "value": one})
            elif repeated:
                for one in value:
                    self._append(out, number, kind, one)
            elif value or (kind not in _ZERO and value is not None):
                self._append(out, number, kind, value)
        return bytes(out)

    def decode(self, name: str, data: bytes) -> Message:
        """Bytes as a message; every field is there, a message that was not sent as an empty one. Raises DecodeError."""
        fields = self._by_number[name]
        message: Message = {field: [] if repeated else _ZERO.get(kind, {}) for field, repeated, kind in fields.values()}
        for number, value in _values(data):
            if number not in fields:
                continue
            field, repeated, kind = fields[number]
            if kind in _ENTRIES:
                entry = self.decode(_ENTRIES[kind], _bytes(value))
                message[field][entry["key"]] = entry["value"]
            elif repeated and kind == "int" and isinstance(value, bytes):
                message[field] += [_signed(one) for one in _packed(value)]
            else:
                one = self._one(kind, value)
                if repeated:
                    message[field].append(one)
                else:
                    message[field] = one
        return message

    def _append(self, out: bytearray, number: int, kind: str, value: Any) -> None:
        if kind == "int":
            out += varint.tag(number, varint.VARINT) + varint.write(int(value))
            return
        data = value if kind == "bytes" else value.encode() if kind == "string" else self.encode(kind, value)
        out += varint.tag(number, varint.BYTES) + varint.sized(data)

    def _one(self, kind: str, value: int | bytes) -> Any:
        if kind == "int":
            if not isinstance(value, int):
                raise DecodeError("a number was expected")
            return _signed(value)
        if kind == "bytes":
            return _bytes(value)
        if kind == "string":
            return _bytes(value).decode("utf-8", "replace")
        return self.decode(kind, _bytes(value))


def _parsed(table: str) -> dict[str, dict[str, tuple[int, bool, str]]]:
    """Message → field → (number, is a list, type)."""
    messages: dict[str, dict[str, tuple[int, bool, str]]] = {}
    for line in table.strip().splitlines():
        name, _, rest = line.partition(":")
        fields = (one.split() for one in rest.split(",") if one.strip())
        messages[name] = {field: (int(number), kind[0] == "*", kind.lstrip("*")) for field, number, kind in fields}
    return messages


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise DecodeError("bytes were expected")
    return value


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _packed(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _read_varint(data, at)
        yield value


def _values(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and raw values, in the order of the bytes."""
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        match tag & 7:
            case 0:
                value, at = _read_varint(data, at)
                yield tag >> 3, value
            case 2:
                size, at = _read_varint(data, at)
                if at + size > len(data):
                    raise DecodeError("a field is cut off")
                yield tag >> 3, data[at : at + size]
                at += size
            case 1 | 5 as width:
                size = 8 if width == 1 else 4
                if at + size > len(data):
                    raise DecodeError("a field is cut off")
                yield tag >> 3, int(struct.unpack_from("<Q" if size == 8 else "<I", data, at)[0])
                at += size
            case other:
                raise DecodeError(f"unknown wire type {other}")


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise DecodeError("a number is cut off")
