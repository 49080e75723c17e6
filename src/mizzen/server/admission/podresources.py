"""What a whole pod asks for: its containers together, or its hungriest init step, plus overhead.

Ref: https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers
"""

from collections.abc import Iterable, Mapping

from mizzen.machinery import quantity
from mizzen.machinery.errors import Object
from mizzen.machinery.quantity import Quantity

Amounts = dict[str, Quantity]


def amounts(texts: Mapping[str, str | int | float]) -> Amounts:
    return {name: quantity.parse(text) for name, text in texts.items()}


def add(left: Amounts, right: Mapping[str, Quantity]) -> Amounts:
    """The sum of both, as a new value."""
    total = dict(left)
    for name, amount in right.items():
        total[name] = total[name].plus(amount) if name in total else amount
    return total


def total(pod: Object, kind: str) -> Amounts:
    """What the pod needs at its peak; `kind` is "requests" or "limits"."""
    spec = pod["spec"]
    running = _sum(spec.get("containers") or (), kind)
    peak: Amounts = {}
    sidecars: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = _of(container, kind)
        if container.get("restartPolicy") == "Always":
            sidecars = add(sidecars, own)
            peak = _larger(peak, sidecars)
        else:
            peak = _larger(peak, add(sidecars, own))
    needed = _larger(add(running, sidecars), peak)
    pod_level = amounts(((spec.get("resources") or {}).get(kind)) or {})
    needed |= pod_level
    overhead = amounts(spec.get("overhead") or {})
    if kind == "requests":
        return add(needed, overhead)
    return needed | {name: needed[name].plus(extra) for name, extra in overhead.items() if name in needed}


def _of(container: Object, kind: str) -> Amounts:
    return amounts((container.get("resources") or {}).get(kind) or {})


def _sum(containers: Iterable[Object], kind: str) -> Amounts:
    summed: Amounts = {}
    for container in containers:
        summed = add(summed, _of(container, kind))
    return summed


def _larger(left: Amounts, right: Amounts) -> Amounts:
    result = dict(left)
    for name, amount in right.items():
        if name not in result or amount.nanos > result[name].nanos:
            result[name] = amount
    return result
