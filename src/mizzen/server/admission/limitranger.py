"""LimitRanger: requests and limits that a namespace's LimitRanges give by default, and the bounds they set.

Ref: https://kubernetes.io/docs/concepts/policy/limit-range/
"""

from collections.abc import Iterator, Mapping
from typing import Final

from mizzen.api.core.limitrange import LIMIT_RANGE
from mizzen.api.kind import Kind
from mizzen.machinery import quantity
from mizzen.machinery.errors import Object
from mizzen.machinery.quantity import Quantity
from mizzen.server.admission import podresources
from mizzen.server.admission.plugin import WRITES, Plugin, refusal
from mizzen.server.seams import Admission, Operation, Reader

ANNOTATION: Final = "kubernetes.io/limit-ranger"
Amounts = Mapping[str, Quantity]


class LimitRanger(Plugin):
    """Applies the LimitRanges of the object's namespace to pods and claims."""

    name = "LimitRanger"
    operations = WRITES
    resources = frozenset({("", "pods"), ("", "persistentvolumeclaims")})
    subresources = frozenset({"", "resize"})

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def handles(self, operation: Operation, kind: Kind, subresource: str) -> bool:
        # A pod's resources change by the resize subresource alone.
        if kind.plural == "pods" and (operation == "UPDATE") != (subresource == "resize"):
            return False
        return super().handles(operation, kind, subresource)

    def mutate(self, admission: Admission) -> None:
        if admission.kind.plural != "pods" or admission.operation != "CREATE" or admission.object is None:
            return
        for limits in self._reader.list(LIMIT_RANGE, admission.namespace):
            _fill_in(admission.object, limits)

    def validate(self, admission: Admission) -> None:
        if admission.object is None or _is_ending(admission.object):
            return
        for limits in self._reader.list(LIMIT_RANGE, admission.namespace):
            problems = [
                problem
                for limit in limits["spec"].get("limits") or ()
                for problem in _problems(admission.kind.plural, admission.object, limit)
            ]
            if problems:
                raise refusal(admission, problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")


def _is_ending(obj: Object) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def _fill_in(pod: Object, limits: Object) -> None:
    """Give containers what they leave open, and write down in an annotation what was given."""
    requests: dict[str, str] = {}
    caps: dict[str, str] = {}
    for limit in limits["spec"].get("limits") or ():
        if limit.get("type") == "Container":
            requests |= limit.get("defaultRequest") or {}
            caps |= limit.get("default") or {}
    if not requests and not caps:
        return
    notes: list[str] = []
    for field, label in (("containers", "container"), ("initContainers", "init container")):
        for container in (pod.get("spec") or {}).get(field) or ():
            for kind, defaults in (("requests", requests), ("limits", caps)):
                if given := _complete(container, kind, defaults):
                    notes.append(f"{', '.join(given)} {kind[:-1]} for {label} {container.get('name', '')}")
    if notes:
        annotations = pod["metadata"].get("annotations") or {}
        pod["metadata"]["annotations"] = annotations | {ANNOTATION: f"LimitRanger plugin set: {'; '.join(notes)}"}


def _complete(container: Object, kind: str, defaults: Mapping[str, str]) -> list[str]:
    """The names of the resources that were missing and now have their default."""
    missing = sorted(set(defaults) - set((container.get("resources") or {}).get(kind) or {}))
    if missing:
        resources = container.get("resources") or {}
        container["resources"] = resources
        amounts = resources.get(kind) or {}
        resources[kind] = amounts | {name: defaults[name] for name in missing}
    return missing


def _problems(plural: str, obj: Object, limit: Object) -> Iterator[str]:
    type_ = limit.get("type", "")
    if plural == "persistentvolumeclaims":
        if type_ == "PersistentVolumeClaim":
            requests = podresources.amounts(((obj["spec"].get("resources") or {}).get("requests")) or {})
            yield from _out_of_bounds(type_, limit, requests, requests)
        return
    if type_ == "Container":
        for field in ("containers", "initContainers"):
            for container in obj["spec"].get(field) or ():
                resources = container.get("resources") or {}
                requests = podresources.amounts(resources.get("requests") or {})
                caps = podresources.amounts(resources.get("limits") or {})
                yield from _out_of_bounds(type_, limit, requests, caps)
    elif type_ == "Pod":
        totals = podresources.total(obj, "requests"), podresources.total(obj, "limits")
        yield from _out_of_bounds(type_, limit, *totals)


def _out_of_bounds(type_: str, limit: Object, requests: Amounts, caps: Amounts) -> Iterator[str]:
    is_claim = type_ == "PersistentVolumeClaim"
    for name, least in sorted((limit.get("min") or {}).items()):
        yield from _below(type_, name, least, requests, {} if is_claim else caps)
    for name, most in sorted((limit.get("max") or {}).items()):
        yield from (
            _claim_above(type_, name, most, requests) if is_claim else _above(type_, name, most, requests, caps)
        )
    for name, ratio in sorted((limit.get("maxLimitRequestRatio") or {}).items()):
        yield from _too_wide(type_, name, ratio, requests, caps)


def _below(type_: str, name: str, least: str, requests: Amounts, caps: Amounts) -> Iterator[str]:
    bound, requested, cap = quantity.parse(least).nanos, requests.get(name), caps.get(name)
    said = f"minimum {name} usage per {type_} is {least}"
    if requested is None:
        yield f"{said}.  No request is specified"
    elif requested.nanos < bound:
        yield f"{said}, but request is {requested}"
    elif cap is not None and cap.nanos < bound:
        yield f"{said}, but limit is {cap}"


def _above(type_: str, name: str, most: str, requests: Amounts, caps: Amounts) -> Iterator[str]:
    bound, requested, cap = quantity.parse(most).nanos, requests.get(name), caps.get(name)
    said = f"maximum {name} usage per {type_} is {most}"
    if cap is None:
        yield f"{said}.  No limit is specified"
    elif cap.nanos > bound:
        yield f"{said}, but limit is {cap}"
    elif requested is not None and requested.nanos > bound:
        yield f"{said}, but request is {requested}"


def _claim_above(type_: str, name: str, most: str, requests: Amounts) -> Iterator[str]:
    requested = requests.get(name)
    said = f"maximum {name} usage per {type_} is {most}"
    if requested is None:
        yield f"{said}.  No request is specified"
    elif requested.nanos > quantity.parse(most).nanos:
        yield f"{said}, but request is {requested}"


def _too_wide(type_: str, name: str, most: str, requests: Amounts, caps: Amounts) -> Iterator[str]:
    requested, cap = requests.get(name), caps.get(name)
    said = f"{name} max limit to request ratio per {type_} is {most}"
    if requested is None or requested.nanos == 0:
        yield f"{said}, but no request is specified or request is 0"
    elif cap is None or cap.nanos == 0:
        yield f"{said}, but no limit is specified or limit is 0"
    elif cap.nanos / requested.nanos > quantity.parse(most).nanos / quantity.NANO:
        yield f"{said}, but provided ratio is {cap.nanos / requested.nanos:.6f}"
