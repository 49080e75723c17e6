"""OpenAPI v2 in protobuf, as far as kubectl 1.28 looks at it: which kinds may be patched, and with which parameters.

It is asked for before every apply and create, and there is no JSON fallback. Hand-packed: four kinds of message.
Ref: https://github.com/google/gnostic-models (OpenAPIv2.proto, the field numbers)
"""

from collections.abc import Iterable
from typing import Final

import orjson

from mizzen.machinery.errors import Object

CONTENT_TYPES: Final = (
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
)
_SWAGGER, _INFO, _PATHS = 1, 2, 8
_TITLE, _VERSION = 1, 2
_PATH = 2
_NAME, _VALUE = 1, 2
_PATCH: Final = 8
_OPERATION_ID, _PARAMETERS, _EXTENSION = 5, 8, 13
_PARAMETER, _NON_BODY, _QUERY = 1, 2, 3
_IN, _PARAMETER_NAME = 2, 4
_YAML: Final = 2
_KIND: Final = "x-kubernetes-group-version-kind"


def encode(paths: Object) -> bytes:
    """The document of these path items (of OpenAPI v2)."""
    operations = (_path(path, item["patch"]) for path, item in paths.items() if _KIND in item.get("patch", ()))
    return b"".join(
        (
            _text(_SWAGGER, "2.0"),
            _message(_INFO, (_text(_TITLE, "Kubernetes"), _text(_VERSION, "v1.37.0"))),
            _message(_PATHS, operations),
        )
    )


def _path(path: str, operation: Object) -> bytes:
    """One path with its PATCH operation alone."""
    patch = _message(_PATCH, (_operation(operation),))
    return _message(_PATH, (_text(_NAME, path), _message(_VALUE, (patch,))))


def _operation(operation: Object) -> bytes:
    names = [one["name"] for one in operation.get("parameters") or () if one.get("in") == "query"]
    kind = _message(_VALUE, (_text(_YAML, orjson.dumps(operation[_KIND]).decode()),))
    return b"".join(
        (
            _text(_OPERATION_ID, operation.get("operationId", "")),
            *(_message(_PARAMETERS, (_parameter(name),)) for name in names),
            _message(_EXTENSION, (_text(_NAME, _KIND), kind)),
        )
    )


def _parameter(name: str) -> bytes:
    query = _message(_QUERY, (_text(_IN, "query"), _text(_PARAMETER_NAME, name)))
    return _message(_PARAMETER, (_message(_NON_BODY, (query,)),))


def _text(number: int, text: str) -> bytes:
    return _message(number, (text.encode(),))


def _message(number: int, parts: Iterable[bytes]) -> bytes:
    """A length-delimited field."""
    payload = b"".join(parts)
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
