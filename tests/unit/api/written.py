"""One write through a kind's rules, as the registry makes it, for tests of single rules."""

from typing import Any

import orjson

from mizzen.api.kind import Kind
from mizzen.machinery.errors import Object

CREATED = "2026-01-01T00:00:00Z"
NOW = 1767225600.0 + 300
"""Five minutes after `CREATED`."""


def written(kind: Kind, content: Object, old: Object | None = None) -> Object:
    """The object as it would be stored: a copy with defaults, prepared."""
    new: Object = orjson.loads(orjson.dumps(content))
    metadata: dict[str, Any] = new.setdefault("metadata", {})
    metadata.setdefault("name", "x")
    metadata.setdefault("creationTimestamp", CREATED)
    if kind.default is not None:
        kind.default(new)
    if kind.prepare is not None:
        kind.prepare(new, old)
    return new


def causes(kind: Kind, content: Object, old: Object | None = None) -> set[tuple[str, str]]:
    """What is wrong with a write: `(path, reason)`, the reason without its `FieldValue`."""
    assert kind.validate is not None
    return found(kind.validate(written(kind, content, old), old))


def found(errors: Any) -> set[tuple[str, str]]:
    return {(error.path, str(error.cause).removeprefix("FieldValue")) for error in errors}


def cells(kind: Kind, content: Object) -> dict[str, Any]:
    """The row of the object's table, by column."""
    assert kind.table is not None
    stored = written(kind, content)
    stored.update({key: value for key, value in content.items() if key == "status"})
    row = list(kind.table.row(stored, NOW))
    assert len(row) == len(kind.table.columns)
    return {column.name: cell for column, cell in zip(kind.table.columns, row, strict=True)}
