"""DeviceTaintRule (resource.k8s.io/v1): a taint for all devices that match."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Kind, Table
from mizzen.api.resource import identifiers, taints
from mizzen.api.rules import conditions, fields
from mizzen.machinery.errors import FieldError, Object, too_many

CONDITION_LIMIT = 8


def default(rule: Object) -> None:
    conditions.fill(rule.get("status"))


def prepare(rule: Object, old: Object | None) -> None:
    """A taint is dated when it comes and whenever its effect changes, unless the client says when."""
    rule["status"] = {} if old is None else old.get("status") or {}
    taint = (rule.get("spec") or {}).get("taint") or {}
    created = rule["metadata"].get("creationTimestamp")
    if old is None and taint and not taint.get("timeAdded") and created:
        taint["timeAdded"] = created


def validate(rule: Object, old: Object | None) -> Iterator[FieldError]:
    spec = rule.get("spec") or {}
    selector = spec.get("deviceSelector") or {}
    if (driver := selector.get("driver")) is not None:
        yield from identifiers.driver("spec.deviceSelector.driver", driver)
    if (pool := selector.get("pool")) is not None:
        yield from identifiers.pool("spec.deviceSelector.pool", pool)
    if (device := selector.get("device")) is not None:
        yield from fields.label("spec.deviceSelector.device", device)
    stored = None if old is None else (old.get("spec") or {}).get("taint") or {}
    yield from taints.taint_errors("spec.taint", spec.get("taint") or {}, stored)


def validate_status(rule: Object, _old: Object | None) -> Iterator[FieldError]:
    told = (rule.get("status") or {}).get("conditions") or []
    yield from conditions.condition_errors("status.conditions", told)
    if len(told) > CONDITION_LIMIT:
        yield too_many("status.conditions", CONDITION_LIMIT)


DEVICE_TAINT_RULE = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="DeviceTaintRule",
    plural="devicetaintrules",
    namespaced=False,
    singular="devicetaintrule",
    default=default,
    prepare=prepare,
    validate=validate,
    has_status=True,
    validate_status=validate_status,
    has_generation=True,
    table=Table(columns=(NAME, AGE), row=lambda rule, now: [name(rule), age(rule, now)]),
)
