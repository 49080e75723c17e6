"""What a driver says of each device that it offers."""

import re
from collections.abc import Iterator

from mizzen.api.resource import devices, identifiers, taints
from mizzen.api.rules import fields, node_selector
from mizzen.machinery import quantity
from mizzen.machinery.errors import FieldError, Object, duplicate, forbidden, invalid, required, too_long, too_many

ATTRIBUTE_LIMIT = 32
VALUE_COUNT_LIMIT = 48
VALUE_LIMIT = 64
TAINT_LIMIT = 16
CONSUMPTION_LIMIT = 2
COUNTER_LIMIT = 32
OPTION_LIMIT = 10
_LISTS = ("bools", "ints", "strings", "versions")
_VALUES = ("bool", "int", "string", "version", *_LISTS)
_ONE_VALUE = "exactly one value must be specified"
_ONE_PLACE = (
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true "
    "in the ResourceSlice spec"
)
_semver = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?",
    re.ASCII,
).fullmatch


def is_advanced(device: Object) -> bool:
    """Whether a slice with the device may hold fewer of them."""
    values = (device.get("attributes") or {}).values()
    listed = any(value.get(field) is not None for value in values for field in _LISTS)
    return bool(device.get("taints") or device.get("consumesCounters") or listed)


def device_errors(path: str, device: Object, *, placed: bool) -> Iterator[FieldError]:
    """`placed`: each device says itself which nodes reach it."""
    yield from fields.label(f"{path}.name", device.get("name") or "")
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    if (count := len(attributes) + len(capacity)) > ATTRIBUTE_LIMIT:
        detail = f"the total number of attributes and capacities must not exceed {ATTRIBUTE_LIMIT}"
        yield invalid(path, count, detail)
    count = sum(sum(len(value.get(field) or ()) for field in _LISTS) or 1 for value in attributes.values())
    if count > VALUE_COUNT_LIMIT:
        yield invalid(path, count, f"the total number of attribute values must not exceed {VALUE_COUNT_LIMIT}")
    for key, value in attributes.items():
        yield from identifiers.qualified(f"{path}.attributes", key)
        yield from _attribute_errors(f"{path}.attributes[{key}]", value)
    for key, entry in capacity.items():
        yield from identifiers.qualified(f"{path}.capacity", key)
        where = f"{path}.capacity[{key}].requestPolicy"
        if (policy := entry.get("requestPolicy")) is None:
            continue
        if device.get("allowMultipleAllocations"):
            yield from _policy_errors(where, policy, entry.get("value") or "0")
        else:
            yield forbidden(where, "allowMultipleAllocations must be true")
    yield from devices.limited(f"{path}.taints", device.get("taints") or [], TAINT_LIMIT)
    for i, taint in enumerate((device.get("taints") or [])[:TAINT_LIMIT]):
        yield from taints.taint_errors(f"{path}.taints[{i}]", taint)
    yield from counter_errors(f"{path}.consumesCounters", device.get("consumesCounters") or [], CONSUMPTION_LIMIT)
    yield from _place_errors(path, device, placed=placed)
    yield from taints.binding_errors(path, device)


def _attribute_errors(path: str, value: Object) -> Iterator[FieldError]:
    given = [field for field in _VALUES if value.get(field) is not None]
    for field in given:
        if field in _LISTS and not value[field]:
            yield invalid(f"{path}.{field}", value[field], "must not be empty if specified")
    for field in ("string", "version"):
        if value.get(field) is not None:
            yield from _text_errors(f"{path}.{field}", value[field], field)
        for i, text in enumerate(value.get(f"{field}s") or ()):
            yield from _text_errors(f"{path}.{field}s[{i}]", text, field)
    if len(given) != 1:
        yield invalid(path, value or "", _ONE_VALUE)


def _text_errors(path: str, text: str, kind: str) -> Iterator[FieldError]:
    if kind == "version" and not _semver(text):
        yield invalid(path, text, "must be a string compatible with semver.org spec 2.0.0")
    if len(text.encode()) > VALUE_LIMIT:
        yield too_long(path, VALUE_LIMIT)


def _policy_errors(path: str, policy: Object, whole: str) -> Iterator[FieldError]:
    """How much of a capacity may be asked for at a time."""
    options, span = policy.get("validValues") or [], policy.get("validRange")
    if options and span is not None:
        yield forbidden(path, "exactly one policy can be specified: `validValues` or `validRange`")
    elif (options or span is not None) and policy.get("default") is None:
        yield required(f"{path}.default", f"required when {'validValues' if options else 'validRange'} is defined")
    elif options:
        yield from _option_errors(f"{path}.validValues", options, policy["default"], whole)
    elif span is not None:
        yield from _span_errors(f"{path}.validRange", span, policy["default"], whole)


