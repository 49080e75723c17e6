"""Lease (coordination.k8s.io/v1): who holds a lock, and since when it was last heard of."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.rules import fields
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
    if strategy is not None:
        yield from _strategy_errors("spec.strategy.strategy", strategy)
    if spec.get("preferredHolder") and not strategy:
        yield forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined")


def _strategy_errors(path: str, strategy: str) -> Iterator[FieldError]:
    """One that is known, or one with a domain; the path has the field twice, as clients know it."""
    if "/" in strategy:
        yield from fields.qualified_name(path, strategy)
    elif strategy != _STRATEGY:
        yield not_supported(path, strategy, (_STRATEGY,))


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
