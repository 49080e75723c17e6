"""Event (events.k8s.io/v1): the same objects as core Events, in newer words."""

from collections.abc import Iterator

from mizzen.api.core import event as core
from mizzen.api.core.event_validation import create_errors, update_errors
from mizzen.api.kind import Kind, Table
from mizzen.machinery.errors import FieldError, Object

_NAMES = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
"""The newer name of a field, and the older one it is stored by."""
_OLDER = {older: newer for newer, older in _NAMES.items()}


def default(event: Object) -> None:
    event["deprecatedSource"] = event.get("deprecatedSource") or {}
    event["regarding"] = event.get("regarding") or {}
    for field in ("eventTime", "deprecatedFirstTimestamp", "deprecatedLastTimestamp"):
        event.setdefault(field, None)


def to_stored(event: Object) -> Object:
    """The event as core/v1 has it."""
    stored = {_NAMES.get(field, field): value for field, value in event.items()}
    stored.update(apiVersion="v1", kind="Event")
    core.default(stored)
    return stored


def from_stored(event: Object) -> Object:
    """The event as events.k8s.io has it; what is not set there stays away."""
    served = {_OLDER.get(field, field): value for field, value in event.items()}
    served.update(apiVersion="events.k8s.io/v1", kind="Event")
    for field in ("reportingController", "reportingInstance"):
        if not served.get(field):
            served.pop(field, None)
    return served


def validate(event: Object, old: Object | None) -> Iterator[FieldError]:
    if old is None:
        return create_errors(to_stored(event))
    return update_errors(to_stored(event), to_stored(old))


def _row(event: Object, now: float) -> list[object]:
    return core.row(to_stored(event), now)


EVENT = Kind(
    group="events.k8s.io",
    version="v1",
    kind="Event",
    plural="events",
    namespaced=True,
    singular="event",
    short_names=("ev",),
    default=default,
    validate=validate,
    create_on_update=True,
    selectable={
        **core.references("regarding"),
        "reason": lambda event: event.get("reason") or "",
        "reportingController": lambda event: event.get("reportingController") or "",
        "type": lambda event: event.get("type") or "",
    },
    table=Table(columns=core.COLUMNS, row=_row),
    stored_as="events",
    to_stored=to_stored,
    from_stored=from_stored,
)
