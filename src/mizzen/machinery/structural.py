"""Structural schemas of custom resources: building nodes, pruning, defaulting, and whether a schema is structural.

Ref: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from mizzen.machinery import regexp
from mizzen.machinery.errors import FieldError, Object, forbidden, invalid, not_supported, required
from mizzen.machinery.schema import DEDUCED, OBJECT_META, Form, Schema, registry

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_FORMS = {"string": Form.STRING, "integer": Form.INT64, "number": Form.NUMBER, "boolean": Form.BOOLEAN}
_JUNCTORS = ("allOf", "anyOf", "oneOf")
_TYPE_META = ("apiVersion", "kind")

Source = Mapping[str, Any]
"""A schema as it stands in a CustomResourceDefinition."""


def build(source: Source) -> Schema:
    """The node of a custom resource's root schema: typed metadata, and the author's schema for the rest."""
    return _build(source, is_object=True)


def _build(source: Source, is_object: bool = False) -> Schema:
    form = _form(source)
    items = source.get("items") if form is Form.LIST else source.get("additionalProperties")
    node = Schema(
        form,
        items=_build(items) if isinstance(items, dict) else DEDUCED if form in {Form.LIST, Form.MAP} else None,
        required=tuple(source.get("required") or ()),
        list_type=source.get("x-kubernetes-list-type", "atomic"),
        map_keys=tuple(source.get("x-kubernetes-list-map-keys") or ()),
        atomic=source.get("x-kubernetes-map-type") == "atomic",
        preserve=bool(source.get("x-kubernetes-preserve-unknown-fields")) or form is Form.ANY,
        embedded=bool(source.get("x-kubernetes-embedded-resource")),
        nullable=bool(source.get("nullable")),
        default=source.get("default"),
        type_name=source.get("type", ""),
        source=source,
    )
    for key, inner in (source.get("properties") or {}).items():
        node.properties[key] = _build(inner)
    if is_object or node.embedded:
        for key in _TYPE_META:
            node.properties[key] = Schema(Form.STRING, type_name="string")
        node.properties["metadata"] = registry.definition(OBJECT_META)
    return node


def _form(source: Source) -> Form:
    if source.get("x-kubernetes-int-or-string"):
        return Form.INT_OR_STRING
    match source.get("type"):
        case "object":
            if source.get("properties") or source.get("x-kubernetes-embedded-resource"):
                return Form.STRUCT
            if source.get("additionalProperties"):
                return Form.MAP
            return Form.ANY if source.get("x-kubernetes-preserve-unknown-fields") else Form.STRUCT
        case "array":
            return Form.LIST
        case str() as name if name in _FORMS:
            return _FORMS[name]
        case _:
            return Form.ANY


# --- pruning and defaulting ------------------------------------------------------------------------------------------


def prune(value: Any, schema: Schema, path: str = "") -> list[str]:
    """Remove what the schema does not know, in place; answers the paths removed."""
    removed: list[str] = []
    _prune(value, schema, path, removed)
    return removed


def _prune(value: Any, schema: Schema, path: str, removed: list[str]) -> None:
    if isinstance(value, list):
        inner = schema.items
        for position, each in enumerate(value):
            if inner is not None:
                _prune(each, inner, f"{path}[{position}]", removed)
        return
    if not isinstance(value, dict) or schema.form not in {Form.STRUCT, Form.MAP}:
        return
    for key in list(value):
        where = f"{path}.{key}" if path else key
        known = schema.properties.get(key) or (schema.items if schema.form is Form.MAP else None)
        if known is not None:
            _prune(value[key], known, where, removed)
        elif not schema.preserve:
            del value[key]
            removed.append(where)


def default(value: Any, schema: Schema) -> None:
    """Fill in defaults, in place; a null where none may stand counts as absent."""
    if isinstance(value, list):
        if schema.items is not None:
            for each in value:
                default(each, schema.items)
        return
    if not isinstance(value, dict):
        return
    if schema.form is Form.MAP and schema.items is not None:
        for each in value.values():
            default(each, schema.items)
        return
    for key, inner in schema.properties.items():
        if value.get(key) is None and not (key in value and inner.nullable):
            if inner.default is not None:
                value[key] = orjson.loads(orjson.dumps(inner.default))
            elif key in value and inner.source:
                del value[key]
        if key in value:
            default(value[key], inner)


# --- is the schema structural? ---------------------------------------------------------------------------------------


def check(source: Source, path: str) -> Iterator[FieldError]:
    """All that keeps a root schema from being structural; `path` leads to `openAPIV3Schema`."""
    if not source.get("type"):
        yield required(f"{path}.type", "must not be empty at the root")
    elif source["type"] != "object":
        yield invalid(f"{path}.type", source["type"], "must be object at the root")
    metadata = (source.get("properties") or {}).get("metadata") or {}
    if any(key not in {"type", "properties", "description"} for key in metadata) or any(
        key not in {"name", "generateName"} for key in metadata.get("properties") or {}
    ):
        detail = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        yield forbidden(f"{path}.properties[metadata]", detail)
    yield from _check(source, path, is_root=True)


def _check(source: Source, path: str, is_root: bool = False) -> Iterator[FieldError]:
    yield from _check_type(source, path, is_root)
    yield from _check_extensions(source, path)
    yield from _check_values(source, path)
    for key, inner in (source.get("properties") or {}).items():
        yield from _check(inner, f"{path}.properties[{key}]")
    extra = source.get("additionalProperties")
    if isinstance(extra, dict):
        yield from _check(extra, f"{path}.additionalProperties")
    if source.get("properties") and extra:
        yield forbidden(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive")
    if isinstance(source.get("items"), dict):
        yield from _check(source["items"], f"{path}.items")
    for where, inner in _junctors(source, path):
        yield from _check_nested(inner, where)


def _junctors(source: Source, path: str) -> Iterator[tuple[str, Source]]:
    for junctor in _JUNCTORS:
        for position, inner in enumerate(source.get(junctor) or ()):
            yield f"{path}.{junctor}[{position}]", inner
    if source.get("not"):
        yield f"{path}.not", source["not"]


def _check_type(source: Source, path: str, is_root: bool) -> Iterator[FieldError]:
    type_ = source.get("type")
    int_or_string = source.get("x-kubernetes-int-or-string")
    if not type_:
        if not is_root and not int_or_string and not source.get("x-kubernetes-preserve-unknown-fields"):
            what = "array items" if path.endswith(".items") else "object fields"
            yield required(f"{path}.type", f"must not be empty for specified {what}")
        return
    if type_ not in _TYPES:
        yield not_supported(f"{path}.type", type_, _TYPES)
    if type_ == "array" and not source.get("items"):
        yield required(f"{path}.items", "must be specified")
    if type_ != "object" and source.get("x-kubernetes-embedded-resource"):
        yield invalid(f"{path}.type", type_, "must be object if x-kubernetes-embedded-resource is true")


def _check_extensions(source: Source, path: str) -> Iterator[FieldError]:
    list_type, keys = source.get("x-kubernetes-list-type"), source.get("x-kubernetes-list-map-keys") or ()
    if list_type is not None and list_type not in {"atomic", "set", "map"}:
        yield not_supported(f"{path}.x-kubernetes-list-type", list_type, ("atomic", "set", "map"))
    if list_type is not None and source.get("type") != "array":
        yield invalid(f"{path}.type", source.get("type", ""), "must be array if x-kubernetes-list-type is specified")
    if list_type == "map":
        items = source.get("items") or {}
        if not keys:
            yield required(f"{path}.x-kubernetes-list-map-keys", "must not be empty if x-kubernetes-list-type is map")
        if items.get("type") != "object":
            detail = "must be object if parent array's x-kubernetes-list-type is map"
            yield invalid(f"{path}.items.type", items.get("type", ""), detail)
        for position, key in enumerate(keys):
            if key not in (items.get("properties") or {}):
                where = f"{path}.x-kubernetes-list-map-keys[{position}]"
                yield invalid(where, key, "entries must all be names of item properties")
    elif keys:
        detail = "must be map if x-kubernetes-list-map-keys is non-empty"
        yield invalid(f"{path}.x-kubernetes-list-type", list_type or "", detail)
    embedded = source.get("x-kubernetes-embedded-resource")
    if embedded and not source.get("properties") and not source.get("x-kubernetes-preserve-unknown-fields"):
        detail = (
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        )
        yield required(f"{path}.properties", detail)


def _check_values(source: Source, path: str) -> Iterator[FieldError]:
    if source.get("uniqueItems"):
        yield forbidden(
            f"{path}.uniqueItems", "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        )
    if source.get("$ref"):
        yield forbidden(f"{path}.$ref", "$ref is not supported")
    if pattern := source.get("pattern"):
        try:
            regexp.check(pattern)
        except regexp.BadPattern as error:
            detail = f"must be a valid regular expression, but isn't: {error}"
            yield invalid(f"{path}.pattern", pattern, detail)
    if source.get("default") is not None:
        yield from _check_default(source, f"{path}.default")


def _check_default(source: Source, path: str) -> Iterator[FieldError]:
    from mizzen.machinery import values

    value = orjson.loads(orjson.dumps(source["default"]))
    schema = _build(source)
    if prune(orjson.loads(orjson.dumps(value)), schema):
        yield invalid(path, value, "must not have unknown fields")
    for error in values.validate(value, schema, ""):
        where = f"{path}{'.' if error.path and error.path[0] != '[' else ''}{error.path}"
        yield FieldError(error.cause, where, error.value, error.detail)


def _check_nested(source: Source, path: str) -> Iterator[FieldError]:
    """Inside allOf, anyOf, oneOf and not, only constraints of values may stand."""
    in_pattern = source.get("type") in {"integer", "string"} and len(source) == 1
    if source.get("type") and not in_pattern:
        yield forbidden(f"{path}.type", "must be empty to be structural")
    for key, empty in (("default", None), ("nullable", False), ("title", ""), ("description", "")):
        if source.get(key) not in (None, empty):
            yield forbidden(f"{path}.{key}", "must be undefined to be structural")
    if source.get("additionalProperties"):
        yield forbidden(f"{path}.additionalProperties", "must be undefined to be structural")
    for key in source:
        if key.startswith("x-kubernetes-") and key != "x-kubernetes-validations" and source[key]:
            yield forbidden(f"{path}.{key}", "must be false to be structural")
    for key, inner in (source.get("properties") or {}).items():
        yield from _check_nested(inner, f"{path}.properties[{key}]")
    if isinstance(source.get("items"), dict):
        yield from _check_nested(source["items"], f"{path}.items")
    for where, inner in _junctors(source, path):
        yield from _check_nested(inner, where)


def coerce_metadata(value: Object, schema: Schema) -> list[str]:
    """Type-check and normalise the root's and every embedded object's metadata, in place.

    Raises: DecodeError. Answers unknown fields of metadata.
    """
    from mizzen.machinery import decode

    metadata = value.get("metadata")
    if metadata is None:
        return []
    value["metadata"], problems = decode.normalise_strictly(metadata, schema.properties["metadata"])
    return [problem.replace('field "', 'field "metadata.') for problem in problems]
