"""Requests for devices, as claims, claim templates and device classes make them.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/
"""

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from mizzen.api.resource import identifiers, taints
from mizzen.api.rules import expressions, fields
from mizzen.machinery import quantity
from mizzen.machinery.errors import Cause, FieldError, Object, duplicate, invalid, not_supported, required, too_long

LIMIT = 32
SUBREQUEST_LIMIT = 8
EXPRESSION_LIMIT = 10 << 10
PARAMETER_LIMIT = 10 << 10
MODES = ("All", "ExactCount")
_ONE_KIND = "exactly one of `exactly` or `firstAvailable` is required"
_ONE_ATTRIBUTE = 'exactly one of "matchAttribute" or "distinctAttribute" is required'
_A_REQUEST = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"


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
    requests, known = devices.get("requests") or [], request_names(spec)
    yield from limited(f"{path}.devices.requests", requests)
    if len(requests) <= LIMIT:
        yield from _requests_errors(f"{path}.devices.requests", requests)
    constraints = devices.get("constraints") or []
    yield from limited(f"{path}.devices.constraints", constraints)
    for i, constraint in enumerate(constraints if len(constraints) <= LIMIT else ()):
        yield from _constraint_errors(f"{path}.devices.constraints[{i}]", constraint, known)
    yield from config_errors(f"{path}.devices.config", devices.get("config") or [], known)


def request_names(spec: Object) -> set[str]:
    """The requests of a claim, and with a slash the choices of each."""
    known: set[str] = set()
    for request in (spec.get("devices") or {}).get("requests") or ():
        name = request.get("name") or ""
        known.add(name)
        known.update(f"{name}/{inner.get('name') or ''}" for inner in request.get("firstAvailable") or ())
    return known


def limited(path: str, values: Sequence[Any], limit: int = LIMIT) -> Iterator[FieldError]:
    if len(values) > limit:
        yield FieldError(Cause.TOO_MANY, path, len(values), f"must have at most {limit} items")


def _requests_errors(path: str, requests: list[Object]) -> Iterator[FieldError]:
    for i, request in enumerate(requests):
        yield from _request_errors(f"{path}[{i}]", request)
    yield from _names_twice(path, requests)


def _names_twice(path: str, requests: list[Object]) -> Iterator[FieldError]:
    seen: set[str] = set()
    for i, request in enumerate(requests):
        name = request.get("name") or ""
        if name in seen:
            yield duplicate(f"{path}[{i}]", name)
        seen.add(name)


def _request_errors(path: str, request: Object) -> Iterator[FieldError]:
    yield from fields.label(f"{path}.name", request.get("name") or "")
    exactly, choices = request.get("exactly"), request.get("firstAvailable") or []
    if exactly is None and not choices:
        yield required(path, _ONE_KIND)
    elif exactly is not None and choices:
        yield invalid(path, None, f"{_ONE_KIND}, but multiple fields are set")
    elif exactly is not None:
        yield from _wanted_errors(f"{path}.exactly", exactly)
    elif len(choices) > SUBREQUEST_LIMIT:
        yield from limited(f"{path}.firstAvailable", choices, SUBREQUEST_LIMIT)
    else:
        for i, choice in enumerate(choices):
            yield from fields.label(f"{path}.firstAvailable[{i}].name", choice.get("name") or "")
            yield from _wanted_errors(f"{path}.firstAvailable[{i}]", choice)
        yield from _names_twice(f"{path}.firstAvailable", choices)


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
    yield from taints.toleration_errors(f"{path}.tolerations", wanted.get("tolerations"))
    for name, amount in ((wanted.get("capacity") or {}).get("requests") or {}).items():
        if quantity.parse(amount).nanos < 0:
            yield invalid(f"{path}.capacity.requests[{name}]", str(amount), "must be greater than or equal to 0")


def selector_errors(path: str, selectors: list[Object]) -> Iterator[FieldError]:
    yield from limited(path, selectors)
    for i, selector in enumerate(selectors if len(selectors) <= LIMIT else ()):
        cel = selector.get("cel")
        if cel is None:
            yield required(f"{path}[{i}].cel")
            continue
        expression = cel.get("expression") or ""
        if len(expression) > EXPRESSION_LIMIT:
            yield too_long(f"{path}[{i}].cel.expression", EXPRESSION_LIMIT)
        else:
            yield from expressions.errors(f"{path}[{i}].cel.expression", expression, ("device",))


def _constraint_errors(path: str, constraint: Object, known: set[str]) -> Iterator[FieldError]:
    yield from _references_errors(f"{path}.requests", constraint, known)
    for field in ("matchAttribute", "distinctAttribute"):
        if (attribute := constraint.get(field)) is not None:
            yield from identifiers.fully_qualified(f"{path}.{field}", attribute)
            return
    yield required(path, _ONE_ATTRIBUTE)


def config_errors(
    path: str, configs: list[Object], requests: set[str] | None, limit: int = LIMIT
) -> Iterator[FieldError]:
    """Configuration for drivers; `requests` are those that it may be for."""
    yield from limited(path, configs, limit)
    for i, config in enumerate(configs if len(configs) <= limit else ()):
        where = f"{path}[{i}]"
        if requests is not None:
            yield from _references_errors(f"{where}.requests", config, requests)
        opaque = config.get("opaque")
        if opaque is None:
            yield required(f"{where}.opaque")
            continue
        yield from identifiers.some_driver(f"{where}.opaque.driver", opaque.get("driver"))
        yield from parameter_errors(f"{where}.opaque.parameters", opaque.get("parameters"), PARAMETER_LIMIT)


def parameter_errors(path: str, parameters: Any, limit: int) -> Iterator[FieldError]:
    """Any object of JSON, if it is not too large."""
    if parameters is None:
        yield required(path)
    elif len(orjson.dumps(parameters)) > limit:
        yield too_long(path, limit)
    elif not isinstance(parameters, dict):
        yield invalid(path, "<value omitted>", "must be a valid JSON object")


def _references_errors(path: str, holder: Object, known: set[str]) -> Iterator[FieldError]:
    given: list[str] = holder.get("requests") or []
    yield from identifiers.unique(path, given, LIMIT, lambda where, name: reference_errors(where, name, known))


def reference_errors(path: str, name: str, known: set[str]) -> Iterator[FieldError]:
    """The name of a request, or of a choice within one."""
    parts = name.split("/")
    if len(parts) > 2:
        yield invalid(path, name, _A_REQUEST)
        return
    for part in parts:
        yield from fields.label(path, part)
    if name not in known:
        yield invalid(path, name, _A_REQUEST)
