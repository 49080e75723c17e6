"""DeviceClass (resource.k8s.io/v1): a kind of device, by what its devices have in common."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Kind, Table
from mizzen.api.resource import devices
from mizzen.api.rules import resources
from mizzen.machinery.errors import FieldError, Object, invalid


def default(class_: Object) -> None:
    class_.setdefault("spec", {})


def validate(class_: Object, old: Object | None) -> Iterator[FieldError]:
    spec = class_.get("spec") or {}
    yield from devices.selector_errors("spec.selectors", spec.get("selectors") or [])
    yield from devices.config_errors("spec.config", spec.get("config") or [], None)
    extended = spec.get("extendedResourceName")
    if extended is not None and not resources.is_extended(extended):
        yield invalid("spec.extendedResourceName", extended, "must be a valid extended resource name")


DEVICE_CLASS = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="DeviceClass",
    plural="deviceclasses",
    namespaced=False,
    singular="deviceclass",
    default=default,
    validate=validate,
    has_generation=True,
    table=Table(columns=(NAME, AGE), row=lambda class_, now: [name(class_), age(class_, now)]),
)
