"""LimitRange (core/v1): bounds and defaults of resources for each container, pod or claim of a namespace."""

from collections.abc import Iterator

from mizzen.api.kind import Kind
from mizzen.api.rules import fields, resources
from mizzen.machinery import names, quantity
from mizzen.machinery.errors import FieldError, Object, duplicate, forbidden, invalid, required

_TYPES = ("Pod", "Container", "PersistentVolumeClaim")
_ORDER = (
    ("min", "max", "min", "min value {low} is greater than max value {high}"),
    ("min", "defaultRequest", "defaultRequest", "min value {low} is greater than default request value {high}"),
    ("defaultRequest", "max", "defaultRequest", "default request value {low} is greater than max value {high}"),
    (
        "defaultRequest",
        "default",
        "defaultRequest",
        "default request value {low} is greater than default limit value {high}",
    ),
    ("min", "default", "default", "min value {low} is greater than default value {high}"),
    ("default", "max", "default", "default value {low} is greater than max value {high}"),
)
"""Which bound may not exceed which, where that is reported, and how."""


def default(limits: Object) -> None:
    """For containers, the maximum is the default limit, and the default limit or the minimum the default request."""
    spec = limits["spec"] = limits.get("spec") or {}
    spec["limits"] = spec.get("limits") or None
    for limit in spec["limits"] or ():
        if limit.get("type") != "Container":
            continue
        of_limits = {**(limit.get("max") or {}), **(limit.get("default") or {})}
        of_requests = {**(limit.get("min") or {}), **of_limits, **(limit.get("defaultRequest") or {})}
        if of_limits:
            limit["default"] = of_limits
        if of_requests:
            limit["defaultRequest"] = of_requests


def validate(limits: Object, _old: Object | None) -> Iterator[FieldError]:
    seen = set()
    for i, limit in enumerate(limits["spec"].get("limits") or ()):
        path = f"spec.limits[{i}]"
        type_ = limit.get("type") or ""
        yield from fields.matches(f"{path}.type", type_, names.qualified_name)
        if type_ and "/" not in type_ and type_ not in _TYPES:
            yield invalid(f"{path}.type", type_, "must be a standard limit type or fully qualified")
        if type_ in seen:
            yield duplicate(f"{path}.type", type_)
        seen.add(type_)
        yield from _limit_errors(path, limit, type_)


def _limit_errors(path: str, limit: Object, type_: str) -> Iterator[FieldError]:
    for field in ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio"):
        amounts = limit.get(field) or {}
        if amounts and type_ == "Pod" and field in {"default", "defaultRequest"}:
            yield forbidden(f"{path}.{field}", "may not be specified when `type` is 'Pod'")
            continue
        for name in amounts:
            at = f"{path}.{field}[{name}]"
            if type_ in {"Pod", "Container"}:
                yield from resources.container_name_errors(at, name)
            else:
                yield from resources.name_errors(at, name)
    if type_ == "PersistentVolumeClaim" and not any("storage" in (limit.get(side) or {}) for side in ("min", "max")):
        detail = "either minimum or maximum storage value is required, but neither was provided"
        yield required(f"{path}.limits", detail)
    named = {
        name
        for field in ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
        for name in limit.get(field) or ()
    }
    for name in sorted(named):
        yield from _order_errors(path, limit, name, type_)


def _order_errors(path: str, limit: Object, name: str, type_: str) -> Iterator[FieldError]:
    for lower, upper, blamed, text in _ORDER:
        if type_ == "Pod" and "default" in f"{lower}{upper}".lower():
            continue
        low, high = (limit.get(lower) or {}).get(name), (limit.get(upper) or {}).get(name)
        if low is not None and high is not None and quantity.compare(low, high) > 0:
            value = (limit.get(blamed) or {}).get(name)
            yield invalid(f"{path}.{blamed}[{name}]", value, text.format(low=low, high=high))
    ratio = (limit.get("maxLimitRequestRatio") or {}).get(name)
    low, high = (limit.get("min") or {}).get(name), (limit.get("max") or {}).get(name)
    at = f"{path}.maxLimitRequestRatio[{name}]"
    if ratio is not None and quantity.compare(ratio, "1") < 0:
        yield invalid(at, ratio, f"ratio {ratio} is less than 1")
    if ratio is not None and low is not None and high is not None and quantity.parse(low).nanos > 0:
        most = quantity.parse(high).nanos / quantity.parse(low).nanos
        if quantity.parse(ratio).nanos / quantity.NANO > most:
            yield invalid(at, ratio, f"ratio {ratio} is greater than max/min = {most:f}")
    given, asked = (limit.get("default") or {}).get(name), (limit.get("defaultRequest") or {}).get(name)
    if given is None or asked is None or resources.is_overcommittable(name):
        return
    if quantity.compare(given, asked):
        detail = f"default value {given} must equal to defaultRequest value {asked} in {name}"
        yield invalid(f"{path}.defaultRequest[{name}]", asked, detail)


LIMIT_RANGE = Kind(
    group="",
    version="v1",
    kind="LimitRange",
    plural="limitranges",
    namespaced=True,
    singular="limitrange",
    short_names=("limits",),
    default=default,
    validate=validate,
    compares_metadata=0,
    create_on_update=True,
)
