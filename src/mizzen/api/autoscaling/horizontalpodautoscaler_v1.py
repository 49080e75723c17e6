"""HorizontalPodAutoscaler (autoscaling/v1): the older form, which knows the CPU alone."""

from collections.abc import Iterator

from mizzen.api.autoscaling import horizontalpodautoscaler_v2 as v2
from mizzen.api.autoscaling.conversion import METRICS, to_v1, to_v2
from mizzen.api.autoscaling.validation import spec_errors, status_errors
from mizzen.api.kind import Kind, Table
from mizzen.api.rules import workloads
from mizzen.machinery.errors import FieldError, Object


def default(autoscaler: Object) -> None:
    spec = autoscaler["spec"] = autoscaler.get("spec") or {}
    workloads.fill(spec, {"minReplicas": 1})
    annotations = autoscaler["metadata"].get("annotations") or {}
    if METRICS not in annotations:
        workloads.fill(spec, {"targetCPUUtilizationPercentage": v2.CPU_SHARE})
    status = autoscaler["status"] = autoscaler.get("status") or {}
    workloads.fill(status, {"currentReplicas": 0, "desiredReplicas": 0})


def prepare(autoscaler: Object, old: Object | None) -> None:
    workloads.keep_status(autoscaler, old, {"currentReplicas": 0, "desiredReplicas": 0})


def validate(autoscaler: Object, _old: Object | None) -> Iterator[FieldError]:
    return spec_errors(to_v2(autoscaler)["spec"])


def validate_status(autoscaler: Object, _old: Object | None) -> Iterator[FieldError]:
    return status_errors(autoscaler.get("status") or {})


def _row(autoscaler: Object, now: float) -> list[object]:
    return v2.row(to_v2(autoscaler), now)


HORIZONTAL_POD_AUTOSCALER_V1 = Kind(
    group="autoscaling",
    version="v1",
    kind="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    namespaced=True,
    singular="horizontalpodautoscaler",
    short_names=("hpa",),
    categories=("all",),
    default=default,
    prepare=prepare,
    validate=validate,
    revalidates_metadata=0,
    has_status=True,
    validate_status=validate_status,
    table=Table(columns=v2.TABLE.columns, row=_row),
    to_stored=to_v2,
    from_stored=to_v1,
)
