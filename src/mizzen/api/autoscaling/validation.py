"""What a HorizontalPodAutoscaler must satisfy; in v2 form, in which it is stored.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v2/
"""

from collections.abc import Iterator

from mizzen.api.rules import fields, resources
from mizzen.machinery import labels, names, quantity
from mizzen.machinery.errors import FieldError, Object, forbidden, invalid, not_supported, required

_TYPES = ("ContainerResource", "External", "Object", "Pods", "Resource")
_SOURCES = {
    "object": "Object",
    "external": "External",
    "pods": "Pods",
    "resource": "Resource",
    "containerResource": "ContainerResource",
}
"""A metric's source by the type that it belongs to, in the order in which they are looked at."""
_LONGEST_WINDOW = 3600
_LONGEST_PERIOD = 1800
_NO_ZERO = "must specify at least one Object or External metric to support scaling to zero replicas"
_RAW_OR_SHARE = "must set either a target raw value or a target utilization"


def spec_errors(spec: Object) -> Iterator[FieldError]:
    least, most = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    if least is not None and least < 0:
        yield invalid("spec.minReplicas", least, "must be greater than or equal to 0")
    if most < 1:
        yield invalid("spec.maxReplicas", most, "must be greater than 0")
    if least is not None and most < least:
        yield invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    yield from _reference_errors("spec.scaleTargetRef", spec.get("scaleTargetRef") or {})
    for i, metric in enumerate(spec.get("metrics") or ()):
        yield from _metric_errors(f"spec.metrics[{i}]", metric)
    if least == 0 and not any(metric.get("type") in ("Object", "External") for metric in spec.get("metrics") or ()):
        yield forbidden("spec.metrics", _NO_ZERO)
    for field in ("scaleUp", "scaleDown"):
        if (rules := (spec.get("behavior") or {}).get(field)) is not None:
            yield from _rules_errors(f"spec.behavior.{field}", rules)


def status_errors(status: Object) -> Iterator[FieldError]:
    for field in ("currentReplicas", "desiredReplicas"):
        yield from fields.not_negative(f"status.{field}", status.get(field))


def _reference_errors(path: str, reference: Object) -> Iterator[FieldError]:
    for field in ("kind", "name"):
        if not (value := reference.get(field)):
            yield required(f"{path}.{field}")
        else:
            yield from fields.matches(f"{path}.{field}", value, names.path_segment)


def _metric_errors(path: str, metric: Object) -> Iterator[FieldError]:
    type_ = metric.get("type") or ""
    if not type_:
        yield required(f"{path}.type", "must specify a metric source type")
    if type_ not in _TYPES:
        yield not_supported(f"{path}.type", type_, _TYPES)
    present = [source for source in _SOURCES if metric.get(source) is not None]
    if present:
        yield from _CHECKS[present[0]](f"{path}.{present[0]}", metric[present[0]])
    own = next((source for source, of in _SOURCES.items() if of == type_), "")
    if not own:
        yield not_supported(f"{path}.type", type_, _TYPES)
    elif own not in present:
        yield required(f"{path}.{own}", "must populate information for the given metric source")
    if len(present) != 1:
        for source in present:
            if source != own:
                yield forbidden(f"{path}.{source}", "must populate the given metric source only")


def _object_errors(path: str, source: Object) -> Iterator[FieldError]:
    target = source.get("target") or {}
    yield from _reference_errors(f"{path}.describedObject", source.get("describedObject") or {})
    yield from _identifier_errors(f"{path}.metric", source.get("metric") or {})
    yield from _target_errors(f"{path}.target", target)
    if target.get("value") is None and target.get("averageValue") is None:
        yield required(f"{path}.target.averageValue", "must set either a target value or averageValue")


def _external_errors(path: str, source: Object) -> Iterator[FieldError]:
    target = source.get("target") or {}
    yield from _identifier_errors(f"{path}.metric", source.get("metric") or {})
    yield from _target_errors(f"{path}.target", target)
    if target.get("value") is None and target.get("averageValue") is None:
        detail = "must set either a target value for metric or a per-pod target"
        yield required(f"{path}.target.averageValue", detail)
    if target.get("value") is not None and target.get("averageValue") is not None:
        yield forbidden(f"{path}.target.value", "may not set both a target value for metric and a per-pod target")


