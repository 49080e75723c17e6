"""Lease (coordination.k8s.io/v1): who holds a lock, and since when it was last heard of."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.machinery.errors import FieldError, Object, forbidden, invalid, not_supported

_STRATEGY = "OldestEmulationVersion"


def default(lease: Object) -> None:
    lease["spec"] = lease.get("spec") or {}


def validate(lease: Object, _old: Object | None) -> Iterator[FieldError]:
    spec = lease["spec"]
    if (seconds := spec.get("leaseDurationSeconds")) is not None and seconds <= 0:
        yield invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0")
    if (transitions := spec.get("leaseTransitions")) is not None and transitions < 0:
        yield invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0")
    strategy = spec.get("strategy")
    if strategy is not None and "/" not in strategy and strategy != _STRATEGY:
        yield not_supported("spec.strategy", strategy, (_STRATEGY,))
    if spec.get("preferredHolder") and not strategy:
        yield forbidden("spec.preferredHolder", "may only be specified when `strategy` is defined")


def _row(lease: Object, now: float) -> list[object]:
    return [name(lease), (lease.get("spec") or {}).get("holderIdentity") or "", age(lease, now)]


LEASE = Kind(
    group="coordination.k8s.io",
    version="v1",
    kind="Lease",
    plural="leases",
    namespaced=True,
    singular="lease",
    default=default,
    validate=validate,
    bare_finalizers=True,
    revalidates_metadata=0,
    create_on_update=True,
    unconditional_update=False,
    table=Table(columns=(NAME, Column("Holder"), AGE), row=_row),
)
