"""Whether a custom resource's values satisfy its schema, reported in Kubernetes' words.

On update, what was invalid before and has not changed is tolerated (ratcheting).
Ref: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from mizzen.machinery import formats, regexp
from mizzen.machinery.errors import Cause, FieldError, duplicate, invalid, not_supported, required
from mizzen.machinery.schema import Form, Schema

_ABSENT = object()
Source = Mapping[str, Any]


def validate(value: Any, schema: Schema, path: str = "", old: Any = _ABSENT) -> Iterator[FieldError]:
    """All that is wrong with a value, given the stored one if there is one."""
    if old is not _ABSENT and is_same(value, old):
        return
    if value is None and schema.nullable:
        return
    problem = _type_problem(value, schema, path)
    if problem is not None:
        yield problem
        return
    if not _CONSTRAINING.isdisjoint(schema.source):
        yield from constraints(value, schema.source, path)
    if isinstance(value, dict):
        yield from _validate_object(value, schema, path, old)
    elif isinstance(value, list):
        yield from _validate_list(value, schema, path, old)


def is_same(left: Any, right: Any) -> bool:
    """Whether two JSON values are alike, in the types of their numbers too."""
    return left is right or bool(left == right and orjson.dumps(left) == orjson.dumps(right))


def _validate_object(value: dict[str, Any], schema: Schema, path: str, old: Any) -> Iterator[FieldError]:
    before = old if isinstance(old, dict) else {}
    if schema.embedded:
        for key in ("apiVersion", "kind"):
            if not value.get(key):
                yield required(_child(path, key))
    for key, inner in value.items():
        known = schema.properties.get(key) or (schema.items if schema.form is Form.MAP else None)
        if known is not None and (known.source or known.form is not Form.STRING):
            if known.type_name == "v1.ObjectMeta":
                continue
            yield from validate(inner, known, _child(path, key), before.get(key, _ABSENT))


def _validate_list(value: list[Any], schema: Schema, path: str, old: Any) -> Iterator[FieldError]:
    yield from _unique(value, schema, path)
    if schema.items is None:
        return
    before = _by_key(old, schema) if schema.list_type == "map" and isinstance(old, list) else {}
    for position, inner in enumerate(value):
        was = before.get(_key(inner, schema), _ABSENT) if before else _ABSENT
        yield from validate(inner, schema.items, f"{path}[{position}]", was)


def _key(item: Any, schema: Schema) -> Any:
    if schema.list_type == "map" and isinstance(item, dict):
        return orjson.dumps({key: item.get(key) for key in schema.map_keys if key in item})
    return orjson.dumps(item, option=orjson.OPT_SORT_KEYS)


def _by_key(items: list[Any], schema: Schema) -> dict[Any, Any]:
    return {_key(item, schema): item for item in items}


def _unique(value: list[Any], schema: Schema, path: str) -> Iterator[FieldError]:
    if schema.list_type == "atomic":
        return
    seen: set[Any] = set()
    for position, item in enumerate(value):
        key = _key(item, schema)
        if key in seen:
            shown = {name: item.get(name) for name in schema.map_keys} if schema.list_type == "map" else item
            yield duplicate(f"{path}[{position}]", shown)
        seen.add(key)


# --- types -----------------------------------------------------------------------------------------------------------

_WHOLE_LIMIT = 2**53 - 1
"""Up to where every whole number is one of JSON's numbers: larger ones are integers only where they are written so."""
_EXPECTED = {
    Form.STRUCT: "object",
    Form.MAP: "object",
    Form.LIST: "array",
    Form.STRING: "string",
    Form.INT64: "integer",
    Form.NUMBER: "number",
    Form.BOOLEAN: "boolean",
    Form.INT_OR_STRING: "integer,string",
}


