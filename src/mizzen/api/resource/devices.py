"""Requests for devices, as claims, claim templates and device classes make them.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/
"""

from collections.abc import Iterator, Sequence
from typing import Any

from mizzen.api.rules import expressions, fields
from mizzen.machinery import names, quantity
from mizzen.machinery.errors import Cause, FieldError, Object, duplicate, invalid, not_supported, required, too_long

LIMIT = 32
SUBREQUEST_LIMIT = 8
EXPRESSION_LIMIT = 10 << 10
PARAMETER_LIMIT = 10 << 10
MODES = ("All", "ExactCount")
EFFECTS = ("NoExecute", "NoSchedule", "None")
_ONE_KIND = "exactly one of `exactly` or `firstAvailable` is required"


def default_claim(spec: Object) -> None:
    for request in (spec.get("devices") or {}).get("requests") or ():
        for wanted in (request.get("exactly"), *(request.get("firstAvailable") or ())):
            if wanted is not None:
                _default_wanted(wanted)


def _default_wanted(wanted: Object) -> None:
    if not wanted.get("allocationMode"):
        wanted["allocationMode"] = "ExactCount"
    if wanted["allocationMode"] == "ExactCount" and not wanted.get("count"):
        wanted["count"] = 1
    for toleration in wanted.get("tolerations") or ():
        if not toleration.get("operator"):
            toleration["operator"] = "Equal"


def claim_errors(path: str, spec: Object) -> Iterator[FieldError]:
    """What must hold of a claim's spec, wherever it stands."""
    devices = spec.get("devices") or {}
    requests = devices.get("requests") or []
    yield from limited(f"{path}.devices.requests", requests)
    known: set[str] = set()
    for i, request in enumerate(requests):
        where, name = f"{path}.devices.requests[{i}]", request.get("name") or ""
        yield from _request_errors(where, request)
        if name in known:
            yield duplicate(f"{where}.name", name)
        known.add(name)
        known.update(f"{name}/{inner.get('name') or ''}" for inner in request.get("firstAvailable") or ())
    constraints = devices.get("constraints") or []
    yield from limited(f"{path}.devices.constraints", constraints)
    for i, constraint in enumerate(constraints):
        where = f"{path}.devices.constraints[{i}]"
        yield from _reference_errors(f"{where}.requests", constraint, known)
        attributes = [f for f in ("matchAttribute", "distinctAttribute") if constraint.get(f) is not None]
        if not attributes:
            yield required(where, "exactly one of: `matchAttribute`, `distinctAttribute` is required")
        for field in attributes:
            yield from _full_name_errors(f"{where}.{field}", constraint[field])
    yield from config_errors(f"{path}.devices.config", devices.get("config") or [], known)


def limited(path: str, values: Sequence[Any], limit: int = LIMIT) -> Iterator[FieldError]:
    if len(values) > limit:
        yield FieldError(Cause.TOO_MANY, path, len(values), f"must have at most {limit} items")


def _request_errors(path: str, request: Object) -> Iterator[FieldError]:
    yield from _name_errors(f"{path}.name", request.get("name"))
    exactly, choices = request.get("exactly"), request.get("firstAvailable") or []
    if exactly is None and not choices:
        yield required(path, _ONE_KIND)
    elif exactly is not None and choices:
        yield invalid(path, None, _ONE_KIND)
    if exactly is not None:
        yield from _wanted_errors(f"{path}.exactly", exactly)
    yield from limited(f"{path}.firstAvailable", choices, SUBREQUEST_LIMIT)
    seen: set[str] = set()
    for i, choice in enumerate(choices):
        where, name = f"{path}.firstAvailable[{i}]", choice.get("name") or ""
        yield from _name_errors(f"{where}.name", name)
        if name in seen:
            yield duplicate(f"{where}.name", name)
        seen.add(name)
        yield from _wanted_errors(where, choice)


def _name_errors(path: str, name: str | None) -> Iterator[FieldError]:
    if name:
        yield from fields.label(path, name)
    else:
        yield required(path)


