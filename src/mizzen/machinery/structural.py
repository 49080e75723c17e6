"""Structural schemas of custom resources: building nodes, pruning, defaulting, and whether a schema is structural.

Ref: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import orjson

from mizzen.machinery import dialect, regexp
from mizzen.machinery.dialect import Source
from mizzen.machinery.errors import Cause, FieldError, Object, forbidden, invalid, required
from mizzen.machinery.schema import DEDUCED, OBJECT_META, Form, Schema, registry

_FORMS = {"string": Form.STRING, "integer": Form.INT64, "number": Form.NUMBER, "boolean": Form.BOOLEAN}
_TYPE_META = ("apiVersion", "kind")
_OWN = (*_TYPE_META, "metadata")
_NOT_NESTED = {
    "undefined": ("default", "x-kubernetes-list-type", "x-kubernetes-map-type"),
    "empty": ("title", "description", "x-kubernetes-list-map-keys", "x-kubernetes-validations"),
    "false": (
        "nullable",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
    ),
}
"""What may not stand inside allOf, anyOf, oneOf and not, by how it must be there."""
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]


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
            if inner is not None and isinstance(each, (dict, list)):
                _prune(each, inner, f"{path}[{position}]", removed, embedded)
        return
    if not isinstance(value, dict):
        return
    properties, others = schema.properties, schema.items if schema.form is Form.MAP else None
    for key, each in tuple(value.items()):
        known = properties.get(key) or others
        if known is not None:
            if isinstance(each, (dict, list)):
                inside = embedded if schema.embedded and key == "metadata" else removed
                _prune(each, known, f"{path}.{key}" if path else key, inside, embedded)
        elif not schema.preserve:
            del value[key]
            removed.append(f"{path}.{key}" if path else key)


def default(value: Any, schema: Schema) -> None:
    """Fill in defaults, in place; a null where none may stand counts as absent."""
    if isinstance(value, list):
        if schema.items is not None:
            for position, each in enumerate(value):
                if _is_nothing(each, schema.items) and schema.items.default is not None:
                    value[position] = _default_of(schema.items)
                default(each, schema.items)
        return
    if not isinstance(value, dict):
        return
    if schema.form is Form.MAP and schema.items is not None:
        for key, each in tuple(value.items()):
            if _is_nothing(each, schema.items):
                if schema.items.default is None:
                    del value[key]
                else:
                    value[key] = _default_of(schema.items)
            default(each, schema.items)
        return
    for key, inner in schema.properties.items():
        present = value.get(key)
        if present is None and not (key in value and inner.nullable):
            if inner.default is not None:
                present = value[key] = _default_of(inner)
            elif key in value and inner.source:
                del value[key]
        if isinstance(present, (dict, list)):
            default(present, inner)


def _is_nothing(value: Any, schema: Schema) -> bool:
    """Whether a value is a null where none may stand."""
    return value is None and bool(schema.source) and not schema.nullable


def _default_of(schema: Schema) -> Any:
    return orjson.loads(orjson.dumps(schema.default))


def coerce(value: Object, schema: Schema) -> None:
    """Make an object that another schema let pass what this one would have made of it, in place."""
    prune(value, schema)
    default(value, schema)


# --- is the schema structural? ---------------------------------------------------------------------------------------


def check(source: Source, path: str) -> Iterator[FieldError]:
    """All that is wrong with a root schema; `path` leads to `openAPIV3Schema`.

    Defaults are looked at only in a schema that is structural, and that is asked only of a schema without those parts
    of JSON schema that have no place in one.
    """
    if dialect.is_convertible(source):
        unsound = list(_check(source, path, _Level.ROOT))
        yield from unsound
        if not unsound:
            yield from _check_defaults({**source, "x-kubernetes-embedded-resource": True}, path)
    unknown = list(dialect.check(source, path))
    yield from unknown
    if not unknown and not dialect.is_convertible(source):
        yield invalid(path, "", "OpenAPIV3Schema 'schema' is not supported")


class _Level(StrEnum):
    """Where a node stands, in the words of what its type may not be."""

    ROOT = "at the root"
    ITEM = "for specified array items"
    FIELD = "for specified object fields"


def _check(source: Source, path: str, level: _Level) -> Iterator[FieldError]:
    """What keeps a node, and those below it, from being structural."""
    yield from _check_type(source, path, level)
    if level is _Level.ROOT or source.get("x-kubernetes-embedded-resource"):
        yield from _check_type_meta(source, path)
    if level is _Level.ROOT:
        yield from _check_root(source, path)
    yield from _check_extensions(source, path)
    yield from _check_pattern(source, path)
    for key, inner in (source.get("properties") or {}).items():
        yield from _check(inner, f"{path}.properties[{key}]", _Level.FIELD)
    extra = source.get("additionalProperties")
    if isinstance(extra, dict):
        yield from _check(extra, f"{path}.additionalProperties", _Level.FIELD)
    if isinstance(source.get("items"), dict):
        yield from _check(source["items"], f"{path}.items", _Level.ITEM)
    for where, inner in _junctors(source, path):
        yield from _check_nested(_said_once(source, inner, where.removeprefix(f"{path}.")), where)
        if level is _Level.ROOT:
            yield from _check_complete(inner, source, where, path)


def _check_root(source: Source, path: str) -> Iterator[FieldError]:
    """The root has properties of its own, and says of its metadata no more than what names are like."""
    if source.get("additionalProperties") is not None:
        yield forbidden(f"{path}.additionalProperties", "must not be used at the root")
    metadata = (source.get("properties") or {}).get("metadata") or {}
    if any(key not in {"type", "properties", "description", "default"} for key in metadata) or any(
        key not in {"name", "generateName"} for key in metadata.get("properties") or {}
    ):
        detail = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        yield forbidden(f"{path}.properties[metadata]", detail)


def _check_type_meta(source: Source, path: str) -> Iterator[FieldError]:
    """What is written of an object's own type and metadata agrees with what they are."""
    properties = source.get("properties") or {}
    for key, wanted in (("kind", "string"), ("apiVersion", "string"), ("metadata", "object")):
        if key in properties and properties[key].get("type") != wanted:
            where = f"{path}.properties[{key}].type"
            yield invalid(where, properties[key].get("type") or "", f"must be {wanted}")


