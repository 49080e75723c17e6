"""Structural schemas of custom resources: building nodes, pruning, defaulting, and whether a schema is structural.

Ref: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from mizzen.machinery import regexp
from mizzen.machinery.errors import FieldError, Object, forbidden, invalid, not_supported, required
from mizzen.machinery.schema import DEDUCED, OBJECT_META, Form, Schema, registry

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_FORMS = {"string": Form.STRING, "integer": Form.INT64, "number": Form.NUMBER, "boolean": Form.BOOLEAN}
_JUNCTORS = ("allOf", "anyOf", "oneOf")
_TYPE_META = ("apiVersion", "kind")
_UNSUPPORTED = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")
_LOST_WITH_STATUS = (
    *("default", "enum", "maxProperties", "minProperties", "allOf", "oneOf", "anyOf", "not", "additionalProperties"),
    *("x-kubernetes-embedded-resource", "x-kubernetes-int-or-string", "x-kubernetes-list-type"),
    *("x-kubernetes-map-type", "x-kubernetes-list-map-keys"),
)

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
    """Remove what the schema does not know, in place; answers the paths removed, those in embedded metadata last."""
    removed: list[str] = []
    embedded: list[str] = []
    _prune(value, schema, path, removed, embedded)
    return sorted(removed) + sorted(embedded)


def _prune(value: Any, schema: Schema, path: str, removed: list[str], embedded: list[str]) -> None:
    if isinstance(value, list):
        inner = schema.items
        for position, each in enumerate(value):
            if inner is not None:
                _prune(each, inner, f"{path}[{position}]", removed, embedded)
        return
    if not isinstance(value, dict) or schema.form not in {Form.STRUCT, Form.MAP}:
        return
    for key in list(value):
        where = f"{path}.{key}" if path else key
        known = schema.properties.get(key) or (schema.items if schema.form is Form.MAP else None)
        if known is not None:
            inside = embedded if schema.embedded and key == "metadata" else removed
            _prune(value[key], known, where, inside, embedded)
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


def coerce(value: Object, schema: Schema) -> None:
    """Make an object that another schema let pass what this one would have made of it, in place."""
    prune(value, schema)
    default(value, schema)


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


def check_with_status(source: Source, path: str) -> Iterator[FieldError]:
    """The status subresource takes its schema from the root's properties; constraints beside them would be lost."""
    if any(source.get(key) for key in _LOST_WITH_STATUS):
        detail = (
            "only constraints that hold of the properties alone may stand at the root if there is a status subresource"
        )
        yield invalid(path, dict(source), detail)