def type_name(value: Any) -> str:
    """The JSON Schema name of a value's type."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _type_problem(value: Any, schema: Schema, path: str) -> FieldError | None:
    expected = schema.source.get("type") if schema.form is Form.ANY else _EXPECTED.get(schema.form)
    if expected is None:
        return None
    actual = type_name(value)
    if actual in expected.split(",") or (expected == "number" and actual == "integer"):
        return None
    if "integer" in expected and isinstance(value, float) and value.is_integer() and abs(value) <= _WHOLE_LIMIT:
        return None
    return _wrong_type(path, actual, expected)


def _wrong_type(path: str, shown: Any, expected: str) -> FieldError:
    detail = f"{path} in body must be of type {expected}: {orjson.dumps(shown).decode()}"
    return FieldError(Cause.TYPE_INVALID, path, shown, detail)


# --- constraints -----------------------------------------------------------------------------------------------------


_CONSTRAINING = frozenset(
    (
        *("enum", "format", "maxLength", "minLength", "pattern", "maximum", "minimum", "multipleOf"),
        *("maxItems", "minItems", "uniqueItems", "maxProperties", "minProperties", "required"),
        *("allOf", "anyOf", "oneOf", "not"),
    )
)
"""The words of a schema that ask for more than a type."""


def constraints(value: Any, source: Source, path: str) -> Iterator[FieldError]:
    """What a schema node itself asks of a value, nested allOf, anyOf, oneOf and not included."""
    allowed = source.get("enum")
    if allowed is not None and not any(is_same(value, each) for each in allowed):
        texts = [each if isinstance(each, str) else orjson.dumps(each).decode() for each in allowed]
        yield not_supported(path, value, texts)
    match value:
        case bool() | None:
            pass
        case str():
            yield from _check_string(value, source, path)
        case int() | float():
            yield from _check_number(value, source, path)
        case list():
            yield from _check_list(value, source, path)
        case dict():
            yield from _check_object(value, source, path)
    yield from _check_junctors(value, source, path)


def _check_string(value: str, source: Source, path: str) -> Iterator[FieldError]:
    """The first constraint that does not hold, and the format."""
    longest, shortest, pattern = source.get("maxLength"), source.get("minLength"), source.get("pattern")
    if longest is not None and len(value) > longest:
        yield FieldError(Cause.TOO_LONG, path, detail=f"may not be more than {longest} bytes")
    elif shortest is not None and len(value) < shortest:
        yield invalid(path, value, f"{path} in body should be at least {shortest} chars long")
    elif pattern and not regexp.matches(pattern, value):
        yield invalid(path, value, f"{path} in body should match '{pattern}'")
    format_ = source.get("format")
    if format_ and formats.is_known(format_, source.get("type") or "") and not formats.has_format(value, format_):
        yield _wrong_type(path, value, format_)


def _check_number(value: float, source: Source, path: str) -> Iterator[FieldError]:
    lowest, highest, step = source.get("minimum"), source.get("maximum"), source.get("multipleOf")
    if lowest is not None:
        if source.get("exclusiveMinimum") and value <= lowest:
            yield invalid(path, value, f"{path} in body should be greater than {_bare(lowest)}")
        elif value < lowest:
            yield invalid(path, value, f"{path} in body should be greater than or equal to {_bare(lowest)}")
    if highest is not None:
        if source.get("exclusiveMaximum") and value >= highest:
            yield invalid(path, value, f"{path} in body should be less than {_bare(highest)}")
        elif value > highest:
            yield invalid(path, value, f"{path} in body should be less than or equal to {_bare(highest)}")
    if step and abs(value / step - round(value / step)) > 1e-9:
        yield invalid(path, value, f"{path} in body should be a multiple of {_bare(step)}")
    bits = {"int32": 31, "int64": 63}.get(source.get("format", ""))
    if bits is not None and not -(2**bits) <= value < 2**bits:
        yield invalid(path, value, f"Checked value must be of type integer with format {source['format']} in body")


def _bare(number: float) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)


def _check_list(value: list[Any], source: Source, path: str) -> Iterator[FieldError]:
    most, least = source.get("maxItems"), source.get("minItems")
    if most is not None and len(value) > most:
        yield FieldError(Cause.TOO_MANY, path, detail=f"{len(value)}: must have at most {most} items")
    if least is not None and len(value) < least:
        yield invalid(path, len(value), f"{path} in body should have at least {least} items")
    if source.get("uniqueItems") and len({orjson.dumps(each, option=orjson.OPT_SORT_KEYS) for each in value}) < len(
        value
    ):
        yield invalid(path, value, f"{path} in body shouldn't contain duplicates")


def _check_object(value: dict[str, Any], source: Source, path: str) -> Iterator[FieldError]:
    most, least = source.get("maxProperties"), source.get("minProperties")
    if most is not None and len(value) > most:
        yield FieldError(Cause.TOO_MANY, path, detail=f"{len(value)}: must have at most {most} items")
    if least is not None and len(value) < least:
        yield invalid(path, len(value), f"{path} in body should have at least {least} properties")
    for key in source.get("required") or ():
        if key not in value:
            yield required(_child(path, key))


def _check_junctors(value: Any, source: Source, path: str) -> Iterator[FieldError]:
    for inner in source.get("allOf") or ():
        yield from _nested(value, inner, path)
    any_of, one_of = source.get("anyOf"), source.get("oneOf")
    if any_of and not any(_fits(value, inner, path) for inner in any_of):
        yield invalid(path, _shown(value), f'"{path}" must validate at least one schema (anyOf)')
        yield from _nested(value, any_of[0], path)
    if one_of:
        fitting = sum(_fits(value, inner, path) for inner in one_of)
        if fitting != 1:
            found = "none valid" if fitting == 0 else f"{fitting} valid alternatives"
            yield invalid(path, _shown(value), f'"{path}" must validate one and only one schema (oneOf). Found {found}')
    if source.get("not") and _fits(value, source["not"], path):
        yield invalid(path, _shown(value), f'"{path}" must not validate the schema (not)')


def _shown(value: Any) -> Any:
    return type_name(value) if isinstance(value, dict | list) else value


def _fits(value: Any, source: Source, path: str) -> bool:
    return next(_nested(value, source, path), None) is None


def _nested(value: Any, source: Source, path: str) -> Iterator[FieldError]:
    """A schema inside allOf, anyOf, oneOf or not: constraints of the value and of what is in it."""
    expected = source.get("type")
    actual = type_name(value)
    if expected and actual != expected and not (expected == "number" and actual == "integer"):
        yield _wrong_type(path, actual, expected)
        return
    yield from constraints(value, source, path)
    if isinstance(value, dict):
        for key, inner in (source.get("properties") or {}).items():
            if key in value:
                yield from _nested(value[key], inner, _child(path, key))
    elif isinstance(value, list) and isinstance(source.get("items"), dict):
        for position, each in enumerate(value):
            yield from _nested(each, source["items"], f"{path}[{position}]")


def _child(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
