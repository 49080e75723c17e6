"""Regular expressions that users write, in the dialect and with the promise of RE2: linear time, whatever they say.

Ref: https://github.com/google/re2/wiki/Syntax
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

_SHORT: Final = 256
"""Texts of this many characters are remembered with their answer: the binding takes longer than a match."""


class BadPattern(ValueError):
    """A pattern that is none."""


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    """Raises BadPattern."""
    import re2  # lazily: most clusters have no patterns of their own

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        told = error.args[0] if error.args else pattern
        raise BadPattern(f"error parsing regexp: {told.decode() if isinstance(told, bytes) else told}") from None


def check(pattern: str) -> None:
    """Raises BadPattern."""
    _compiled(pattern)


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern is found anywhere in the text. Raises BadPattern."""
    return _remembered(pattern, text) if len(text) <= _SHORT else _compiled(pattern).search(text) is not None


@lru_cache(maxsize=4096)
def _remembered(pattern: str, text: str) -> bool:
    return _compiled(pattern).search(text) is not None


def find_all(pattern: str, text: str) -> Iterator[str]:
    """Every part that the pattern matches, from the left, none over another. Raises BadPattern."""
    for match in _compiled(pattern).finditer(text):
        yield match.group()