def _said_once(source: Source, inner: Source, junctor: str) -> Source:
    """A part of anyOf or allOf without what says once more that the value is an integer or a string, as it may."""
    if junctor.startswith("anyOf") and source["anyOf"] == _INT_OR_STRING:
        return {}
    if junctor == "allOf[0]" and inner.get("anyOf") == _INT_OR_STRING:
        return {key: value for key, value in inner.items() if key != "anyOf"}
    return inner


def _check_complete(nested: Source, source: Source, where: str, path: str) -> Iterator[FieldError]:
    """What the root constrains inside allOf, anyOf, oneOf and not must be declared outside, too."""
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
    for junctor in dialect.JUNCTORS:
        for position, inner in enumerate(source.get(junctor) or ()):
            yield f"{path}.{junctor}[{position}]", inner
    if source.get("not"):
        yield f"{path}.not", source["not"]


def _check_type(source: Source, path: str, level: _Level) -> Iterator[FieldError]:
    type_, embedded = source.get("type"), source.get("x-kubernetes-embedded-resource")
    if embedded and type_ != "object":
        detail = "must be object if x-kubernetes-embedded-resource is true"
        yield invalid(f"{path}.type", type_, detail) if type_ else required(f"{path}.type", detail)
    elif (
        not type_
        and not source.get("x-kubernetes-int-or-string")
        and not source.get("x-kubernetes-preserve-unknown-fields")
    ):
        yield required(f"{path}.type", f"must not be empty {level}")
    if level is _Level.ROOT and type_ and type_ != "object":
        yield invalid(f"{path}.type", type_, "must be object at the root")
    if type_ == "array" and source.get("items") is None:
        yield required(f"{path}.items", "must be specified")


def _check_extensions(source: Source, path: str) -> Iterator[FieldError]:
    embedded, preserved = (
        source.get("x-kubernetes-embedded-resource"),
        source.get("x-kubernetes-preserve-unknown-fields"),
    )
    if source.get("x-kubernetes-int-or-string"):
        for field in ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"):
            if source.get(field):
                yield invalid(f"{path}.{field}", True, "must be false if x-kubernetes-int-or-string is true")
    if embedded and source.get("additionalProperties") is not None:
        detail = "must not be used if x-kubernetes-embedded-resource is set"
        yield forbidden(f"{path}.additionalProperties", detail)
    if embedded and not preserved and not source.get("properties"):
        detail = (
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        )
        yield required(f"{path}.properties", detail)


def _check_pattern(source: Source, path: str) -> Iterator[FieldError]:
    if pattern := source.get("pattern"):
        try:
            regexp.check(pattern)
        except regexp.BadPattern as error:
            detail = f"must be a valid regular expression, but isn't: {error}"
            yield invalid(f"{path}.pattern", pattern, detail)


def _check_defaults(source: Source, path: str) -> Iterator[FieldError]:
    """Defaults are values of the schema that they stand in; what they are in open maps, nobody can tell beforehand."""
    if source.get("default") is not None:
        yield from _check_default(source, f"{path}.default")
    own = _OWN if source.get("x-kubernetes-embedded-resource") else ()
    for key, inner in (source.get("properties") or {}).items():
        if key not in own:
            yield from _check_defaults(inner, f"{path}.properties[{key}]")
    if isinstance(source.get("items"), dict):
        yield from _check_defaults(source["items"], f"{path}.items")


def _check_default(source: Source, path: str) -> Iterator[FieldError]:
    from mizzen.machinery import values

    value = orjson.loads(orjson.dumps(source["default"]))
    schema = _build(source)
    removed: list[str] = []
    _prune(orjson.loads(orjson.dumps(value)), schema, "", removed, [])
    if removed:
        yield invalid(path, value, "must not have unknown fields")
    for error in values.validate(value, schema, ""):
        # Whether the items of a set or map are alike is asked of objects, not of defaults.
        if error.cause is not Cause.DUPLICATE:
            where = f"{path}.{error.path}" if error.path else path
            yield FieldError(error.cause, where, error.value, error.detail)


def _check_nested(source: Source, path: str) -> Iterator[FieldError]:
    """Inside allOf, anyOf, oneOf and not, only constraints of values may stand."""
    if source.get("type"):
        yield forbidden(f"{path}.type", "must be empty to be structural")
    if isinstance(source.get("additionalProperties"), dict):
        yield forbidden(f"{path}.additionalProperties", "must be undefined to be structural")
    for wanted, keys in _NOT_NESTED.items():
        for key in keys:
            if source.get(key) is not None and (wanted == "undefined" or source[key]):
                yield forbidden(f"{path}.{key}", f"must be {wanted} to be structural")
    yield from _check_pattern(source, path)
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
