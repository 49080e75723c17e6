"""Names of drivers, pools, devices and what is known of devices."""

import re
from collections.abc import Callable, Iterator, Sequence

from mizzen.api.rules import fields, volume_sources
from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, duplicate, invalid, required, too_long, too_many

POOL_LIMIT = 253
IDENTIFIER_LIMIT = 32
driver = volume_sources.csi_driver_name
"""A driver is named like a storage driver."""
_uid = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch

Check = Callable[[str, str], Iterator[FieldError]]


def some_driver(path: str, name: str | None) -> Iterator[FieldError]:
    """A driver, where its absence is all that there is to tell."""
    if name:
        yield from driver(path, name)
    else:
        yield required(path)


def pool(path: str, name: str) -> Iterator[FieldError]:
    """A pool is named like a domain, or like several with slashes between them."""
    if not name:
        yield required(path)
        return
    if len(name) > POOL_LIMIT:
        yield too_long(path, POOL_LIMIT)
    for part in name.split("/"):
        yield from fields.subdomain(path, part)


def uid(path: str, value: str) -> Iterator[FieldError]:
    if not _uid(value):
        yield invalid(path, value, "must be a UUID in lower case, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`")


def qualified(path: str, name: str) -> Iterator[FieldError]:
    """`identifier`, or `domain/identifier`."""
    parts = name.split("/")
    if len(parts) > 2:
        yield invalid(path, name, "must not contain more than one slash")
        return
    if len(parts) == 2:
        if parts[0]:
            yield from driver(path, parts[0])
        else:
            yield invalid(path, "", "the domain must not be empty")
        if not parts[1]:
            yield invalid(path, "", "the name must not be empty")
            return
    if len(parts[-1]) > IDENTIFIER_LIMIT:
        yield too_long(path, IDENTIFIER_LIMIT)
    yield from fields.matches(path, parts[-1], names.c_identifier)


def fully_qualified(path: str, name: str) -> Iterator[FieldError]:
    """`domain/identifier`."""
    yield from qualified(path, name)
    if "/" not in name:
        yield invalid(path, name, "a fully qualified name must be a domain and a name separated by a slash")


def unique(path: str, values: Sequence[str], limit: int, check: Check) -> Iterator[FieldError]:
    """A set of texts of limited size; of one that is too large nothing else is told."""
    if len(values) > limit:
        yield too_many(path, limit)
        return
    for i, value in enumerate(values):
        yield from check(f"{path}[{i}]", value)
    for i, value in enumerate(values):
        if value in values[:i]:
            yield duplicate(f"{path}[{i}]", value)
