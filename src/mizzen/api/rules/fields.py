"""Checks of one field against a rule about text: names, labels, choices. Each yields the field's errors."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, invalid, not_supported, required
from mizzen.machinery.labels import validate_labels

_url_path = re.compile(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+").fullmatch
IMMUTABLE = "field is immutable"


def matches(path: str, value: str, rule: Callable[[str], Iterable[str]]) -> Iterator[FieldError]:
    """Each complaint of the rule about the value, as an invalid value at the path."""
    for complaint in rule(value):
        yield invalid(path, value, complaint)


def joined(path: str, value: str, rule: Callable[[str], Iterable[str]], prefix: str = "") -> Iterator[FieldError]:
    """All complaints of the rule about the value as one cause."""
    if complaints := list(rule(value)):
        yield invalid(path, value, prefix + ",".join(complaints))


def subdomain(path: str, value: str) -> Iterator[FieldError]:
    return matches(path, value, names.dns1123_subdomain)


def label(path: str, value: str) -> Iterator[FieldError]:
    return matches(path, value, names.dns1123_label)


def qualified_name(path: str, value: str) -> Iterator[FieldError]:
    return matches(path, value, names.qualified_name)


def required_text(path: str, value: str | None, detail: str = "") -> Iterator[FieldError]:
    if not value:
        yield required(path, detail)


def one_of(path: str, value: str | None, supported: Collection[str]) -> Iterator[FieldError]:
    """Required when absent, not supported when not among the choices, which are shown in the order given."""
    if not value:
        yield required(path)
    elif value not in supported:
        yield not_supported(path, value, supported)


def unchanged(path: str, new: Any, old: Any, detail: str = IMMUTABLE) -> Iterator[FieldError]:
    """Invalid when the value differs from the stored one; absent and empty are the same."""
    if (new or None) != (old or None):
        yield invalid(path, new, detail)


def not_negative(path: str, value: int | None) -> Iterator[FieldError]:
    if value is not None and value < 0:
        yield invalid(path, value, "must be greater than or equal to 0")


def labels(path: str, value: Mapping[str, str] | None) -> Iterator[FieldError]:
    """Keys are qualified names, values label values; both are reported at the map itself."""
    return validate_labels(value, path)


def domain_prefixed_path(path: str, value: str) -> Iterator[FieldError]:
    """`acme.io/foo`: a domain, then a path."""
    if not value:
        yield required(path)
        return
    domain, slash, rest = value.partition("/")
    if not slash or not domain or not rest:
        yield invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")')
        return
    for complaint in names.dns1123_subdomain(domain):
        yield invalid(path, domain, complaint)
    if not _url_path(rest):
        yield invalid(path, rest, "a valid path must be made of the characters that URLs allow")
