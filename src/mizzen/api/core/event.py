"""Event (core/v1): what happened to an object; the same objects as those of events.k8s.io, in older words."""

from collections.abc import Callable, Iterator

from mizzen.api.columns import since
from mizzen.api.core.event_validation import legacy_errors
from mizzen.api.kind import Column, Kind, Table
from mizzen.machinery.errors import FieldError, Object


def default(event: Object) -> None:
    """Older clients expect these to be there, if only as null."""
    event["involvedObject"] = event.get("involvedObject") or {}
    event["source"] = event.get("source") or {}
    for field in ("firstTimestamp", "lastTimestamp", "eventTime"):
        event.setdefault(field, None)
    for field in ("reportingComponent", "reportingInstance"):
        event[field] = event.get(field) or ""


def validate(event: Object, _old: Object | None) -> Iterator[FieldError]:
    return legacy_errors(event, "reportingComponent")


def row(event: Object, now: float) -> list[object]:
    involved = event.get("involvedObject") or {}
    series = event.get("series")
    first = event.get("firstTimestamp") or event.get("eventTime")
    last = event.get("lastTimestamp") or first
    count = event.get("count") or 1
    if series is not None:
        last, count = series.get("lastObservedTime") or last, series.get("count") or 0
    kind = (involved.get("kind") or "").lower()
    named = f"{kind}/{involved.get('name') or ''}" if involved.get("name") else kind
    return [
        since(last, now),
        event.get("type") or "",
        event.get("reason") or "",
        named,
        involved.get("fieldPath") or "",
        _source(event),
        (event.get("message") or "").strip(),
        since(first, now),
        count,
        event["metadata"].get("name") or "",
    ]


def _source(event: Object) -> str:
    source = event.get("source") or {}
    component = source.get("component") or event.get("reportingComponent") or ""
    host = source.get("host") or event.get("reportingInstance") or ""
    return f"{component}, {host}" if host else component


def references(holder: str) -> dict[str, Callable[[Object], str]]:
    """Field selectors on the object that events are about, which stands in the field `holder`."""

    def of(field: str) -> Callable[[Object], str]:
        return lambda event: str((event.get(holder) or {}).get(field) or "")

    return {f"{holder}.{field}": of(field) for field in REFERENCE_FIELDS}


def component(event: Object) -> str:
    return (event.get("source") or {}).get("component") or event.get("reportingComponent") or ""


COLUMNS = (
    Column("Last Seen"),
    Column("Type"),
    Column("Reason"),
    Column("Object"),
    Column("Subobject", priority=1),
    Column("Source", priority=1),
    Column("Message"),
    Column("First Seen", priority=1),
    Column("Count", priority=1),
    Column("Name", format="name", priority=1),
)
REFERENCE_FIELDS = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")

EVENT = Kind(
    group="",
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
        **references("involvedObject"),
        "reason": lambda event: event.get("reason") or "",
        "reportingComponent": lambda event: event.get("reportingComponent") or "",
        "source": component,
        "type": lambda event: event.get("type") or "",
    },
    table=Table(columns=COLUMNS, row=row),
)
