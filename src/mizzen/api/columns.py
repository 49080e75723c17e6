"""Columns and cells that many kinds show: name, age, and lists that are cut short."""

from mizzen.api.kind import Column, Table
from mizzen.machinery import times
from mizzen.machinery.errors import Object

NAME = Column("Name", format="name")
AGE = Column("Age")
NONE = "<none>"
UNKNOWN = "<unknown>"
UNSET = "<unset>"
CREATED_AT: Table | None = None
"""The table of kinds that nobody designed columns for: the server shows the name and when the object was created."""


def name(object: Object) -> str:
    """The cell of the NAME column."""
    return str(object["metadata"].get("name", ""))


def age(object: Object, now: float) -> str:
    """The cell of the AGE column: `5d3h`, or unknown when the object was never stored."""
    return since(object["metadata"].get("creationTimestamp"), now)


def since(timestamp: str | None, now: float) -> str:
    """How long ago a moment was, as people read it."""
    if not timestamp:
        return UNKNOWN
    return times.age(now - times.parse(timestamp))


def joined(values: list[str], shown: int = 3) -> str:
    """The first few values, and how many more there are."""
    if len(values) <= shown:
        return ",".join(values)
    return f"{','.join(values[:shown])} + {len(values) - shown} more..."
