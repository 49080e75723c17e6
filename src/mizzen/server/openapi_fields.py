"""Fields of the OpenAPI messages in protobuf, by tables that tell the number and the form of each.

Extensions, defaults and enums travel as YAML, which JSON is too.
Ref: https://github.com/google/gnostic-models (OpenAPIv2.proto and OpenAPIv3.proto, the field numbers)
"""

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

import orjson

from mizzen.machinery.protobuf import varint

Field: TypeAlias = Callable[[int, Any], bytes]
Table: TypeAlias = Mapping[str, tuple[int, Field]]
NAME, VALUE = 1, 2
_YAML: Final = 2


def fields(table: Table, source: Mapping[str, Any], extensions: int | None = None) -> bytes:
    """The fields that a table names, and all that start with `x-` under the number of extensions."""
    parts = []
    for key, value in source.items():
        if key in table:
            number, field = table[key]
            parts.append(field(number, value))
        elif extensions is not None and key.startswith("x-"):
            parts.append(message(extensions, named(key, anything(VALUE, value))))
    return b"".join(parts)


def named(name: str, value: bytes) -> bytes:
    return text(NAME, name) + value


def text(number: int, text: str) -> bytes:
    return message(number, text.encode())


def texts(number: int, texts: Iterable[str]) -> bytes:
    return b"".join(text(number, one) for one in texts)


def anything(number: int, value: Any) -> bytes:
    return message(number, text(_YAML, orjson.dumps(value).decode()))


def anythings(number: int, values: Iterable[Any]) -> bytes:
    return b"".join(anything(number, one) for one in values)


def boolean(number: int, value: bool) -> bytes:
    return varint.tag(number, varint.VARINT) + varint.write(int(value))


def count(number: int, value: int) -> bytes:
    return varint.tag(number, varint.VARINT) + varint.write(value)


def double(number: int, value: float) -> bytes:
    return varint.tag(number, varint.FIXED64) + struct.pack("<d", value)


def message(number: int, payload: bytes) -> bytes:
    """A length-delimited field."""
    return varint.tag(number, varint.BYTES) + varint.sized(payload)
