"""From bytes to a checked object: types, unknown and repeated fields, canonical quantities and times.

Each schema is compiled once into a closure; a decode is one pass over the parsed value, which it changes in place.
Nulls and empty optional lists and maps are dropped and unknown fields pruned, as the original's typed decoding does.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mizzen.machinery.checks import DecodeError, Unknown, compiled
from mizzen.machinery.errors import ApiError, Errors, Object
from mizzen.machinery.parse import Pairs, has_duplicates, parse_json, parse_pairs, parse_yaml
from mizzen.machinery.schema import Form, Schema

__all__ = [
    "DecodeError",
    "Decoded",
    "cannot_handle",
    "decode",
    "normalise",
    "normalise_strictly",
    "parse",
    "strict_error",
    "unknown_fields",
    "unrecognized",
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
        return value, lambda: _yaml_repeats(repeated)
    value = parse_json(body)
    return value, lambda: list(_json_repeats(body, value))


def _yaml_repeats(repeated: list[str]) -> list[str]:
    return ["yaml: unmarshal errors:\n  " + "\n  ".join(repeated)] if repeated else []


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
    problems = repeats()
    value, unknown = normalise_strictly(value, schema)
    return Decoded(value, (*unknown, *problems))


def normalise(value: Any, schema: Schema) -> Any:
    """Check types, prune unknown fields, drop nulls, make quantities and times canonical; in place.

    Raises: DecodeError.
    """
    unknown: Unknown = []
    checked = compiled(schema)(value, unknown)
    _prune(unknown)
    return checked


def normalise_strictly(value: Any, schema: Schema) -> tuple[Any, list[str]]:
    """Like `normalise`, and the fields that the schema does not know.

    Raises: DecodeError.
    """
    unknown: Unknown = []
    checked = compiled(schema)(value, unknown)
    if not unknown:
        return checked, []
    problems = [f'unknown field "{path}"' for path in unknown_fields(checked, schema)]
    _prune(unknown)
    return checked, problems


def _prune(unknown: Unknown) -> None:
    for holder, key in unknown:
        del holder[key]


def cannot_handle(kind: str, version: str, as_kind: str, why: object) -> ApiError:
    """The 400 that answers a body which does not decode."""
    return Errors.bad_request(f'{kind} in version "{version}" cannot be handled as a {as_kind}: {why}')


def strict_error(problems: tuple[str, ...] | list[str]) -> str:
    return "strict decoding error: " + ", ".join(problems)


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


def unknown_fields(value: Any, schema: Schema, path: str = "") -> Iterator[str]:
    """The paths of fields that the schema does not know, in the order of the document."""
    if schema.form is Form.STRUCT and isinstance(value, dict):
        for key, inner in value.items():
            where = f"{path}.{key}" if path else key
            known = schema.properties.get(key)
            if known is not None:
                yield from unknown_fields(inner, known, where)
            elif not schema.preserve:
                yield where
    elif schema.form is Form.MAP and isinstance(value, dict) and schema.items is not None:
        for key, inner in value.items():
            yield from unknown_fields(inner, schema.items, f"{path}.{key}")
    elif schema.form is Form.LIST and isinstance(value, list) and schema.items is not None:
        for position, inner in enumerate(value):
            yield from unknown_fields(inner, schema.items, f"{path}[{position}]")
