"""ControllerRevision (apps/v1): one immutable snapshot of what a controller rolled out."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, NONE, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.rules import workloads
from mizzen.api.rules.fields import IMMUTABLE
from mizzen.machinery.errors import FieldError, Object, invalid, qualified, required


def default(revision: Object) -> None:
    revision.setdefault("revision", 0)


def validate(revision: Object, old: Object | None) -> Iterator[FieldError]:
    if revision.get("data") is None:
        yield required("data", "data is mandatory")
    yield from workloads.not_negative("", revision, "revision")
    if old is not None and revision.get("data") != old.get("data"):
        yield invalid("data", revision.get("data"), IMMUTABLE)


def _row(revision: Object, now: float) -> list[object]:
    owners = revision["metadata"].get("ownerReferences") or ()
    owner = next((one for one in owners if one.get("controller")), None)
    shown = NONE
    if owner is not None:
        group = owner["apiVersion"].rpartition("/")[0]
        shown = f"{qualified(owner['kind'].lower(), group)}/{owner['name']}"
    return [name(revision), shown, revision.get("revision") or 0, age(revision, now)]


CONTROLLER_REVISION = Kind(
    group="apps",
    version="v1",
    kind="ControllerRevision",
    plural="controllerrevisions",
    namespaced=True,
    singular="controllerrevision",
    default=default,
    validate=validate,
    table=Table(columns=(NAME, Column("Controller"), Column("Revision"), AGE), row=_row),
)