def _wanted_errors(path: str, wanted: Object) -> Iterator[FieldError]:
    class_ = wanted.get("deviceClassName")
    if class_:
        yield from fields.subdomain(f"{path}.deviceClassName", class_)
    else:
        yield required(f"{path}.deviceClassName")
    yield from selector_errors(f"{path}.selectors", wanted.get("selectors") or [])
    mode, count = wanted.get("allocationMode"), wanted.get("count") or 0
    match mode:
        case "All":
            if count:
                yield invalid(f"{path}.count", count, "must not be specified when allocationMode is 'All'")
        case "ExactCount":
            if count <= 0:
                yield invalid(f"{path}.count", count, "must be greater than zero")
        case _:
            yield not_supported(f"{path}.allocationMode", mode or "", MODES)
    for i, toleration in enumerate(wanted.get("tolerations") or ()):
        yield from _toleration_errors(f"{path}.tolerations[{i}]", toleration)
    for name, amount in ((wanted.get("capacity") or {}).get("requests") or {}).items():
        if quantity.parse(amount).nanos < 0:
            yield invalid(f"{path}.capacity.requests[{name}]", str(amount), "must be greater than or equal to 0")


def _toleration_errors(path: str, toleration: Object) -> Iterator[FieldError]:
    key, value = toleration.get("key"), toleration.get("value") or ""
    if key:
        yield from fields.qualified_name(f"{path}.key", key)
    match toleration.get("operator"):
        case "Exists":
            if value:
                yield invalid(f"{path}.value", value, "must be empty for operator `Exists`")
        case "Equal":
            if not key:
                yield required(f"{path}.key", "must not be empty for operator `Equal`")
            yield from fields.matches(f"{path}.value", value, names.label_value)
        case operator:
            yield not_supported(f"{path}.operator", operator or "", ("Equal", "Exists"))
    effect = toleration.get("effect")
    if effect and effect not in EFFECTS[:2]:
        yield not_supported(f"{path}.effect", effect, EFFECTS[:2])


def selector_errors(path: str, selectors: list[Object]) -> Iterator[FieldError]:
    yield from limited(path, selectors)
    for i, selector in enumerate(selectors):
        cel = selector.get("cel")
        if cel is None:
            yield required(f"{path}[{i}].cel")
            continue
        expression = cel.get("expression") or ""
        if len(expression) > EXPRESSION_LIMIT:
            yield too_long(f"{path}[{i}].cel.expression", EXPRESSION_LIMIT)
        else:
            yield from expressions.errors(f"{path}[{i}].cel.expression", expression, ("device",))


def config_errors(path: str, configs: list[Object], requests: set[str] | None) -> Iterator[FieldError]:
    """Configuration for drivers; `requests` are those that it may be for."""
    yield from limited(path, configs)
    for i, config in enumerate(configs):
        where = f"{path}[{i}]"
        if requests is not None:
            yield from _reference_errors(f"{where}.requests", config, requests)
        opaque = config.get("opaque")
        if opaque is None:
            yield required(f"{where}.opaque", "must specify one of: `opaque`")
            continue
        yield from driver_errors(f"{where}.opaque.driver", opaque.get("driver"))
        parameters = opaque.get("parameters")
        if not parameters:
            yield required(f"{where}.opaque.parameters")
        elif not isinstance(parameters, dict):
            yield invalid(f"{where}.opaque.parameters", parameters, "must be a valid JSON object")


def driver_errors(path: str, driver: str | None) -> Iterator[FieldError]:
    """A driver is named like a domain of at most 63 characters."""
    if not driver:
        yield required(path)
        return
    if len(driver) > 63:
        yield too_long(path, 63)
    yield from fields.subdomain(path, driver)


def _reference_errors(path: str, holder: Object, known: set[str]) -> Iterator[FieldError]:
    given: list[str] = holder.get("requests") or []
    yield from limited(path, given)
    for i, name in enumerate(given):
        if name not in known:
            detail = (
                "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
            )
            yield invalid(f"{path}[{i}]", name, detail)
        if name in given[:i]:
            yield duplicate(f"{path}[{i}]", name)


def _full_name_errors(path: str, name: str) -> Iterator[FieldError]:
    """`domain/identifier`."""
    domain, slash, identifier = name.rpartition("/")
    if not name:
        yield required(path)
        return
    if not slash:
        yield invalid(path, name, "must include a domain")
    else:
        yield from driver_errors(path, domain)
    if identifier:
        yield from fields.matches(path, identifier, names.c_identifier)


def taint_errors(path: str, taint: Object) -> Iterator[FieldError]:
    if taint.get("key"):
        yield from fields.qualified_name(f"{path}.key", taint["key"])
    else:
        yield required(f"{path}.key")
    yield from fields.matches(f"{path}.value", taint.get("value") or "", names.label_value)
    yield from fields.one_of(f"{path}.effect", taint.get("effect"), EFFECTS)
