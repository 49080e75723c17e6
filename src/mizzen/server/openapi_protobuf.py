"""OpenAPI v2 in protobuf, which kubectl, Argo CD and their like ask for with no fallback to JSON.

Ref: https://github.com/google/gnostic-models (OpenAPIv2.proto, the field numbers)
"""

from collections.abc import Iterable, Mapping
from typing import Final

from mizzen.machinery.errors import Object
from mizzen.server.openapi_fields import (
    VALUE,
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
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
)


def encode(document: Object) -> bytes:
    """The whole document; what its messages have no field for is left out."""
    return fields(_DOCUMENT, document)


def _schema(number: int, source: Object) -> bytes:
    return message(number, fields(_SCHEMA, source, 31))


def _schemas(number: int, sources: Iterable[Object]) -> bytes:
    return b"".join(_schema(number, one) for one in sources)


def _named_schemas(number: int, sources: Object) -> bytes:
    return message(number, b"".join(message(1, named(name, _schema(VALUE, one))) for name, one in sources.items()))


def _items(number: int, source: Object) -> bytes:
    return message(number, _schema(1, source))


def _additional(number: int, source: Object | bool) -> bytes:
    return message(number, boolean(2, source) if isinstance(source, bool) else _schema(1, source))


def _type(number: int, source: str | list[str]) -> bytes:
    return message(number, texts(1, [source] if isinstance(source, str) else source))


def _parameters(number: int, sources: Iterable[Object]) -> bytes:
    return b"".join(message(number, _parameter(one)) for one in sources)


def _parameter(source: Object) -> bytes:
    """A parameter in the form that its place asks for, or a reference to one."""
    if "$ref" in source:
        return message(2, text(1, source["$ref"]))
    if source.get("in") == "body":
        return message(1, message(1, fields(_BODY, source, 6)))
    place, table, extensions = _PLACES[source["in"]]
    return message(1, message(2, message(place, fields(table, source, extensions))))


def _responses(number: int, sources: Object) -> bytes:
    codes = (
        message(1, named(code, message(VALUE, message(1, fields(_RESPONSE, one, 5)))))
        for code, one in sources.items()
        if not code.startswith("x-")
    )
    return message(number, b"".join(codes))


def _response_schema(number: int, source: Object) -> bytes:
    return message(number, _schema(1, source))


def _operation(number: int, source: Object) -> bytes:
    return message(number, fields(_OPERATION, source, 13))


def _paths(number: int, sources: Object) -> bytes:
    paths = (message(2, named(path, message(VALUE, fields(_ITEM, item, 10)))) for path, item in sources.items())
    return message(number, b"".join(paths))


def _info(number: int, source: Object) -> bytes:
    return message(number, fields({"title": (1, text), "version": (2, text)}, source))


_SCHEMA: Final[Table] = {
    "$ref": (1, text),
    "format": (2, text),
    "title": (3, text),
    "description": (4, text),
    "default": (5, anything),
    "multipleOf": (6, double),
    "maximum": (7, double),
    "exclusiveMaximum": (8, boolean),
    "minimum": (9, double),
    "exclusiveMinimum": (10, boolean),
    "maxLength": (11, count),
    "minLength": (12, count),
    "pattern": (13, text),
    "maxItems": (14, count),
    "minItems": (15, count),
    "uniqueItems": (16, boolean),
    "maxProperties": (17, count),
    "minProperties": (18, count),
    "required": (19, texts),
    "enum": (20, anythings),
    "additionalProperties": (21, _additional),
    "type": (22, _type),
    "items": (23, _items),
    "allOf": (24, _schemas),
    "properties": (25, _named_schemas),
    "readOnly": (27, boolean),
    "example": (30, anything),
}
_BODY: Final[Table] = {
    "description": (1, text),
    "name": (2, text),
    "in": (3, text),
    "required": (4, boolean),
    "schema": (5, _schema),
}
_ANYWHERE: Final[Table] = {
    "required": (1, boolean),
    "in": (2, text),
    "description": (3, text),
    "name": (4, text),
}
_PLAIN: Final[Table] = {
    **_ANYWHERE,
    "type": (5, text),
    "format": (6, text),
    "default": (9, anything),
    "uniqueItems": (19, boolean),
    "enum": (20, anythings),
}
_QUERY: Final[Table] = {
    **_ANYWHERE,
    "type": (6, text),
    "format": (7, text),
    "default": (10, anything),
    "uniqueItems": (20, boolean),
    "enum": (21, anythings),
}
_PLACES: Final[Mapping[str, tuple[int, Table, int]]] = {
    "header": (1, _PLAIN, 22),
    "formData": (2, _QUERY, 23),
    "query": (3, _QUERY, 23),
    "path": (4, _PLAIN, 22),
}
_RESPONSE: Final[Table] = {"description": (1, text), "schema": (2, _response_schema)}
_OPERATION: Final[Table] = {
    "tags": (1, texts),
    "summary": (2, text),
    "description": (3, text),
    "operationId": (5, text),
    "produces": (6, texts),
    "consumes": (7, texts),
    "parameters": (8, _parameters),
    "responses": (9, _responses),
    "schemes": (10, texts),
    "deprecated": (11, boolean),
}
_ITEM: Final[Table] = {
    "get": (2, _operation),
    "put": (3, _operation),
    "post": (4, _operation),
    "delete": (5, _operation),
    "options": (6, _operation),
    "head": (7, _operation),
    "patch": (8, _operation),
    "parameters": (9, _parameters),
}
_DOCUMENT: Final[Table] = {
    "swagger": (1, text),
    "info": (2, _info),
    "paths": (8, _paths),
    "definitions": (9, _named_schemas),
}