def _check(source: Source, path: str, is_root: bool = False) -> Iterator[FieldError]:
    yield from _check_type(source, path, is_root)
    if is_root or source.get("x-kubernetes-embedded-resource"):
        yield from _check_type_meta(source, path)
    yield from _check_extensions(source, path)
    yield from _check_values(source, path)
    for key, inner in (source.get("properties") or {}).items():
        yield from _check(inner, f"{path}.properties[{key}]")
    extra = source.get("additionalProperties")
    if isinstance(extra, dict):
        yield from _check(extra, f"{path}.additionalProperties")
    if source.get("properties") and extra is not None and extra is not True:
        yield forbidden(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive")
    if isinstance(source.get("items"), dict):
        yield from _check(source["items"], f"{path}.items")
    for where, inner in _junctors(source, path):
        if not _says_int_or_string(source, where.removeprefix(f"{path}.")):
            yield from _check_nested(inner, where)
        yield from _check_complete(inner, source, where, path)


def _check_type_meta(source: Source, path: str) -> Iterator[FieldError]:
    """What is written of an object's own type and metadata agrees with what they are."""
    properties = source.get("properties") or {}
    for key, wanted in (("kind", "string"), ("apiVersion", "string"), ("metadata", "object")):
        if key in properties and properties[key].get("type") != wanted:
            where = f"{path}.properties[{key}].type"
            yield invalid(where, properties[key].get("type") or "", f"must be {wanted}")


def _says_int_or_string(source: Source, junctor: str) -> bool:
    """Whether a part of anyOf says once more that the value is an integer or a string, as it may."""
    if not source.get("x-kubernetes-int-or-string"):
        return False
    pattern = [{"type": "integer"}, {"type": "string"}]
    if junctor.startswith("anyOf"):
        return bool(source.get("anyOf") == pattern)
    return junctor == "allOf[0]" and bool(source["allOf"][0] == {"anyOf": pattern})


def _check_complete(nested: Source, source: Source, where: str, path: str) -> Iterator[FieldError]:
    """What is constrained inside allOf, anyOf, oneOf and not must be declared outside, too."""
    known, extra = source.get("properties") or {}, source.get("additionalProperties")
    for key, inner in (nested.get("properties") or {}).items():
        at = f"{where}.properties[{key}]"
        if key in known:
            yield from _check_complete(inner, known[key], at, f"{path}.properties[{key}]")
        elif isinstance(extra, dict):
            yield from _check_complete(inner, extra, at, f"{path}.additionalProperties")
        else:
            yield required(f"{path}.properties[{key}]", f"because it is defined in {at}")
    if isinstance(nested.get("items"), dict):
        if isinstance(source.get("items"), dict):
            yield from _check_complete(nested["items"], source["items"], f"{where}.items", f"{path}.items")
        else:
            yield required(f"{path}.items", f"because it is defined in {where}.items")
    for deeper, inner in _junctors(nested, where):
        yield from _check_complete(inner, source, deeper, path)


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
    if source.get("x-kubernetes-preserve-unknown-fields") is False:
        yield invalid(f"{path}.x-kubernetes-preserve-unknown-fields", False, "must be true or undefined")
    for field, choices, wanted in (
        ("x-kubernetes-map-type", ("atomic", "granular"), "object"),
        ("x-kubernetes-list-type", ("atomic", "map", "set"), "array"),
    ):
        if (value := source.get(field)) is None:
            continue
        if not source.get("type"):
            yield required(f"{path}.type", f"must be {wanted} if {field} is specified")
        elif source["type"] != wanted:
            yield invalid(f"{path}.type", source["type"], f"must be {wanted} if {field} is specified")
        if value not in choices:
            yield not_supported(f"{path}.{field}", value, choices)
    list_type, keys = source.get("x-kubernetes-list-type"), source.get("x-kubernetes-list-map-keys") or ()
    if list_type == "map":
        yield from _check_map_list(source, path, keys)
    elif keys and list_type is None:
        yield required(f"{path}.x-kubernetes-list-type", "must be map if x-kubernetes-list-map-keys is non-empty")
    elif keys:
        detail = "must be map if x-kubernetes-list-map-keys is non-empty"
        yield invalid(f"{path}.x-kubernetes-list-type", list_type, detail)
    if list_type == "set":
        yield from _check_set(source.get("items") or {}, f"{path}.items")
    embedded = source.get("x-kubernetes-embedded-resource")
    if source.get("x-kubernetes-int-or-string"):
        for field in ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"):
            if source.get(field):
                yield invalid(f"{path}.{field}", True, "must be false if x-kubernetes-int-or-string is true")
    if embedded and source.get("additionalProperties") is not None:
        detail = "must not be used if x-kubernetes-embedded-resource is set"
        yield forbidden(f"{path}.additionalProperties", detail)
    if embedded and not source.get("properties") and not source.get("x-kubernetes-preserve-unknown-fields"):
        detail = (
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        )
        yield required(f"{path}.properties", detail)


def _check_map_list(source: Source, path: str, keys: Sequence[str]) -> Iterator[FieldError]:
    """The items of a list of type map are objects, known by keys that each of them has."""
    where, items = f"{path}.x-kubernetes-list-map-keys", source.get("items")
    if not keys:
        yield required(where, "must not be empty if x-kubernetes-list-type is map")
    if not isinstance(items, dict):
        if source.get("type") == "array":
            yield required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map")
        return
    if items.get("type") != "object":
        detail = "must be object if parent array's x-kubernetes-list-type is map"
        yield invalid(f"{path}.items.type", items.get("type") or "", detail)
        return
    if items.get("nullable"):
        yield forbidden(f"{path}.items.nullable", "cannot be nullable when x-kubernetes-list-type is map")
    properties = items.get("properties") or {}
    for position, key in enumerate(keys):
        at = f"{path}.items.properties[{key}]"
        if key not in properties:
            yield invalid(where, keys, "entries must all be names of item properties")
        elif properties[key].get("type") in {"array", "object"}:
            detail = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            yield invalid(f"{at}.type", properties[key]["type"], detail)
        elif properties[key].get("default") is None and key not in (items.get("required") or ()):
            detail = (
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            )
            yield required(f"{at}.default", detail)
        if key in keys[:position]:
            yield invalid(where, keys, "must not contain duplicate entries")


def _check_set(items: Source, path: str) -> Iterator[FieldError]:
    """The items of a set are compared as a whole."""
    detail = "must be atomic as item of a list with x-kubernetes-list-type=set"
    if items.get("nullable"):
        yield forbidden(f"{path}.nullable", "cannot be nullable when x-kubernetes-list-type is set")
    for type_, field in (("object", "x-kubernetes-map-type"), ("array", "x-kubernetes-list-type")):
        if items.get("type") == type_ and items.get(field) != "atomic":
            yield invalid(f"{path}.{field}", items.get(field), detail)


def _check_values(source: Source, path: str) -> Iterator[FieldError]:
    for field in _UNSUPPORTED:
        if source.get(field):
            yield forbidden(f"{path}.{field}", f"{field} is not supported")
    if source.get("type") == "null":
        yield forbidden(f"{path}.type", "type cannot be set to null")
    if isinstance(source.get("items"), list):
        yield forbidden(f"{path}.items", "items must be a schema object and not an array")
    if source.get("uniqueItems"):
        yield forbidden(
            f"{path}.uniqueItems", "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        )
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
    if source.get("type"):
        yield forbidden(f"{path}.type", "must be empty to be structural")
    for key, empty in (("default", None), ("nullable", False), ("title", ""), ("description", "")):
        if source.get(key) not in (None, empty):
            yield forbidden(f"{path}.{key}", "must be undefined to be structural")
    if source.get("additionalProperties"):
        yield forbidden(f"{path}.additionalProperties", "must be undefined to be structural")
    for key in source:
        if key.startswith("x-kubernetes-") and key != "x-kubernetes-validations" and source[key]:
            yield forbidden(f"{path}.{key}", "must be false to be structural")
    if "metadata" in (source.get("properties") or {}):
        yield forbidden(f"{path}.properties[metadata]", "must not be specified in a nested context")
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
