"""What keeps a configuration from being an object of its schema, in the words that clients of apply know.

Ref: https://github.com/kubernetes-sigs/structured-merge-diff (typed, validate)
"""

from collections.abc import Iterator
from typing import Any

import orjson

from mizzen.machinery.patch.apply.sets import shown
from mizzen.machinery.patch.apply.walk import child, step_of
from mizzen.machinery.schema import DEDUCED, Form, Schema

_NUMBERS = frozenset((Form.INT32, Form.INT64, Form.NUMBER))
_TEXTS = frozenset((Form.STRING, Form.BYTES))
_SCALARS = frozenset((Form.TIME, Form.MICRO_TIME, Form.QUANTITY, Form.INT_OR_STRING))


def told(applied: Any, schema: Schema) -> str:
    """All mistakes as one text; nothing where there are none."""
    found = list(_mistakes(applied, schema, ""))
    return found[0] if len(found) == 1 else "\n  ".join(["errors:", *found]) if found else ""


def _mistakes(value: Any, schema: Schema, path: str) -> Iterator[str]:
    at = f"{path}: " if path else ""
    if value is None or schema.form is Form.ANY:
        return
    match schema.form:
        case Form.STRUCT | Form.MAP:
            if isinstance(value, dict):
                yield from _in_map(value, schema, path)
            else:
                yield f"{at}expected map, got &{{{_plain(value)}}}"
        case Form.LIST:
            if isinstance(value, list):
                yield from _in_list(value, schema, path)
            else:
                yield f"{at}expected list, got &{{{_plain(value)}}}"
        case form if form in _NUMBERS:
            if isinstance(value, bool) or not isinstance(value, int | float):
                yield f"{at}expected numeric (int or float), got {_type(value)}"
        case form if form in _TEXTS:
            if not isinstance(value, str):
                yield f"{at}expected string, got {_typed(value)}"
        case Form.BOOLEAN:
            if not isinstance(value, bool):
                yield f"{at}expected boolean, got {_plain(value)}"
        case form if form in _SCALARS:
            if isinstance(value, dict | list):
                yield f"{at}expected any scalar, got {_plain(value)}"


def _in_map(value: dict[str, Any], schema: Schema, path: str) -> Iterator[str]:
    for key, inner in value.items():
        is_known = schema.form is Form.MAP or schema.preserve or key in schema.properties
        if not is_known:
            yield f"{path}.{key}: field not declared in schema"
            return
        yield from _mistakes(inner, child(schema, key), f"{path}.{key}")


def _in_list(value: list[Any], schema: Schema, path: str) -> Iterator[str]:
    items, seen = schema.items or DEDUCED, set()
    for position, item in enumerate(value):
        if schema.list_type not in {"map", "set"}:
            yield from _mistakes(item, items, f"{path}[{position}]")
            continue
        missing = _missing_key(item, schema, items) if schema.list_type == "map" else ""
        if missing:
            yield f"{path}: element {position}: {missing}"
            continue
        step = step_of(item, schema)
        if step in seen:
            yield f"{path}: duplicate entries for key {shown(step)}"
        seen.add(step)
        yield from _mistakes(item, items, f"{path}{shown(step)}")


def _missing_key(item: Any, schema: Schema, items: Schema) -> str:
    if item is None:
        return "associative list with keys may not have a null element"
    if not isinstance(item, dict):
        return "associative list with keys may not have non-map elements"
    for key in schema.map_keys:
        known = items.properties.get(key)
        if item.get(key) is None and (known is None or known.default is None):
            why = "associative list with keys has an element that omits key field"
            return f'{why} "{key}" (and doesn\'t have default value)'
    return ""


def _type(value: Any) -> str:
    """The name of a value's type in the original's language."""
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case dict():
            return "map[string]interface {}"
        case list():
            return "[]interface {}"
        case _:
            return "int64" if isinstance(value, int) else "float64"


def _plain(value: Any) -> str:
    """A value as the original's language prints it."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case dict():
            return f"map[{' '.join(f'{key}:{_plain(value[key])}' for key in sorted(value))}]"
        case list():
            return f"[{' '.join(map(_plain, value))}]"
        case _:
            return str(value)


def _typed(value: Any) -> str:
    """A value as the original's language writes it in its source."""
    match value:
        case None:
            return "interface {}(nil)"
        case str():
            return orjson.dumps(value).decode()
        case dict():
            inner = ", ".join(f"{_typed(key)}:{_typed(value[key])}" for key in sorted(value))
            return f"map[string]interface {{}}{{{inner}}}"
        case list():
            return f"[]interface {{}}{{{', '.join(map(_typed, value))}}}"
        case _:
            return _plain(value)