def _option_errors(path: str, options: list[str], default: str, whole: str) -> Iterator[FieldError]:
    amounts, most = [_nanos(option) for option in options], _nanos(whole)
    for i, amount in enumerate(amounts):
        if i and amounts[i - 1] > amount:
            yield invalid(f"{path}[{i}]", options[i], "values must be sorted in ascending order")
    if len(options) > OPTION_LIMIT:
        yield too_many(path, OPTION_LIMIT)
    else:
        for i, amount in enumerate(amounts):
            if amount > most:
                yield invalid(f"{path}[{i}]", options[i], f"option is larger than capacity value: {whole}")
            if amount in amounts[:i]:
                yield duplicate(f"{path}[{i}]", options[i])
        if _nanos(default) in amounts:
            return
    yield invalid(path, default, "default value is not valid according to the requestPolicy")


def _span_errors(path: str, span: Object, default: str, whole: str) -> Iterator[FieldError]:
    least, most, step = span.get("min"), span.get("max"), span.get("step")
    if least is None:
        yield required(f"{path}.min", "required when validRange is defined")
        return
    if _nanos(least) > _nanos(whole):
        yield invalid(f"{path}.min", least, f"min is larger than capacity value: {whole}")
    if _nanos(default) < _nanos(least):
        yield invalid(f"{path}.default", default, f"default is less than min: {least}")
    if most is not None:
        if _nanos(least) > _nanos(most):
            yield invalid(f"{path}.max", least, f"min is larger than max: {most}")
        if _nanos(most) > _nanos(whole):
            yield invalid(f"{path}.max", most, f"max is larger than capacity value: {whole}")
        if _nanos(default) > _nanos(most):
            yield invalid(f"{path}.default", default, f"default is more than max: {most}")
    if step is None:
        return
    if _nanos(step) <= 0:
        yield invalid(f"{path}.step", step, "must be greater than zero")
        return
    if _nanos(least) + _nanos(step) > _nanos(whole):
        yield invalid(f"{path}.step", step, f"one step from {least} is larger than capacity value: {whole}")
    for value in (default, most):
        if value is not None and (_nanos(value) - _nanos(least)) % _nanos(step):
            yield invalid(f"{path}.step", value, f"value is not a multiple of a given step ({step}) from ({least})")


def _nanos(amount: str) -> int:
    return quantity.parse(amount).nanos


def counter_errors(path: str, sets: list[Object], limit: int, named: str = "counterSet") -> Iterator[FieldError]:
    """Counters that devices share, or that one consumes of them; `named` is the field with the name of a set."""
    yield from devices.limited(path, sets, limit)
    if len(sets) > limit:
        return
    seen: set[str] = set()
    for i, counters in enumerate(sets):
        where, name = f"{path}[{i}]", counters.get(named) or ""
        if name:
            yield from fields.label(f"{where}.{named}", name)
        else:
            yield required(f"{where}.{named}")
        amounts = counters.get("counters") or {}
        if not amounts:
            yield required(f"{where}.counters")
        if len(amounts) > COUNTER_LIMIT:
            yield too_many(f"{where}.counters", COUNTER_LIMIT)
        else:
            for counter in amounts:
                yield from fields.label(f"{where}.counters", counter)
        if name in seen:
            yield duplicate(where, name)
        seen.add(name)


def _place_errors(path: str, device: Object, *, placed: bool) -> Iterator[FieldError]:
    node, selector, everywhere = (device.get(field) for field in ("nodeName", "nodeSelector", "allNodes"))
    if not placed:
        if any(place is not None for place in (node, selector, everywhere)):
            fields_ = "`nodeName`, `nodeSelector` and `allNodes`"
            detail = f"{fields_} can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec"
            yield invalid(path, None, detail)
        return
    if node:
        yield from fields.subdomain(f"{path}.nodeName", node)
    elif node is not None:
        yield invalid(f"{path}.nodeName", node, "must not be empty")
    if selector is not None:
        yield from node_selector.errors(f"{path}.nodeSelector", selector)
    if everywhere is False:
        yield invalid(f"{path}.allNodes", everywhere, "must be either unset or set to true")
    given = [place for place in (node, selector, everywhere) if place or place == {}]
    if not given:
        yield required(path, _ONE_PLACE)
    elif len(given) > 1:
        yield invalid(path, "", _ONE_PLACE)
