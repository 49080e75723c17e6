"""DeviceTaintRule (resource.k8s.io/v1): a taint for all devices that match."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Kind, Table
from mizzen.api.resource import devices
from mizzen.api.rules import fields
from mizzen.machinery.errors import FieldError, Object


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
    if selector.get("driver") is not None:
        yield from devices.driver_errors("spec.deviceSelector.driver", selector["driver"])
    if selector.get("device") is not None:
        yield from fields.label("spec.deviceSelector.device", selector["device"])
    for segment in selector["pool"].split("/") if selector.get("pool") is not None else ():
        yield from fields.subdomain("spec.deviceSelector.pool", segment)
    yield from devices.taint_errors("spec.taint", spec.get("taint") or {})


DEVICE_TAINT_RULE = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="DeviceTaintRule",
    plural="devicetaintrules",
    namespaced=False,
    singular="devicetaintrule",
    prepare=prepare,
    validate=validate,
    has_status=True,
    has_generation=True,
    table=Table(columns=(NAME, AGE), row=lambda rule, now: [name(rule), age(rule, now)]),
)
