"""VolumeAttributesClass (storage.k8s.io/v1): attributes of a volume that may change while it is in use."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.rules import parameters
from mizzen.api.storage import storageclass
from mizzen.machinery.errors import FieldError, Object, forbidden, required


def validate(class_: Object, old: Object | None) -> Iterator[FieldError]:
    """On update the class is looked at twice, as clients know it from the causes."""
    errors = list(_errors(class_))
    yield from errors
    if old is None:
        return
    for field in ("driverName", "parameters"):
        if (class_.get(field) or None) != (old.get(field) or None):
            yield forbidden(field, f"updates to {field} are forbidden.")
    yield from errors


def _errors(class_: Object) -> Iterator[FieldError]:
    yield from storageclass.driver_errors("driverName", class_.get("driverName") or "")
    given = class_.get("parameters") or {}
    if not given:
        yield required("parameters", "must contain at least one key/value pair")
    yield from parameters.errors("parameters", given)


VOLUME_ATTRIBUTES_CLASS = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="VolumeAttributesClass",
    plural="volumeattributesclasses",
    namespaced=False,
    singular="volumeattributesclass",
    short_names=("vac",),
    validate=validate,
    revalidates_metadata=2,
    returns_deleted=True,
    table=Table(
        columns=(NAME, Column("DriverName"), AGE),
        row=lambda class_, now: [name(class_), class_.get("driverName", ""), age(class_, now)],
    ),
)
