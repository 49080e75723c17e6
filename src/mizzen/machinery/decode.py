"""From bytes to a checked object: types, unknown and repeated fields, canonical quantities and times.

Each schema is compiled once into a closure; a decode is one pass over the parsed value, which it changes in place.
Nulls and empty optional lists and maps are dropped and unknown fields pruned, as the original's typed decoding does.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from mizzen.machinery.checks import DecodeError, Unknown, compiled
from mizzen.machinery.errors import ApiError, Errors, Object
from mizzen.machinery.parse import Pairs, has_duplicates, parse_json, parse_pairs, parse_yaml
from mizzen.machinery.schema import Form, Schema

__all__ = [
    "DecodeError",
    "Decoded",
    "cannot_handle",
    "decode",
    "json_patch_problems",
    "normalise",
    "normalise_strictly",
    "parse",
    "strict_error",
    "strict_problems",
    "unknown_fields",
    "unrecognized",
    "yaml_error",
]


@dataclass(frozen=True, slots=True)
class Decoded:
    """An object, and what a strict client wants to know of: `unknown field "spec.foo"`, `duplicate field "a"`."""

    object: Object
    problems: tuple[str, ...] = ()


def parse(body: bytes, is_yaml: bool = False) -> tuple[Any, Callable[[], list[str]]]:
    """The JSON value of a body, and a function that lists what was repeated in it; for kinds without a schema.

    Raises: ParseError.
    """
    if is_yaml:
        value, repeated = parse_yaml(body)
        return value, lambda: repeated
    value = parse_json(body)
    return value, lambda: list(_json_repeats(body, value))


def _json_repeats(body: bytes, value: Any) -> Iterator[str]:
    if has_duplicates(body, value):
        yield from _repeats(parse_pairs(body), "")


def _repeats(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Pairs):
        seen: set[str] = set()
        for key, inner in value:
            where = f"{path}.{key}" if path else key
            if key in seen:
                yield f'duplicate field "{where}"'
            seen.add(key)
            yield from _repeats(inner, where)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _repeats(inner, f"{path}[{position}]")


def decode(body: bytes, schema: Schema, *, is_yaml: bool = False, lenient: bool = False) -> Decoded:
    """The checked object of a body. `lenient` (fieldValidation=Ignore) does not look for strict problems.

    Raises: ParseError, DecodeError.
    """
    value, repeats = parse(body, is_yaml)
    if lenient:
        return Decoded(normalise(value, schema))
    repeated = repeats()
    value, unknown = normalise_strictly(value, schema)
    return Decoded(value, tuple(strict_problems(body, schema, repeated, unknown, is_yaml=is_yaml)))


def strict_problems(
    body: bytes, schema: Schema, repeated: list[str], unknown: list[str], *, is_yaml: bool
) -> list[str]:
    """What a strict client wants to know of a typed body, in the original's order.

    Of JSON all in the order of the document, a field that is unknown and repeated only as unknown; of YAML first what
    is repeated, then what is unknown.
    """
    if repeated and not is_yaml:
        return list(_problems_of_pairs(parse_pairs(body), schema, ""))
    return [*repeated, *unknown]


def _problems_of_pairs(value: Any, schema: Schema | None, path: str) -> Iterator[str]:
    if isinstance(value, Pairs):
        seen: set[str] = set()
        for key, inner in value:
            where = f"{path}.{key}" if path else key
            known = _schema_of_field(schema, key)
            is_unknown = known is None and schema is not None and schema.form is Form.STRUCT and not schema.preserve
            if is_unknown and key not in seen:
                yield f'unknown field "{where}"'
            elif key in seen and not is_unknown:
                yield f'duplicate field "{where}"'
            seen.add(key)
            if not is_unknown:
                yield from _problems_of_pairs(inner, known, where)
    elif isinstance(value, list):
        items = schema.items if schema is not None and schema.form is Form.LIST else None
        for position, inner in enumerate(value):
            yield from _problems_of_pairs(inner, items, f"{path}[{position}]")


def _schema_of_field(schema: Schema | None, key: str) -> Schema | None:
    if schema is None:
        return None
    return schema.items if schema.form is Form.MAP else schema.properties.get(key)


def json_patch_problems(body: bytes, repeated: list[str]) -> list[str]:
    """What a strict client wants to know of a JSON patch: odd and repeated fields of its operations."""
    operations = parse_pairs(body) if repeated else _as_pairs(parse_json(body))
    found: list[str] = []
    for position, operation in enumerate(operations if isinstance(operations, list) else ()):
        seen: set[str] = set()
        for key, value in operation if isinstance(operation, Pairs) else ():
            where = f"[{position}].{key}"
            if key not in _OPERATION:
                found.append(f'json patch unknown field "{where}"')
            elif key in seen:
                found.append(f'json patch duplicate field "{where}"')
            seen.add(key)
            found += [f"json patch {problem}" for problem in _repeats(value, where)]
    return found


def _as_pairs(operations: Any) -> Any:
    if not isinstance(operations, list):
        return operations
    return [Pairs(one.items()) if isinstance(one, dict) else one for one in operations]


def normalise(value: Any, schema: Schema) -> Any:
    """Check types, prune unknown fields, drop nulls, make quantities and times canonical; in place.

    Raises: DecodeError.
    """
    unknown: Unknown = []
    checked = compiled(schema)(value, unknown)
    _prune(unknown)
    return checked


_key: Final = itemgetter(0)


def normalise_strictly(value: Any, schema: Schema, *, by_name: bool = False) -> tuple[Any, list[str]]:
    """Like `normalise`, and the fields that the schema does not know, in the document's order or by name.

    Raises: DecodeError.
    """
    unknown: Unknown = []
    checked = compiled(schema)(value, unknown)
    if not unknown:
        return checked, []
    problems = [f'unknown field "{path}"' for path in unknown_fields(checked, schema, by_name=by_name)]
    _prune(unknown)
    return checked, problems


_OPERATION: Final = frozenset({"op", "path", "from", "value"})


def _prune(unknown: Unknown) -> None:
    for holder, key in unknown:
        del holder[key]


def cannot_handle(kind: str, version: str, as_kind: str, why: object) -> ApiError:
    """The 400 that answers a body which does not decode."""
    return Errors.bad_request(f'{kind} in version "{version}" cannot be handled as a {as_kind}: {why}')


def strict_error(problems: tuple[str, ...] | list[str]) -> str:
    """All problems in one sentence; the lines that a YAML parser complains of stand together."""
    lines = [problem for problem in problems if problem.startswith(_YAML_LINE)]
    others = [problem for problem in problems if not problem.startswith(_YAML_LINE)]
    return "strict decoding error: " + ", ".join(([yaml_error(lines)] if lines else []) + others)


def yaml_error(lines: list[str]) -> str:
    """What a YAML parser says of repeated keys."""
    return "yaml: unmarshal errors:\n  " + "\n  ".join(lines)


_YAML_LINE: Final = "line "


def unrecognized(body: bytes, as_kind: str, why: object) -> ApiError:
    """The 400 that answers bytes which are no object at all."""
    return Errors.bad_request(
        f"the object provided is unrecognized (must be of type {as_kind}): {why} ({_preview(body)})"
    )


def _preview(body: bytes) -> str:
    if not body:
        return "<empty>"
    if body.lstrip()[:1] == b"{":
        text = body.decode("utf-8", "replace")
        return text if len(text) <= 30 else f"{text[:30]} ..."
    shown = body.hex()
    return shown if len(shown) <= 60 else f"{shown[:60]} ..."


def unknown_fields(value: Any, schema: Schema, path: str = "", *, by_name: bool = False) -> Iterator[str]:
    """The paths of fields that the schema does not know, in the order of the document, or by name at each level."""
    if schema.form is Form.STRUCT and isinstance(value, dict):
        for key, inner in sorted(value.items(), key=_key) if by_name else value.items():
            where = f"{path}.{key}" if path else key
            known = schema.properties.get(key)
            if known is not None:
                yield from unknown_fields(inner, known, where, by_name=by_name)
            elif not schema.preserve:
                yield where
    elif schema.form is Form.MAP and isinstance(value, dict) and schema.items is not None:
        for key, inner in sorted(value.items(), key=_key) if by_name else value.items():
            yield from unknown_fields(inner, schema.items, f"{path}.{key}", by_name=by_name)
    elif schema.form is Form.LIST and isinstance(value, list) and schema.items is not None:
        for position, inner in enumerate(value):
            yield from unknown_fields(inner, schema.items, f"{path}[{position}]", by_name=by_name)
