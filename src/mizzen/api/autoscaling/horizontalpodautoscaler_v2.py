"""HorizontalPodAutoscaler (autoscaling/v2): more or fewer pods, by metrics."""

from collections.abc import Iterator

from mizzen.api.autoscaling.validation import spec_errors, status_errors
from mizzen.api.columns import AGE, NAME, NONE, UNKNOWN, UNSET, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.rules import workloads
from mizzen.machinery.errors import FieldError, Object

CPU_SHARE = 80
_PERIOD = 15
_SHOWN = 2
_SOURCES = {
    "External": "external",
    "Pods": "pods",
    "Object": "object",
    "Resource": "resource",
    "ContainerResource": "containerResource",
}


def default(autoscaler: Object) -> None:
    spec = autoscaler["spec"] = autoscaler.get("spec") or {}
    workloads.fill(spec, {"minReplicas": 1})
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": CPU_SHARE}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    if (behavior := spec.get("behavior")) is not None:
        behavior["scaleUp"] = behavior.get("scaleUp") or {}
        behavior["scaleDown"] = behavior.get("scaleDown") or {}
        _default_up(behavior["scaleUp"])
        _default_down(behavior["scaleDown"])
    status = autoscaler["status"] = autoscaler.get("status") or {}
    workloads.fill_conditions(status, "lastTransitionTime")
    status.setdefault("desiredReplicas", 0)
    status.setdefault("currentMetrics", None)


def _default_up(rules: Object) -> None:
    policies = [
        {"type": "Pods", "value": 4, "periodSeconds": _PERIOD},
        {"type": "Percent", "value": 100, "periodSeconds": _PERIOD},
    ]
    workloads.fill(rules, {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": policies})


def _default_down(rules: Object) -> None:
    policies = [{"type": "Percent", "value": 100, "periodSeconds": _PERIOD}]
    workloads.fill(rules, {"selectPolicy": "Max", "policies": policies})


def prepare(autoscaler: Object, old: Object | None) -> None:
    workloads.keep_status(autoscaler, old, {"desiredReplicas": 0, "currentMetrics": None})


def validate(autoscaler: Object, _old: Object | None) -> Iterator[FieldError]:
    return spec_errors(autoscaler["spec"])


def validate_status(autoscaler: Object, _old: Object | None) -> Iterator[FieldError]:
    return status_errors(autoscaler.get("status") or {})


def row(autoscaler: Object, now: float) -> list[object]:
    spec, status = autoscaler["spec"], autoscaler.get("status") or {}
    target = spec.get("scaleTargetRef") or {}
    least = spec.get("minReplicas")
    return [
        name(autoscaler),
        f"{target.get('kind') or ''}/{target.get('name') or ''}",
        _targets(spec.get("metrics") or [], status.get("currentMetrics") or []),
        UNSET if least is None else str(least),
        spec.get("maxReplicas") or 0,
        status.get("currentReplicas") or 0,
        age(autoscaler, now),
    ]


def _targets(metrics: list[Object], current: list[Object]) -> str:
    if not metrics:
        return NONE
    shown = [_target(metric, current[i] if i < len(current) else {}) for i, metric in enumerate(metrics)]
    if len(shown) > _SHOWN:
        return f"{', '.join(shown[:_SHOWN])} + {len(shown) - _SHOWN} more..."
    return ", ".join(shown)


def _target(metric: Object, status: Object) -> str:
    """Now and wanted, as `cpu: 20%/80%` or `300Mi/500Mi`."""
    source = _SOURCES.get(metric.get("type") or "")
    if source is None:
        return "<unknown type>"
    wanted = (metric.get(source) or {}).get("target") or {}
    now = (status.get(source) or {}).get("current") or {}
    if source in {"resource", "containerResource"} and wanted.get("averageValue") is None:
        share = now.get("averageUtilization")
        goal = wanted.get("averageUtilization")
        text = f"{UNKNOWN if share is None else f'{share}%'}/{'<auto>' if goal is None else f'{goal}%'}"
        return f"{metric[source].get('name')}: {text}"
    if wanted.get("averageValue") is not None:
        text = f"{now.get('averageValue') or UNKNOWN}/{wanted['averageValue']}"
        if source in {"resource", "containerResource"}:
            return f"{metric[source].get('name')}: {text}"
        return f"{text} (avg)" if source in {"external", "object"} else text
    return f"{now.get('value') or UNKNOWN}/{wanted.get('value') or ''}"


TABLE = Table(
    columns=(
        NAME,
        Column("Reference"),
        Column("Targets"),
        Column("MinPods"),
        Column("MaxPods"),
        Column("Replicas"),
        AGE,
    ),
    row=row,
)

HORIZONTAL_POD_AUTOSCALER_V2 = Kind(
    group="autoscaling",
    version="v2",
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
    table=TABLE,
)
