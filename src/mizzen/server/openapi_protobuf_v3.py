"""OpenAPI v3 in protobuf, which some operators read the schema of their kinds from with no fallback to JSON.

Ref: https://github.com/google/gnostic-models (OpenAPIv3.proto, the field numbers)
"""

from collections.abc import Iterable
from typing import Any, Final

from mizzen.machinery.errors import Object
from mizzen.server.openapi_fields import (
    VALUE,
    Field,
    Table,
    anything,
    anythings,
    boolean,
    count,
    double,
    fields,
    message,
    named,
    text,
    texts,
)

CONTENT_TYPES: Final = (
    "application/com.github.proto-openapi.spec.v3@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v3.v1.0+protobuf",
)


def encode(document: Object) -> bytes:
    """The whole document; what its messages have no field for is left out."""
    return fields(_DOCUMENT, document)


def _either(table: Table, extensions: int, source: Object) -> bytes:
    """What is described in place, or a reference to where it is."""
    if "$ref" in source:
        return message(2, fields(_REFERENCE, source))
    return message(1, fields(table, source, extensions))


def _schema(number: int, source: Object) -> bytes:
    return message(number, _either(_SCHEMA, 36, source))


def _schemas(number: int, sources: Iterable[Object]) -> bytes:
    return b"".join(_schema(number, one) for one in sources)


def _bare_schema(number: int, source: Object) -> bytes:
    return message(number, fields(_SCHEMA, source, 36))


def _all_named(number: int, sources: Object, value: Field, at: int = 1) -> bytes:
    """A message of named values, as maps are written."""
    return message(number, b"".join(message(at, named(name, value(VALUE, one))) for name, one in sources.items()))


def _properties(number: int, sources: Object) -> bytes:
    return _all_named(number, sources, _schema)


def _items(number: int, source: Object) -> bytes:
    return message(number, _schema(1, source))


def _additional(number: int, source: Object | bool) -> bytes:
    return message(number, boolean(2, source) if isinstance(source, bool) else _schema(1, source))


def _default(number: int, source: Any) -> bytes:
    """A default is a number, a truth or a text; of others it is told that there is one."""
    match source:
        case bool():
            return message(number, boolean(2, source))
        case int() | float():
            return message(number, double(1, source))
        case str():
            return message(number, text(3, source))
        case _:
            return message(number, b"")


def _contents(number: int, sources: Object) -> bytes:
    return _all_named(number, sources, lambda place, one: message(place, fields({"schema": (1, _schema)}, one, 5)))


def _parameters(number: int, sources: Iterable[Object]) -> bytes:
    return b"".join(message(number, _either(_PARAMETER, 14, one)) for one in sources)


def _request_body(number: int, source: Object) -> bytes:
    return message(number, _either(_BODY, 4, source))


def _responses(number: int, sources: Object) -> bytes:
    codes = {code: one for code, one in sources.items() if code.isdigit()}
    return _all_named(number, codes, lambda place, one: message(place, _either(_RESPONSE, 5, one)), at=2)


def _operation(number: int, source: Object) -> bytes:
    return message(number, fields(_OPERATION, source, 13))


def _paths(number: int, sources: Object) -> bytes:
    return _all_named(number, sources, lambda place, one: message(place, fields(_ITEM, one, 14)))


def _info(number: int, source: Object) -> bytes:
    return message(number, fields({"title": (1, text), "version": (6, text)}, source))


def _components(number: int, source: Object) -> bytes:
    return message(number, fields({"schemas": (1, _properties), "securitySchemes": (7, _securities)}, source))


def _securities(number: int, sources: Object) -> bytes:
    return _all_named(number, sources, lambda place, one: message(place, _either(_SECURITY, 9, one)))


_REFERENCE: Final[Table] = {"$ref": (1, text), "summary": (2, text), "description": (3, text)}
_SCHEMA: Final[Table] = {
    "nullable": (1, boolean),
    "readOnly": (3, boolean),
    "writeOnly": (4, boolean),
    "example": (7, anything),
    "deprecated": (8, boolean),
    "title": (9, text),
    "multipleOf": (10, double),
    "maximum": (11, double),
    "exclusiveMaximum": (12, boolean),
    "minimum": (13, double),
    "exclusiveMinimum": (14, boolean),
    "maxLength": (15, count),
    "minLength": (16, count),
    "pattern": (17, text),
    "maxItems": (18, count),
    "minItems": (19, count),
    "uniqueItems": (20, boolean),
    "maxProperties": (21, count),
    "minProperties": (22, count),
    "required": (23, texts),
    "enum": (24, anythings),
    "type": (25, text),
    "allOf": (26, _schemas),
    "oneOf": (27, _schemas),
    "anyOf": (28, _schemas),
    "not": (29, _bare_schema),
    "items": (30, _items),
    "properties": (31, _properties),
    "additionalProperties": (32, _additional),
    "default": (33, _default),
    "description": (34, text),
    "format": (35, text),
}
_PARAMETER: Final[Table] = {
    "name": (1, text),
    "in": (2, text),
    "description": (3, text),
    "required": (4, boolean),
    "deprecated": (5, boolean),
    "schema": (10, _schema),
}
_BODY: Final[Table] = {"description": (1, text), "content": (2, _contents), "required": (3, boolean)}
_RESPONSE: Final[Table] = {"description": (1, text), "content": (3, _contents)}
_OPERATION: Final[Table] = {
    "tags": (1, texts),
    "summary": (2, text),
    "description": (3, text),
    "operationId": (5, text),
    "parameters": (6, _parameters),
    "requestBody": (7, _request_body),
    "responses": (8, _responses),
    "deprecated": (10, boolean),
}
_ITEM: Final[Table] = {
    "summary": (2, text),
    "description": (3, text),
    "get": (4, _operation),
    "put": (5, _operation),
    "post": (6, _operation),
    "delete": (7, _operation),
    "options": (8, _operation),
    "head": (9, _operation),
    "patch": (10, _operation),
    "parameters": (13, _parameters),
}
_SECURITY: Final[Table] = {
    "type": (1, text),
    "description": (2, text),
    "name": (3, text),
    "in": (4, text),
    "scheme": (5, text),
}
_DOCUMENT: Final[Table] = {
    "openapi": (1, text),
    "info": (2, _info),
    "paths": (4, _paths),
    "components": (5, _components),
}
