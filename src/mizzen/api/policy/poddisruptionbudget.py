"""PodDisruptionBudget (policy/v1): how many pods may be taken away on purpose at a time."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.rules import conditions, workloads
from mizzen.machinery import labels, names
from mizzen.machinery.errors import FieldError, Object, invalid, not_supported

_POLICIES = ("AlwaysAllow", "IfHealthyBudget")
_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")


def default(budget: Object) -> None:
    budget["spec"] = budget.get("spec") or {}
    budget["status"] = budget.get("status") or {}
    conditions.fill(budget["status"])
    workloads.fill(budget["status"], dict.fromkeys(_COUNTS, 0))


def prepare(budget: Object, old: Object | None) -> None:
    workloads.keep_status(budget, old, dict.fromkeys(_COUNTS, 0))


def validate(budget: Object, _old: Object | None) -> Iterator[FieldError]:
    spec = budget["spec"]
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        yield invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set")
    for field in ("minAvailable", "maxUnavailable"):
        if (value := spec.get(field)) is not None:
            yield from workloads.number_or_percent_errors(f"spec.{field}", value)
            yield from workloads.at_most_all_errors(f"spec.{field}", value)
    yield from labels.validate_selector(spec.get("selector"), "spec.selector")
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in _POLICIES:
        yield not_supported("spec.unhealthyPodEvictionPolicy", policy, _POLICIES)


def validate_status(budget: Object, _old: Object | None) -> Iterator[FieldError]:
    status = budget.get("status") or {}
    yield from workloads.not_negative("status", status, *_COUNTS)
    yield from conditions.condition_errors("status.conditions", status.get("conditions") or ())


def _row(budget: Object, now: float) -> list[object]:
    spec, status = budget["spec"], budget.get("status") or {}
    bounds = [spec.get("minAvailable"), spec.get("maxUnavailable")]
    return [
        name(budget),
        *("N/A" if bound is None else str(bound) for bound in bounds),
        status.get("disruptionsAllowed") or 0,
        age(budget, now),
    ]


POD_DISRUPTION_BUDGET = Kind(
    group="policy",
    version="v1",
    kind="PodDisruptionBudget",
    plural="poddisruptionbudgets",
    namespaced=True,
    singular="poddisruptionbudget",
    short_names=("pdb",),
    check_name=names.path_segment,
    default=default,
    prepare=prepare,
    validate=validate,
    bare_finalizers=True,
    revalidates_metadata=0,
    compares_metadata=0,
    has_status=True,
    validate_status=validate_status,
    has_generation=True,
    unconditional_update=False,
    table=Table(
        columns=(
            NAME,
            Column("Min Available"),
            Column("Max Unavailable"),
            Column("Allowed Disruptions", type="integer"),
            AGE,
        ),
        row=_row,
    ),
)
