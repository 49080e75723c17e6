"""PriorityClass (scheduling.k8s.io/v1): a name for how important a pod is."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.rules.fields import IMMUTABLE
from mizzen.machinery.errors import FieldError, Object, forbidden, invalid, not_supported, required

HIGHEST_OF_USERS = 1_000_000_000
SYSTEM_PREFIX = "system-"
SYSTEM_CLASSES = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}
_POLICIES = ("PreemptLowerPriority", "Never")


def default(priority: Object) -> None:
    priority.setdefault("value", 0)
    if not priority.get("preemptionPolicy"):
        priority["preemptionPolicy"] = "PreemptLowerPriority"


def prepare(priority: Object, old: Object | None) -> None:
    """A class is always of the first generation: what matters of it cannot change."""
    if old is None:
        priority["metadata"]["generation"] = 1


def validate(priority: Object, old: Object | None) -> Iterator[FieldError]:
    value, policy = priority.get("value") or 0, priority.get("preemptionPolicy")
    if old is not None:
        if value != (old.get("value") or 0):
            yield forbidden("value", "may not be changed in an update.")
        if policy != old.get("preemptionPolicy"):
            yield invalid("preemptionPolicy", policy, IMMUTABLE)
        return
    own = priority["metadata"].get("name") or ""
    if own.startswith(SYSTEM_PREFIX):
        if SYSTEM_CLASSES.get(own) != value or priority.get("globalDefault"):
            detail = "priority class names with 'system-' prefix are reserved for system use only"
            yield forbidden("metadata.name", detail)
    elif value > HIGHEST_OF_USERS:
        detail = f"maximum allowed value of a user defined priority is {HIGHEST_OF_USERS}"
        yield forbidden("value", detail)
    if not policy:
        yield required("preemptionPolicy", "must be 'PreemptLowerPriority' or 'Never'")
    elif policy not in _POLICIES:
        yield not_supported("preemptionPolicy", policy, _POLICIES)


def _row(priority: Object, now: float) -> list[object]:
    return [
        name(priority),
        priority.get("value") or 0,
        bool(priority.get("globalDefault")),
        age(priority, now),
    ]


PRIORITY_CLASS = Kind(
    group="scheduling.k8s.io",
    version="v1",
    kind="PriorityClass",
    plural="priorityclasses",
    namespaced=False,
    singular="priorityclass",
    short_names=("pc",),
    default=default,
    prepare=prepare,
    validate=validate,
    revalidates_metadata=0,
    table=Table(
        columns=(NAME, Column("Value", type="integer"), Column("Global-Default", type="boolean"), AGE), row=_row
    ),
)
