"""What an Event must satisfy: little in core/v1, more in events.k8s.io/v1; events are in core form here."""

from collections.abc import Iterator

from mizzen.api.rules import fields
from mizzen.api.rules.equality import same
from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, Object, invalid, required

_SHORT = 128
_NOTE = 1024
_FROZEN = (
    ("involvedObject", "involvedObject"),
    ("reason", "reason"),
    ("action", "action"),
    ("related", "related"),
    ("message", "message"),
    ("type", "type"),
    ("source", "source"),
    ("firstTimestamp", "firstTimestamp"),
    ("lastTimestamp", "lastTimestamp"),
    ("count", "count"),
    ("reportingComponent", "reportingController"),
    ("reportingInstance", "reportingInstance"),
    ("eventTime", "eventTime"),
)
"""Fields in core form that an update by events.k8s.io may not change, and the names they are reported by."""
_NO_MATCH = "does not match event.namespace"


def legacy_errors(event: Object, controller: str) -> Iterator[FieldError]:
    """What holds of every event; `controller` is what the served version calls the reporting component."""
    own = event["metadata"].get("namespace") or ""
    of_object = (event.get("involvedObject") or {}).get("namespace") or ""
    path = "involvedObject.namespace"
    if not event.get("eventTime"):
        if own != of_object and not (not of_object and own == "default"):
            yield invalid(path, of_object, _NO_MATCH)
        return
    if not of_object and own not in {"default", "kube-system"}:
        yield invalid(path, of_object, _NO_MATCH)
    if not (reporter := event.get("reportingComponent")):
        yield required(controller)
    yield from fields.matches(controller, reporter or "", names.qualified_name)
    for field in ("reportingInstance", "action", "reason"):
        value = event.get(field) or ""
        if not value:
            yield required(field)
        elif len(value) > _SHORT:
            yield invalid(field, "", f"can have at most {_SHORT} characters")
    if len(event.get("message") or "") > _NOTE:
        yield invalid("message", "", f"can have at most {_NOTE} characters")


def create_errors(event: Object) -> Iterator[FieldError]:
    """What events.k8s.io asks of a new event."""
    yield from legacy_errors(event, "reportingController")
    yield from _series_errors(event)
    if not event.get("eventTime"):
        yield required("eventTime")
    if event.get("type") not in {"Normal", "Warning"}:
        yield invalid("type", "", f"has invalid value: {event.get('type') or ''}")
    for field in ("firstTimestamp", "lastTimestamp", "count"):
        if event.get(field):
            yield invalid(field, "", "needs to be unset")
    source = event.get("source") or {}
    if source.get("component") or source.get("host"):
        yield invalid("source", "", "needs to be unset")


def update_errors(event: Object, old: Object) -> Iterator[FieldError]:
    """An event of events.k8s.io may only be counted on, as part of a series."""
    yield from _series_errors(event)
    for field, shown in _FROZEN:
        if not same(event.get(field), old.get(field)):
            yield invalid(shown, event.get(field), fields.IMMUTABLE)


def _series_errors(event: Object) -> Iterator[FieldError]:
    series = event.get("series")
    if series is None:
        return
    if (series.get("count") or 0) < 2:
        yield invalid("series.count", "", "should be at least 2")
    if not series.get("lastObservedTime"):
        yield required("series.lastObservedTime")
