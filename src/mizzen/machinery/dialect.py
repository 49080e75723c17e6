"""The dialect of JSON schema that custom resources are described in: which parts of JSON schema it lacks, and how the
extensions of Kubernetes go together. It holds of every node, those inside allOf, anyOf, oneOf and not included.

Ref: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mizzen.machinery import formats
from mizzen.machinery.errors import FieldError, forbidden, invalid, not_supported, required

Source = Mapping[str, Any]
"""A schema as it stands in a CustomResourceDefinition."""

JUNCTORS = ("allOf", "anyOf", "oneOf")
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_OWN = ("metadata", "kind", "apiVersion")
_UNSUPPORTED = ("id", "patternProperties", "definitions")
_UNSUPPORTED_IF_EMPTY = ("additionalItems", "dependencies", "$ref")
"""Refused even where they say nothing."""
_LOST_WITH_STATUS = (
    *("id", "$schema", "nullable", "enum", "allOf", "oneOf", "anyOf", "patternProperties", "definitions"),
    *("x-kubernetes-embedded-resource", "x-kubernetes-int-or-string", "x-kubernetes-list-map-keys"),
)
_LOST_IF_EMPTY = (
    *("$ref", "default", "maxProperties", "minProperties", "not", "additionalProperties", "dependencies"),
    *("additionalItems", "x-kubernetes-list-type", "x-kubernetes-map-type"),
)


def is_convertible(source: Source) -> bool:
    """Whether a schema has none of those parts that a structural schema has no place for."""
    return (
        not any(source.get(field) for field in (*_UNSUPPORTED, "$schema"))
        and all(source.get(field) in (None, "", {}) for field in _UNSUPPORTED_IF_EMPTY)
        and source.get("x-kubernetes-preserve-unknown-fields") is not False
        and not isinstance(source.get("items"), list)
        and all(is_convertible(inner) for _, inner in _below(source, ""))
    )


def check_with_status(source: Source, path: str) -> Iterator[FieldError]:
    """The status subresource takes its schema from the root's properties; constraints beside them would be lost."""
    if source.get("type") not in {None, "", "object"}:
        detail = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
        yield invalid(f"{path}.type", source["type"], detail)
    elif any(source.get(key) for key in _LOST_WITH_STATUS) or any(
        source.get(key) is not None for key in _LOST_IF_EMPTY
    ):
        detail = (
            "only constraints that hold of the properties alone may stand at the root if there is a status subresource"
        )
        yield invalid(path, dict(source), detail)


def check(source: Source, path: str) -> Iterator[FieldError]:
    """What a root schema says that the dialect does not have."""
    yield from _check_node(source, path)
    for where, inner in _below(source, path):
        named = where.removeprefix(f"{path}.properties[").removesuffix("]")
        if named in _OWN:
            yield from _check_own(inner, where, f"in top-level {named}")
        yield from check_below(inner, where)


def check_below(source: Source, path: str) -> Iterator[FieldError]:
    yield from _check_node(source, path)
    for where, inner in _below(source, path):
        yield from check_below(inner, where)


def unknown_formats(source: Source) -> Iterator[str]:
    """Formats of a schema, and of those inside it, that constrain nothing."""
    format_ = source.get("format")
    if format_ and not formats.is_known(format_, source.get("type") or ""):
        yield format_
    for _, inner in _below(source, ""):
        yield from unknown_formats(inner)


def _check_own(source: Source, path: str, where: str) -> Iterator[FieldError]:
    """An object's own type and metadata have no defaults, and hold no other object."""
    if source.get("default") is not None:
        yield forbidden(f"{path}.default", f"must not be set {where}")
    if source.get("x-kubernetes-embedded-resource"):
        yield forbidden(f"{path}.x-kubernetes-embedded-resource", "must not be used inside of resource meta")
    for deeper, inner in _below(source, path):
        yield from _check_own(inner, deeper, where)


def _below(source: Source, path: str) -> Iterator[tuple[str, Source]]:
    """The schemas inside a schema, with their paths."""
    for field in ("properties", "definitions"):
        for key, inner in (source.get(field) or {}).items():
            yield f"{path}.{field}[{key}]", inner
    for field in ("additionalProperties", "items", "not"):
        if isinstance(source.get(field), dict):
            yield f"{path}.{field}", source[field]
    for junctor in JUNCTORS:
        for position, inner in enumerate(source.get(junctor) or ()):
            yield f"{path}.{junctor}[{position}]", inner


