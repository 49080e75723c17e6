"""Tables: columns and cells, as `kubectl get` prints them.

Ref: https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mizzen.api.kind import Column, Table
from mizzen.machinery import times
from mizzen.machinery.errors import Object

_NAME: Final = Column(
    "Name",
    format="name",
    description="Name is unique within a namespace and cannot be changed.",
)
_CREATED_AT: Final = Column(
    "Created At", type="date", description="CreationTimestamp is the server's time when the object was made."
)
_AGE: Final = Column("Age", type="date", description="Time since the object was made.")


@dataclass(frozen=True, slots=True)
class Shape:
    """What is asked for: a kind's own table or the default one, and how much of each object goes along."""

    table: Table | None
    builtin: bool
    include: str
    api_version: str


def _created_at(obj: Object, _now: float) -> Sequence[Any]:
    meta = obj["metadata"]
    return (meta.get("name", ""), meta.get("creationTimestamp"))


def _age(obj: Object, now: float) -> Sequence[Any]:
    meta = obj["metadata"]
    created = meta.get("creationTimestamp")
    return (meta.get("name", ""), times.age(now - times.parse(created)) if created else "<unknown>")


DEFAULT: Final = Table((_NAME, _CREATED_AT), _created_at)
"""Built-in kinds without columns of their own."""
CUSTOM: Final = Table((_NAME, _AGE), _age)
"""Custom resources without printer columns."""


def render(shape: Shape, objects: Sequence[Object], meta: Object, now: float, *, headed: bool = True) -> Object:
    """A Table of these objects; without `headed`, one that leaves the columns to an earlier Table."""
    rows: list[Object] | None = [row(shape, obj, now) for obj in objects]
    if not rows and _table(shape) is DEFAULT:
        rows = None
    return {**head(shape, meta, headed=headed), "rows": rows}


def head(shape: Shape, meta: Object, *, headed: bool = True) -> Object:
    """The same without its rows, which come last."""
    return {
        "kind": "Table",
        "apiVersion": shape.api_version,
        "metadata": meta,
        "columnDefinitions": [_definition(column) for column in _table(shape).columns] if headed else None,
    }


def _table(shape: Shape) -> Table:
    return shape.table or (DEFAULT if shape.builtin else CUSTOM)


def _definition(column: Column) -> Object:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def row(shape: Shape, obj: Object, now: float) -> Object:
    """One object's row."""
    table = _table(shape)
    shown: Object = {"cells": list(table.row(obj, now))}
    conditions = table.conditions(obj) if table.conditions else ()
    if conditions:
        shown["conditions"] = list(conditions)
    shown["object"] = _included(shape, obj)
    return shown


def _included(shape: Shape, obj: Mapping[str, Any]) -> Any:
    if shape.include == "None":
        return None
    if shape.include == "Object":
        return obj
    return metadata_only(obj, shape.api_version)


def metadata_only(obj: Mapping[str, Any], api_version: str) -> Object:
    """A PartialObjectMetadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": api_version, "metadata": obj["metadata"]}
