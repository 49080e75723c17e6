"""The messages of the built-in kinds: fields with their numbers and JSON names, loaded on first use."""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import orjson

from mizzen.machinery.schema import registry

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_METRICS = "io.k8s.metrics.pkg.apis.metrics"
_REDUCED = ("PartialObjectMetadata", "PartialObjectMetadataList")
"""Kinds of meta.k8s.io, which the published definitions leave out, as they do metrics."""


class ProtobufError(ValueError):
    """Bytes that are no such message."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field; `form` names a scalar, a special form or, with dots, another message."""

    number: int
    name: str
    """In JSON; empty for an inline message, whose fields stand in the object around it."""
    form: str
    many: str
    """`*` for a list, `%` for a map of strings, else empty."""
    union: bool
    """JSON has the value of one of the message's fields instead of the message."""
    pointer: bool
    omitempty: bool
    omitzero: bool

    @property
    def is_message(self) -> bool:
        return "." in self.form and not self.union


@cache
def _packed() -> dict[str, list[tuple[int, str, str, str]]]:
    try:
        packed = files("mizzen").joinpath("_schema", "protobuf.json.gz").read_bytes()
    except FileNotFoundError:
        raise RuntimeError("the protobuf messages are not packed: run `python tools/build_protobuf.py`") from None
    loaded: dict[str, list[tuple[int, str, str, str]]] = orjson.loads(gzip.decompress(packed))
    return loaded


def fields(name: str) -> Sequence[Field]:
    """The fields of a message. Raises: LookupError."""
    return tuple(_field(number, json, form, flags) for number, json, form, flags in _packed()[name])


def _field(number: int, json: str, form: str, flags: str) -> Field:
    many = form[0] if form[0] in "*%" else ""
    inner = form.removeprefix(many)
    union = inner.startswith("|")
    return Field(number, json, inner.removeprefix("|"), many, union, "p" in flags, "o" in flags, "z" in flags)


def names() -> Sequence[str]:
    """All messages."""
    return tuple(_packed())


@cache
def message_of(api_version: str, kind: str) -> str | None:
    """The message of a kind; None for kinds that protobuf does not carry."""
    group, _, version = api_version.rpartition("/")
    if kind == "DeleteOptions" or (group == "meta.k8s.io" and kind in _REDUCED):
        return _META + kind
    if group == "metrics.k8s.io":
        name: str | None = f"{_METRICS}.{version}.{kind}"
    else:
        name = registry.name_of(group, version, kind)
    return name if name is not None and name in _packed() else None


@dataclass(frozen=True, slots=True)
class Places:
    """Which field of a union holds a boolean, a list, a message; empty where none does."""

    boolean: str = ""
    list: str = ""
    message: str = ""

    @staticmethod
    def of(name: str) -> "Places":
        found = {
            "list" if field.many else "message" if field.is_message else "boolean": field.name for field in fields(name)
        }
        return Places(**found)