def _pods_errors(path: str, source: Object) -> Iterator[FieldError]:
    target = source.get("target") or {}
    yield from _identifier_errors(f"{path}.metric", source.get("metric") or {})
    yield from _target_errors(f"{path}.target", target)
    if target.get("averageValue") is None:
        yield required(f"{path}.target.averageValue", "must specify a positive target averageValue")


def _container_errors(path: str, source: Object) -> Iterator[FieldError]:
    if resource := source.get("name"):
        yield from resources.container_name_errors(f"{path}.name", resource)
    if container := source.get("container"):
        yield from fields.label(f"{path}.container", container)
    else:
        yield required(f"{path}.container", "must specify a container")
    yield from _resource_errors(path, source)


def _resource_errors(path: str, source: Object) -> Iterator[FieldError]:
    target = source.get("target") or {}
    if not source.get("name"):
        yield required(f"{path}.name", "must specify a resource name")
    yield from _target_errors(f"{path}.target", target)
    share, raw = target.get("averageUtilization"), target.get("averageValue")
    if share is None and raw is None:
        yield required(f"{path}.target.averageUtilization", _RAW_OR_SHARE)
    if share is not None and raw is not None:
        detail = "may not set both a target raw value and a target utilization"
        yield forbidden(f"{path}.target.averageValue", detail)


_CHECKS = {
    "object": _object_errors,
    "external": _external_errors,
    "pods": _pods_errors,
    "resource": _resource_errors,
    "containerResource": _container_errors,
}


def _identifier_errors(path: str, metric: Object) -> Iterator[FieldError]:
    if not (name := metric.get("name")):
        yield required(f"{path}.name", "must specify a metric name")
    else:
        yield from fields.matches(f"{path}.name", name, names.path_segment)
    yield from labels.validate_selector(metric.get("selector"), f"{path}.selector")


def _target_errors(path: str, target: Object) -> Iterator[FieldError]:
    type_ = target.get("type") or ""
    if not type_:
        yield required(f"{path}.type", "must specify a metric target type")
    if type_ not in {"Utilization", "Value", "AverageValue"}:
        yield invalid(f"{path}.type", type_, "must be either Utilization, Value, or AverageValue")
    for field in ("value", "averageValue"):
        if (amount := target.get(field)) is not None and quantity.parse(amount).nanos <= 0:
            yield invalid(f"{path}.{field}", amount, "must be positive")
    if (share := target.get("averageUtilization")) is not None and share < 1:
        yield invalid(f"{path}.averageUtilization", share, "must be greater than 0")


def _rules_errors(path: str, rules: Object) -> Iterator[FieldError]:
    if (window := rules.get("stabilizationWindowSeconds")) is not None:
        if window < 0:
            yield invalid(f"{path}.stabilizationWindowSeconds", window, "must be greater than or equal to zero")
        elif window > _LONGEST_WINDOW:
            detail = f"must be less than or equal to {_LONGEST_WINDOW}"
            yield invalid(f"{path}.stabilizationWindowSeconds", window, detail)
    if (select := rules.get("selectPolicy")) is not None and select not in {"Disabled", "Max", "Min"}:
        yield not_supported(f"{path}.selectPolicy", select, ("Disabled", "Max", "Min"))
    tolerance = rules.get("tolerance")
    if tolerance is not None and quantity.parse(tolerance).nanos < 0:
        yield invalid(f"{path}.tolerance", tolerance, "must be greater or equal to 0")
    policies = rules.get("policies")
    if not policies:
        yield required(f"{path}.policies", "must specify at least one Policy")
    for i, policy in enumerate(policies or ()):
        at = f"{path}.policies[{i}]"
        if (type_ := policy.get("type") or "") not in {"Percent", "Pods"}:
            yield not_supported(f"{at}.type", type_, ("Percent", "Pods"))
        if (value := policy.get("value") or 0) <= 0:
            yield invalid(f"{at}.value", value, "must be greater than zero")
        if (period := policy.get("periodSeconds") or 0) <= 0:
            yield invalid(f"{at}.periodSeconds", period, "must be greater than zero")
        elif period > _LONGEST_PERIOD:
            yield invalid(f"{at}.periodSeconds", period, f"must be less than or equal to {_LONGEST_PERIOD}")