def _check_node(source: Source, path: str) -> Iterator[FieldError]:
    type_ = source.get("type")
    if type_ and type_ not in _TYPES:
        yield not_supported(f"{path}.type", type_, _TYPES)
    if type_ == "null":
        yield forbidden(f"{path}.type", "type cannot be set to null, use nullable as an alternative")
    for field in _UNSUPPORTED:
        if source.get(field):
            yield forbidden(f"{path}.{field}", f"{field} is not supported")
    for field in _UNSUPPORTED_IF_EMPTY:
        if source.get(field) is not None:
            yield forbidden(f"{path}.{field}", f"{field} is not supported")
    if isinstance(source.get("items"), list):
        yield forbidden(f"{path}.items", "items must be a schema object and not an array")
    if source.get("uniqueItems"):
        detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield forbidden(f"{path}.uniqueItems", detail)
    extra = source.get("additionalProperties")
    if source.get("properties") and extra is not None and extra is not True:
        yield forbidden(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive")
    if source.get("x-kubernetes-preserve-unknown-fields") is False:
        yield invalid(f"{path}.x-kubernetes-preserve-unknown-fields", False, "must be true or undefined")
    yield from _check_kinds(source, path)


def _check_kinds(source: Source, path: str) -> Iterator[FieldError]:
    """Of what kind lists and maps are, for those who merge them."""
    for field, choices, wanted in (
        ("x-kubernetes-map-type", ("atomic", "granular"), "object"),
        ("x-kubernetes-list-type", ("atomic", "set", "map"), "array"),
    ):
        if (value := source.get(field)) is None:
            continue
        if not source.get("type"):
            yield required(f"{path}.type", f"must be {wanted} if {field} is specified")
        elif source["type"] != wanted:
            yield invalid(f"{path}.type", source["type"], f"must be {wanted} if {field} is specified")
        if value not in choices:
            yield not_supported(f"{path}.{field}", value, choices)
    list_type, keys, items = (
        source.get("x-kubernetes-list-type"),
        source.get("x-kubernetes-list-map-keys") or (),
        source.get("items"),
    )
    if keys and list_type != "map":
        where, detail = f"{path}.x-kubernetes-list-type", "must be map if x-kubernetes-list-map-keys is non-empty"
        yield required(where, detail) if list_type is None else invalid(where, list_type, detail)
    if list_type in {"map", "set"} and isinstance(items, dict) and items.get("nullable"):
        yield forbidden(f"{path}.items.nullable", f"cannot be nullable when x-kubernetes-list-type is {list_type}")
    if list_type == "map":
        yield from _check_map_list(items, path, keys)
    if list_type == "set" and source.get("type") == "array" and isinstance(items, dict):
        yield from _check_set(items, f"{path}.items")


def _check_map_list(items: Any, path: str, keys: Sequence[str]) -> Iterator[FieldError]:
    """The items of a list of type map are objects, known by keys that each of them has."""
    where = f"{path}.x-kubernetes-list-map-keys"
    if not keys:
        yield required(where, "must not be empty if x-kubernetes-list-type is map")
    if not items:
        yield required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map")
        return
    if not isinstance(items, dict):
        yield invalid(f"{path}.items", items, "must only have a single schema if x-kubernetes-list-type is map")
        return
    is_object, properties = items.get("type") == "object", items.get("properties") or {}
    if not is_object:
        detail = "must be object if parent array's x-kubernetes-list-type is map"
        yield invalid(f"{path}.items.type", items.get("type") or "", detail)
    for position, key in enumerate(keys):
        at, known = f"{path}.items.properties[{key}]", properties.get(key)
        if is_object and known is None:
            yield invalid(where, keys, "entries must all be names of item properties")
        if is_object and (known or {}).get("type") in {"array", "object"}:
            detail = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            yield invalid(f"{at}.type", items.get("type"), detail)
        if is_object and key in keys[:position]:
            yield invalid(where, keys, "must not contain duplicate entries")
        if known is not None:
            yield from _check_key(known, at, key in (items.get("required") or ()))


def _check_key(source: Source, path: str, is_required: bool) -> Iterator[FieldError]:
    """Every item has a value of a key by which it is known."""
    prefix = "this property is in x-kubernetes-list-map-keys, so it"
    if not is_required and source.get("default") is None:
        yield required(f"{path}.default", f"{prefix} must have a default or be a required property")
    if source.get("nullable"):
        yield forbidden(f"{path}.nullable", f"{prefix} cannot be nullable")


def _check_set(items: Source, path: str) -> Iterator[FieldError]:
    """The items of a set are compared as a whole; lists are so without being told, objects are not."""
    detail = "must be atomic as item of a list with x-kubernetes-list-type=set"
    if items.get("type") == "array" and items.get("x-kubernetes-list-type") not in {None, "atomic"}:
        yield invalid(f"{path}.x-kubernetes-list-type", items["x-kubernetes-list-type"], detail)
    if items.get("type") == "object" and items.get("x-kubernetes-map-type") != "atomic":
        yield invalid(f"{path}.x-kubernetes-map-type", items.get("x-kubernetes-map-type"), detail)
