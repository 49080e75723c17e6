"""OpenAPI v2 in protobuf, which kubectl, Argo CD and their like ask for with no fallback to JSON.

A table for each message tells the fields; extensions, defaults and enums travel as YAML, which JSON is too.
Ref: https://github.com/google/gnostic-models (OpenAPIv2.proto, the field numbers)
"""

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

import orjson

from mizzen.machinery.errors import Object
from mizzen.machinery.protobuf import varint

CONTENT_TYPES: Final = (
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
)
_Field: TypeAlias = Callable[[int, Any], bytes]
_Table: TypeAlias = Mapping[str, tuple[int, _Field]]
_NAME, _VALUE = 1, 2
_YAML: Final = 2


def encode(document: Object) -> bytes:
    """The whole document; what its messages have no field for is left out."""
    return _fields(_DOCUMENT, document)


def _fields(table: _Table, source: Mapping[str, Any], extensions: int | None = None) -> bytes:
    """The fields that a table names, and all that start with `x-` under the number of extensions."""
    parts = []
    for key, value in source.items():
        if key in table:
            number, field = table[key]
            parts.append(field(number, value))
        elif extensions is not None and key.startswith("x-"):
            parts.append(_message(extensions, _named(key, _any(_VALUE, value))))
    return b"".join(parts)


def _named(name: str, value: bytes) -> bytes:
    return _text(_NAME, name) + value


def _text(number: int, text: str) -> bytes:
    return _message(number, text.encode())


def _texts(number: int, texts: Iterable[str]) -> bytes:
    return b"".join(_text(number, one) for one in texts)


def _any(number: int, value: Any) -> bytes:
    return _message(number, _text(_YAML, orjson.dumps(value).decode()))


def _anys(number: int, values: Iterable[Any]) -> bytes:
    return b"".join(_any(number, one) for one in values)


def _boolean(number: int, value: bool) -> bytes:
    return varint.tag(number, varint.VARINT) + varint.write(int(value))


def _count(number: int, value: int) -> bytes:
    return varint.tag(number, varint.VARINT) + varint.write(value)


def _double(number: int, value: float) -> bytes:
    return varint.tag(number, varint.FIXED64) + struct.pack("<d", value)


def _schema(number: int, source: Object) -> bytes:
    return _message(number, _fields(_SCHEMA, source, 31))


def _schemas(number: int, sources: Iterable[Object]) -> bytes:
    return b"".join(_schema(number, one) for one in sources)


def _named_schemas(number: int, sources: Object) -> bytes:
    named = (_message(1, _named(name, _schema(_VALUE, one))) for name, one in sources.items())
    return _message(number, b"".join(named))


def _items(number: int, source: Object) -> bytes:
    return _message(number, _schema(1, source))


def _additional(number: int, source: Object | bool) -> bytes:
    return _message(number, _boolean(2, source) if isinstance(source, bool) else _schema(1, source))


def _type(number: int, source: str | list[str]) -> bytes:
    return _message(number, _texts(1, [source] if isinstance(source, str) else source))


def _parameters(number: int, sources: Iterable[Object]) -> bytes:
    return b"".join(_message(number, _parameter(one)) for one in sources)


def _parameter(source: Object) -> bytes:
    """A parameter in the form that its place asks for, or a reference to one."""
    if "$ref" in source:
        return _message(2, _text(1, source["$ref"]))
    if source.get("in") == "body":
        return _message(1, _message(1, _fields(_BODY, source, 6)))
    place, table, extensions = _PLACES[source["in"]]
    return _message(1, _message(2, _message(place, _fields(table, source, extensions))))


def _responses(number: int, sources: Object) -> bytes:
    codes = (
        _message(1, _named(code, _message(_VALUE, _message(1, _fields(_RESPONSE, one, 5)))))
        for code, one in sources.items()
        if not code.startswith("x-")
    )
    return _message(number, b"".join(codes))


def _response_schema(number: int, source: Object) -> bytes:
    return _message(number, _schema(1, source))


def _operation(number: int, source: Object) -> bytes:
    return _message(number, _fields(_OPERATION, source, 13))


def _paths(number: int, sources: Object) -> bytes:
    paths = (_message(2, _named(path, _message(_VALUE, _fields(_ITEM, item, 10)))) for path, item in sources.items())
    return _message(number, b"".join(paths))


def _info(number: int, source: Object) -> bytes:
    return _message(number, _fields({"title": (1, _text), "version": (2, _text)}, source))


def _message(number: int, payload: bytes) -> bytes:
    """A length-delimited field."""
    return varint.tag(number, varint.BYTES) + varint.sized(payload)


_SCHEMA: Final[_Table] = {
    "$ref": (1, _text),
    "format": (2, _text),
    "title": (3, _text),
    "description": (4, _text),
    "default": (5, _any),
    "multipleOf": (6, _double),
    "maximum": (7, _double),
    "exclusiveMaximum": (8, _boolean),
    "minimum": (9, _double),
    "exclusiveMinimum": (10, _boolean),
    "maxLength": (11, _count),
    "minLength": (12, _count),
    "pattern": (13, _text),
    "maxItems": (14, _count),
    "minItems": (15, _count),
    "uniqueItems": (16, _boolean),
    "maxProperties": (17, _count),
    "minProperties": (18, _count),
    "required": (19, _texts),
    "enum": (20, _anys),
    "additionalProperties": (21, _additional),
    "type": (22, _type),
    "items": (23, _items),
    "allOf": (24, _schemas),
    "properties": (25, _named_schemas),
    "readOnly": (27, _boolean),
    "example": (30, _any),
}
_BODY: Final[_Table] = {
    "description": (1, _text),
    "name": (2, _text),
    "in": (3, _text),
    "required": (4, _boolean),
    "schema": (5, _schema),
}
_ANYWHERE: Final[_Table] = {
    "required": (1, _boolean),
    "in": (2, _text),
    "description": (3, _text),
    "name": (4, _text),
}
_PLAIN: Final[_Table] = {
    **_ANYWHERE,
    "type": (5, _text),
    "format": (6, _text),
    "default": (9, _any),
    "uniqueItems": (19, _boolean),
    "enum": (20, _anys),
}
_QUERY: Final[_Table] = {
    **_ANYWHERE,
    "type": (6, _text),
    "format": (7, _text),
    "default": (10, _any),
    "uniqueItems": (20, _boolean),
    "enum": (21, _anys),
}
_PLACES: Final[Mapping[str, tuple[int, _Table, int]]] = {
    "header": (1, _PLAIN, 22),
    "formData": (2, _QUERY, 23),
    "query": (3, _QUERY, 23),
    "path": (4, _PLAIN, 22),
}
_RESPONSE: Final[_Table] = {"description": (1, _text), "schema": (2, _response_schema)}
_OPERATION: Final[_Table] = {
    "tags": (1, _texts),
    "summary": (2, _text),
    "description": (3, _text),
    "operationId": (5, _text),
    "produces": (6, _texts),
    "consumes": (7, _texts),
    "parameters": (8, _parameters),
    "responses": (9, _responses),
    "schemes": (10, _texts),
    "deprecated": (11, _boolean),
}
_ITEM: Final[_Table] = {
    "get": (2, _operation),
    "put": (3, _operation),
    "post": (4, _operation),
    "delete": (5, _operation),
    "options": (6, _operation),
    "head": (7, _operation),
    "patch": (8, _operation),
    "parameters": (9, _parameters),
}
_DOCUMENT: Final[_Table] = {
    "swagger": (1, _text),
    "info": (2, _info),
    "paths": (8, _paths),
    "definitions": (9, _named_schemas),
}
