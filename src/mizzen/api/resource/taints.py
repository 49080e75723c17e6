"""Taints of devices, who tolerates them, and the conditions on which a device is bound."""

from collections.abc import Iterator

from mizzen.api.resource import identifiers
from mizzen.api.rules import fields
from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, Object, invalid, not_supported, required

CONDITION_LIMIT = 4
EFFECTS = ("NoExecute", "NoSchedule", "None")


def taint_errors(path: str, taint: Object, old: Object | None = None) -> Iterator[FieldError]:
    """An effect that was stored is not looked at again."""
    yield from fields.qualified_name(f"{path}.key", taint.get("key") or "")
    yield from fields.matches(f"{path}.value", taint.get("value") or "", names.label_value)
    effect = taint.get("effect") or ""
    if old is not None and (old.get("effect") or "") == effect:
        return
    if not effect:
        yield required(f"{path}.effect")
    elif effect not in EFFECTS:
        yield not_supported(f"{path}.effect", effect, EFFECTS)


def toleration_errors(path: str, tolerations: list[Object] | None) -> Iterator[FieldError]:
    for i, toleration in enumerate(tolerations or ()):
        yield from _toleration_errors(f"{path}[{i}]", toleration)


def _toleration_errors(path: str, toleration: Object) -> Iterator[FieldError]:
    if key := toleration.get("key"):
        yield from fields.qualified_name(f"{path}.key", key)
    value = toleration.get("value") or ""
    match toleration.get("operator") or "":
        case "Exists":
            if value:
                yield invalid(f"{path}.value", value, "must be empty for operator `Exists`")
        case "Equal":
            yield from fields.matches(f"{path}.value", value, names.label_value)
        case "":
            yield required(f"{path}.operator")
        case operator:
            yield not_supported(f"{path}.operator", operator, ("Equal", "Exists"))
    effect = toleration.get("effect")
    if effect and effect not in EFFECTS:
        yield not_supported(f"{path}.effect", effect, EFFECTS)


def binding_errors(path: str, holder: Object) -> Iterator[FieldError]:
    """Conditions to wait for, and those to give up at: both or neither."""
    ready, failed = holder.get("bindingConditions") or [], holder.get("bindingFailureConditions") or []
    for field, given in (("bindingConditions", ready), ("bindingFailureConditions", failed)):
        yield from identifiers.unique(f"{path}.{field}", given, CONDITION_LIMIT, fields.qualified_name)
    for i, condition in enumerate(failed):
        if condition in ready:
            detail = "bindingFailureConditions must not overlap with bindingConditions"
            yield invalid(f"{path}.bindingFailureConditions[{i}]", condition, detail)
    if failed and not ready:
        detail = "bindingConditions are required to use bindingFailureConditions"
        yield invalid(f"{path}.bindingConditions", ready, detail)
    if ready and not failed:
        detail = "bindingFailureConditions are required to use bindingConditions"
        yield invalid(f"{path}.bindingFailureConditions", failed, detail)
