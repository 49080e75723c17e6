"""Objects that are maps of named values: ConfigMaps and Secrets."""

from collections.abc import Iterable, Iterator, Mapping

from mizzen.api.rules import fields
from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, Object, forbidden

WHOLE = "[]"
"""The path of an error that blames the object as a whole."""
SIZE_LIMIT = 1024 * 1024
"""How many bytes all values may have together."""
_FROZEN = "field is immutable when `immutable` is set"


def key_errors(path: str, values: Iterable[str]) -> Iterator[FieldError]:
    for key in values:
        yield from fields.matches(f"{path}[{key}]", key, names.config_key)


def immutable_errors(new: Object, old: Object, held: tuple[str, ...]) -> Iterator[FieldError]:
    """Once `immutable` is set, it stays and the values stay."""
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        yield forbidden("immutable", _FROZEN)
    for field in held:
        if (new.get(field) or {}) != (old.get(field) or {}):
            yield forbidden(field, _FROZEN)


def text_size(values: Mapping[str, str]) -> int:
    """Bytes of plain values."""
    return sum(len(value) if value.isascii() else len(value.encode()) for value in values.values())


def decoded_size(values: Mapping[str, str]) -> int:
    """Bytes of base64 values once decoded."""
    return sum(len(value) * 3 // 4 - value.count("=", -2) for value in values.values() if value)
