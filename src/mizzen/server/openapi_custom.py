"""Schemas of custom resources as OpenAPI 2 can tell them: kubectl refuses what that version has no words for.

Ref: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#publish-validation-schema-in-openapi
"""

from collections.abc import Mapping
from typing import Any, Final

from mizzen.machinery.errors import Object

_UNSPEAKABLE: Final = ("allOf", "anyOf", "oneOf", "not")
_KEEPS_UNKNOWN: Final = "x-kubernetes-preserve-unknown-fields"


def version_two(source: Mapping[str, Any]) -> Object:
    """The schema without junctors, with nothing below what may be null or hold unknown fields."""
    schema: Object = {key: value for key, value in source.items() if key not in _UNSPEAKABLE}
    if schema.pop("nullable", False):
        for key in ("type", "items", "properties"):
            schema.pop(key, None)
    if schema.get(_KEEPS_UNKNOWN):
        schema.pop("items", None)
        schema.pop("properties", None)
    if schema.get("type") == "array" and "items" not in schema:
        del schema["type"]
    properties = schema.get("properties") or {}
    if properties:
        schema["properties"] = {name: version_two(inner) for name, inner in properties.items()}
        required = [name for name in schema.get("required") or () if not (properties.get(name) or {}).get("nullable")]
        schema.pop("required", None)
        if required:
            schema["required"] = required
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            schema[key] = version_two(schema[key])
    return schema


def is_open(source: Mapping[str, Any]) -> bool:
    """Whether the whole object may hold anything, which no list of properties can tell in version 2."""
    return bool(source.get(_KEEPS_UNKNOWN))
