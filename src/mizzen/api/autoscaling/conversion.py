"""Between the two versions of HorizontalPodAutoscaler: what v1 has no field for stands in its annotations.

Stored is v2. A metric in an annotation has the flat form of older versions: `{"metricName": …, "targetValue": …}`.
"""

from typing import Any

import orjson

from mizzen.machinery.errors import Object

METRICS = "autoscaling.alpha.kubernetes.io/metrics"
BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
CURRENT_METRICS = "autoscaling.alpha.kubernetes.io/current-metrics"
CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
_ANNOTATIONS = frozenset((METRICS, BEHAVIOR, CURRENT_METRICS, CONDITIONS))
_SOURCES = {
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
    "ContainerResource": "containerResource",
    "External": "external",
}
_CPU_SHARE = 80


def to_v2(autoscaler: Object) -> Object:
    """A v1 autoscaler as v2."""
    metadata = dict(autoscaler["metadata"])
    kept = metadata.get("annotations") or {}
    hidden = {key: _read(kept[key]) for key in _ANNOTATIONS & kept.keys()}
    _set_annotations(metadata, {key: value for key, value in kept.items() if key not in _ANNOTATIONS})
    spec = dict(autoscaler.get("spec") or {})
    share = spec.pop("targetCPUUtilizationPercentage", None)
    metrics = [_nested(metric, "target") for metric in hidden.get(METRICS) or ()]
    if share is None and not metrics:
        share = _CPU_SHARE
    if share is not None:
        target = {"type": "Utilization", "averageUtilization": share}
        metrics.insert(0, {"type": "Resource", "resource": {"name": "cpu", "target": target}})
    spec["metrics"] = metrics
    if hidden.get(BEHAVIOR):
        spec["behavior"] = hidden[BEHAVIOR]
    return {
        **autoscaler,
        "apiVersion": "autoscaling/v2",
        "metadata": metadata,
        "spec": spec,
        "status": _status_to_v2(autoscaler.get("status") or {}, hidden),
    }


def _status_to_v2(status: Object, hidden: dict[str, Any]) -> Object:
    status = dict(status)
    share = status.pop("currentCPUUtilizationPercentage", None)
    current = [_nested(metric, "current") for metric in hidden.get(CURRENT_METRICS) or ()]
    if share is not None:
        known = next((metric for metric in current if _cpu(metric, "current") is not None), None)
        if known is None:
            known = {"type": "Resource", "resource": {"name": "cpu", "current": {}}}
            current.insert(0, known)
        known["resource"]["current"]["averageUtilization"] = share
    status["currentMetrics"] = current or None
    if hidden.get(CONDITIONS):
        status["conditions"] = hidden[CONDITIONS]
    status.setdefault("desiredReplicas", 0)
    return status


def to_v1(autoscaler: Object) -> Object:
    """A v2 autoscaler as v1."""
    metadata, spec = dict(autoscaler["metadata"]), dict(autoscaler.get("spec") or {})
    status = dict(autoscaler.get("status") or {})
    hidden: dict[str, Any] = {}
    others = []
    for metric in spec.pop("metrics", None) or ():
        share = _cpu(metric, "target")
        if share is not None and "targetCPUUtilizationPercentage" not in spec:
            spec["targetCPUUtilizationPercentage"] = share
        else:
            others.append(_flat(metric, "target"))
    hidden[METRICS] = others
    hidden[BEHAVIOR] = spec.pop("behavior", None)
    current = status.pop("currentMetrics", None) or ()
    for metric in current:
        share = _cpu(metric, "current")
        if share is not None:
            status.setdefault("currentCPUUtilizationPercentage", share)
    hidden[CURRENT_METRICS] = [_flat(metric, "current") for metric in current]
    hidden[CONDITIONS] = status.pop("conditions", None)
    status.setdefault("currentReplicas", 0)
    status.setdefault("desiredReplicas", 0)
    shown = {key: orjson.dumps(value).decode() for key, value in hidden.items() if value}
    _set_annotations(metadata, {**(metadata.get("annotations") or {}), **shown})
    return {**autoscaler, "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status}


def _set_annotations(metadata: Object, annotations: dict[str, str]) -> None:
    if annotations:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)


def _read(text: str) -> Any:
    """An annotation's value; what cannot be read counts as nothing."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _cpu(metric: Object, side: str) -> int | None:
    resource = metric.get("resource") or {}
    if metric.get("type") != "Resource" or resource.get("name") != "cpu":
        return None
    share: int | None = (resource.get(side) or {}).get("averageUtilization")
    return share


def _flat(metric: Object, side: str) -> Object:
    """A metric, or its current value, in the older form."""
    source = _SOURCES.get(metric.get("type") or "", "")
    of = metric.get(source) or {}
    amounts, identity = of.get(side) or {}, of.get("metric") or {}
    flat: Object = {}
    if source == "object":
        flat["target"] = of.get("describedObject") or {}
        flat["metricName"] = identity.get("name")
        flat[f"{side}Value"] = amounts.get("value") or "0"
        flat["selector"], flat["averageValue"] = identity.get("selector"), amounts.get("averageValue")
    elif source == "pods":
        flat["metricName"], flat[f"{side}AverageValue"] = identity.get("name"), amounts.get("averageValue")
        flat["selector"] = identity.get("selector")
    elif source == "external":
        flat["metricName"], flat["metricSelector"] = identity.get("name"), identity.get("selector")
        flat[f"{side}Value"], flat[f"{side}AverageValue"] = amounts.get("value"), amounts.get("averageValue")
    else:
        flat["name"], flat["container"] = of.get("name"), of.get("container")
        flat[f"{side}AverageUtilization"] = amounts.get("averageUtilization")
        flat[f"{side}AverageValue"] = amounts.get("averageValue")
    if side == "current" and source in {"resource", "containerResource", "pods"}:
        flat["currentAverageValue"] = amounts.get("averageValue") or "0"
    return {"type": metric.get("type"), source: {key: value for key, value in flat.items() if value is not None}}


def _nested(metric: Object, side: str) -> Object:
    """A metric, or its current value, from the older form."""
    source = _SOURCES.get(metric.get("type") or "", "")
    flat = metric.get(source) or {}
    upper = f"{side}Value"
    amounts = {
        "value": flat.get(upper),
        "averageValue": flat.get(f"{side}AverageValue") or (flat.get("averageValue") if source == "object" else None),
        "averageUtilization": flat.get(f"{side}AverageUtilization"),
    }
    if source == "object" and amounts["averageValue"] is not None:
        amounts["value"] = None
    present: Object = {key: value for key, value in amounts.items() if value is not None}
    if side == "target":
        kinds = {"averageUtilization": "Utilization", "averageValue": "AverageValue", "value": "Value"}
        present["type"] = next((kind for field, kind in kinds.items() if field in present), "")
    of: Object = {side: present}
    if source in {"resource", "containerResource"}:
        of.update({key: flat[key] for key in ("name", "container") if flat.get(key)})
    else:
        selector = flat.get("metricSelector") or flat.get("selector")
        of["metric"] = {"name": flat.get("metricName") or "", **({"selector": selector} if selector else {})}
    if source == "object":
        of["describedObject"] = flat.get("target") or {}
    return {"type": metric.get("type"), source: of}
