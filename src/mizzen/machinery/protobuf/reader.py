"""Messages to JSON objects, as Go would show them: one reader per message, its table built when first used.

Zero values disappear where the JSON field is `omitempty`, absent lists and maps always; unknown fields are skipped.
"""

import struct
from functools import cache
from typing import Any, Final

from mizzen.machinery.protobuf import varint
from mizzen.machinery.protobuf.forms import FORMS, Read, read_string
from mizzen.machinery.protobuf.messages import Field, Places, ProtobufError, fields
from mizzen.machinery.protobuf.varint import BYTES, FIXED64, VARINT

_STRING, _MESSAGE, _MESSAGES, _MAP, _FORM, _FORMS, _INLINE, _INT, _BOOL, _DOUBLE, _VARINTS, _PACKED = range(12)
_SCALARS: Final = {"int": _INT, "bool": _BOOL, "double": _DOUBLE}
_ZEROS: Final = {"string": "", "int": 0, "bool": False, "double": 0}


class Reader:
    """Reads one message."""

    __slots__ = ("_defaults", "_name", "_table")

    def __init__(self, name: str) -> None:
        self._name = name
        self._table: dict[int, tuple[int, str, Any, bool]] | None = None
        self._defaults: dict[str, Any] = {}

    def read(self, data: bytes, at: int, end: int) -> dict[str, Any]:  # shape: one loop, a call per field costs double
        """The JSON object of the bytes between two positions. Raises: ProtobufError, IndexError."""
        table = self._table if self._table is not None else self._build()
        out = self._defaults.copy()
        while at < end:
            tag = data[at]
            at += 1
            if tag > 127:
                tag, at = varint.read(data, at - 1)
            known = table.get(tag)
            if known is None:
                at = varint.skip(data, at, tag & 7, end)
                continue
            op, name, inner, keeps = known
            if op < _INT:
                size = data[at]
                at += 1
                if size > 127:
                    size, at = varint.read(data, at - 1)
                stop = at + size
                if stop > end:
                    raise ProtobufError("unexpected EOF")
                if op == _STRING:
                    if size or keeps:
                        out[name] = data[at:stop].decode("utf-8", "replace")
                elif op == _MESSAGE:
                    out[name] = inner(data, at, stop)
                elif op == _MAP:
                    key, value = _read_entry(data, at, stop, inner)
                    out.setdefault(name, {})[key] = value
                elif op == _INLINE:
                    out.update(inner(data, at, stop))
                elif op == _FORM:
                    value = inner(data, at, stop)
                    if value or (keeps and value is not None):
                        out[name] = value
                else:
                    found = out.get(name)
                    if found is None:
                        out[name] = [inner(data, at, stop)]
                    else:
                        found.append(inner(data, at, stop))
                at = stop
            elif op == _INT:
                number = data[at]
                at += 1
                if number > 127:
                    number, at = varint.read(data, at - 1)
                    number = varint.signed(number)
                if number or keeps:
                    out[name] = number
            else:
                at = _read_rare(out, data, at, end, known)
        if at != end:
            raise ProtobufError("unexpected EOF")
        return out

    def _build(self) -> dict[int, tuple[int, str, Any, bool]]:
        table: dict[int, tuple[int, str, Any, bool]] = {}
        defaults = {}
        for field in fields(self._name):
            if not (field.omitempty or field.pointer or field.many) and field.form in _ZEROS:
                defaults[field.name] = _ZEROS[field.form]
            table.update(_entries(field))
        self._defaults = defaults
        self._table = table
        return table

    def read_unless_zero(self, data: bytes, at: int, end: int) -> dict[str, Any] | None:
        """The same, or None for a message in which nothing is set."""
        found = self.read(data, at, end)
        return found if found != self._defaults else None


@cache
def reader_of(name: str) -> Reader:
    """The reader of a message. Its table is built when it first reads."""
    return Reader(name)


def _entries(field: Field) -> dict[int, tuple[int, str, Any, bool]]:
    """The table's entries by tag."""
    keeps = field.pointer or not field.omitempty
    scalar = _SCALARS.get(field.form)
    if scalar is not None:
        if field.many:
            convert = bool if scalar == _BOOL else varint.signed
            return {
                field.number << 3 | VARINT: (_VARINTS, field.name, convert, True),
                field.number << 3 | BYTES: (_PACKED, field.name, convert, True),
            }
        wire = FIXED64 if scalar == _DOUBLE else VARINT
        return {field.number << 3 | wire: (scalar, field.name, None, keeps)}
    return {field.number << 3 | BYTES: _entry(field, keeps)}


def _entry(field: Field, keeps: bool) -> tuple[int, str, Any, bool]:
    if not field.name:
        return _INLINE, "", reader_of(field.form).read, True
    if field.is_message and field.omitzero and not field.many and not field.pointer:
        return _FORM, field.name, reader_of(field.form).read_unless_zero, True
    read = _read_of(field)
    if field.many == "%":
        return _MAP, field.name, read, True
    if field.many:
        return (_MESSAGES if field.is_message else _FORMS), field.name, read, True
    if field.is_message:
        return _MESSAGE, field.name, read, True
    if field.form == "string":
        return _STRING, field.name, None, keeps
    return _FORM, field.name, read, keeps if field.form == "bytes" else field.form != "strings"


def _read_of(field: Field) -> Read:
    if field.is_message:
        return reader_of(field.form).read
    return _union(field.form) if field.union else FORMS[field.form].read


def _union(name: str) -> Read:
    """The reader of a message that JSON shows as the value of one of its fields."""
    reader, places = reader_of(name), Places.of(name)

    def read(data: bytes, at: int, stop: int) -> Any:
        found = reader.read(data, at, stop)
        for place in (places.list, places.message):
            if place in found:
                return found[place]
        return found.get(places.boolean, False) if places.boolean else None

    return read


def _read_entry(data: bytes, at: int, stop: int, inner: Read) -> tuple[str, Any]:
    """A key and its value of a map. Raises: ProtobufError."""
    key = ""
    start = end = stop
    while at < stop:
        tag = data[at]
        if tag not in (10, 18):
            tag, at = varint.read(data, at)
            at = varint.skip(data, at, tag & 7, stop)
            continue
        size, first = varint.read(data, at + 1)
        at = first + size
        if at > stop:
            raise ProtobufError("unexpected EOF")
        if tag == 10:
            key = read_string(data, first, at)
        else:
            start, end = first, at
    return key, inner(data, start, end)


def _read_rare(out: dict[str, Any], data: bytes, at: int, end: int, known: tuple[int, str, Any, bool]) -> int:
    """Read a boolean, a double or varints of a list; where it ends. Raises: ProtobufError."""
    op, name, convert, keeps = known
    if op == _DOUBLE:
        if at + 8 > end:
            raise ProtobufError("unexpected EOF")
        (value,) = struct.unpack_from("<d", data, at)
        if value or keeps:
            out[name] = int(value) if value.is_integer() and abs(value) < 1e15 else value
        return at + 8
    number, at = varint.read(data, at)
    if op == _BOOL:
        if number or keeps:
            out[name] = bool(number)
    elif op == _VARINTS:
        out.setdefault(name, []).append(convert(number))
    else:
        stop = at + number
        if stop > end:
            raise ProtobufError("unexpected EOF")
        while at < stop:
            number, at = varint.read(data, at)
            out.setdefault(name, []).append(convert(number))
    return at
