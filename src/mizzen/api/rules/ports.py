"""Ports by number or name, and protocols."""

from collections.abc import Iterator

from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, invalid

PROTOCOLS = ("SCTP", "TCP", "UDP")
_RANGE = "must be between 1 and 65535, inclusive"


def number(path: str, value: int | None) -> Iterator[FieldError]:
    """A port number of 1 to 65535; an absent one counts as 0."""
    if not 1 <= (value or 0) <= 65535:
        yield invalid(path, value or 0, _RANGE)


def name(path: str, value: str) -> Iterator[FieldError]:
    """An IANA service name: at most 15 letters, digits and hyphens, a letter among them."""
    for complaint in names.port_name(value):
        yield invalid(path, value, complaint)


def number_or_name(path: str, value: int | str | None) -> Iterator[FieldError]:
    if isinstance(value, str):
        yield from name(path, value)
    else:
        yield from number(path, value)
