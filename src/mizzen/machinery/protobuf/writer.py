"""JSON objects to messages: one writer per message, its table built when first used.

Zero values that Go would write although they stand for nothing are left out: decoders read the same.
Keys that a message does not know are skipped, as are nulls.
"""

import struct
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from mizzen.machinery.protobuf import varint
from mizzen.machinery.protobuf.forms import FORMS
from mizzen.machinery.protobuf.messages import Field, Places, fields
from mizzen.machinery.protobuf.varint import BYTES, FIXED64, VARINT

Body = Callable[[Any], bytes | bytearray]
"""A value of the wire type BYTES, without its length."""

_STRING, _MESSAGE, _BODY, _MESSAGES, _BODIES, _INT, _BOOL, _DOUBLE, _VARINTS, _MAP = range(10)
_SCALARS: Final = {"int": _INT, "bool": _BOOL, "double": _DOUBLE}
_KEY: Final = b"\n"
_VALUE: Final = b"\x12"


class Writer:
    """Writes one message."""

    __slots__ = ("_inline", "_name", "_table")

    def __init__(self, name: str) -> None:
        self._name = name
        self._table: dict[str, tuple[int, bytes, Any]] | None = None
        self._inline: list[tuple[bytes, Writer]] = []

    def write(self, obj: dict[str, Any]) -> bytearray:
        """The message of a JSON object. Raises: ValueError, TypeError for values that the API would refuse."""
        table = self._table if self._table is not None else self._build()
        out = bytearray()
        for name, value in obj.items():
            known = table.get(name)
            if known is None or value is None:
                continue
            op, tag, inner = known
            if op <= _BODY:
                body = value.encode() if op == _STRING else inner(value)
                out += tag
                size = len(body)
                if size < 128:
                    out.append(size)
                else:
                    out += varint.write(size)
                out += body
            elif op <= _BODIES:
                for each in value:
                    body = inner(each)
                    out += tag
                    out += varint.write(len(body))
                    out += body
            elif op == _INT:
                out += tag
                out += varint.write(value)
            elif op == _BOOL:
                out += tag
                out.append(1 if value else 0)
            elif op == _MAP:
                _write_map(out, tag, value, inner)
            elif op == _DOUBLE:
                out += tag
                out += struct.pack("<d", value)
            else:
                for each in value:
                    out += tag
                    out += varint.write(each)
        for tag, writer in self._inline:
            body = writer.write(obj)
            out += tag
            out += varint.write(len(body))
            out += body
        return out

    def _build(self) -> dict[str, tuple[int, bytes, Any]]:
        table = {}
        for field in fields(self._name):
            if not field.name:
                self._inline.append((varint.tag(field.number, BYTES), writer_of(field.form)))
            else:
                table[field.name] = _entry(field)
        self._table = table
        return table


@cache
def writer_of(name: str) -> Writer:
    """The writer of a message. Its table is built when it first writes."""
    return Writer(name)


def _entry(field: Field) -> tuple[int, bytes, Any]:
    scalar = _SCALARS.get(field.form)
    if scalar is not None:
        wire = FIXED64 if scalar == _DOUBLE else VARINT
        if field.many == "%" or (field.many and scalar == _DOUBLE):
            raise NotImplementedError(f"{field.name}: {field.many}{field.form}")
        return (_VARINTS if field.many else scalar), varint.tag(field.number, wire), None
    tag, body = varint.tag(field.number, BYTES), _body(field)
    if field.many == "%":
        return _MAP, tag, body
    if field.many:
        return (_MESSAGES if field.is_message else _BODIES), tag, body
    if field.form == "string":
        return _STRING, tag, None
    return (_MESSAGE if field.is_message else _BODY), tag, body


def _body(field: Field) -> Body:
    if field.is_message:
        return writer_of(field.form).write
    return _union(field.form) if field.union else FORMS[field.form].write


def _union(name: str) -> Body:
    """The writer of a message that JSON shows as the value of one of its fields."""
    writer, places = writer_of(name), Places.of(name)

    def write(value: Any) -> bytearray:
        if isinstance(value, bool):
            return writer.write({places.boolean: value})
        if isinstance(value, list):
            return writer.write({places.list: value})
        return writer.write({places.boolean: True, places.message: value})

    return write


def _write_map(out: bytearray, tag: bytes, values: dict[str, Any], inner: Body) -> None:
    for key, value in values.items():
        name = key.encode()
        body = inner(value)
        entry = b"".join((_KEY, varint.write(len(name)), name, _VALUE, varint.write(len(body)), body))
        out += tag
        out += varint.write(len(entry))
        out += entry
