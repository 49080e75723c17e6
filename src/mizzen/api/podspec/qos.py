"""The quality of service of a pod, which follows from its requests and limits.

Ref: https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/
"""

from collections.abc import Iterable

from mizzen.machinery import quantity
from mizzen.machinery.errors import Object

_COUNTED = ("cpu", "memory")


def qos_class(spec: Object) -> str:
    """`Guaranteed` when every container has equal requests and limits of cpu and memory, `BestEffort` without any."""
    whole = spec.get("resources")
    if whole and (_counted(whole.get("requests")) or _counted(whole.get("limits"))):
        return _of((whole,))
    holders = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return _of([container.get("resources") or {} for container in holders])


def _of(required: Iterable[Object]) -> str:
    any_asked, guaranteed = False, True
    for resources in required:
        requests, limits = _counted(resources.get("requests")), _counted(resources.get("limits"))
        any_asked = any_asked or bool(requests or limits)
        guaranteed = guaranteed and len(limits) == len(_COUNTED) and (not requests or requests == limits)
    if not any_asked:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _counted(amounts: dict[str, str] | None) -> dict[str, int]:
    """Nanos of what counts; zero is as good as nothing."""
    if not amounts:
        return {}
    parsed = {name: quantity.parse(amounts[name]).nanos for name in _COUNTED if name in amounts}
    return {name: nanos for name, nanos in parsed.items() if nanos > 0}
