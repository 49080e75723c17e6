"""Whom a node ends so that a critical pod finds room: as few pods as possible, of the lowest class; pure.

Ref: https://kubernetes.io/docs/tasks/administer-cluster/guaranteed-scheduling-critical-addon-pods/
"""

from collections.abc import Mapping, Sequence

from mizzen.agent.resources import is_critical, qos_class, requested
from mizzen.api.views.podspec import Pod
from mizzen.machinery.quantity import NANO

REASON, MESSAGE = "Preempting", "Preempted in order to admit critical pod"
Amounts = Mapping[str, int]


def lacking(pod: Pod, others: Sequence[Pod], allocatable: Amounts) -> dict[str, int]:
    """By how much each resource is short for a pod beside the others, in nanos."""
    short = {}
    for name, nanos in {**requested(pod), "pods": NANO}.items():
        if name not in allocatable and ("/" in name or name == "pods"):
            continue  # not the node's to count
        missing = nanos + sum(_asks(other, name) for other in others) - allocatable.get(name, 0)
        if nanos and missing > 0:
            short[name] = missing
    return short


def victims(pod: Pod, others: Sequence[Pod], short: Amounts) -> tuple[Pod, ...] | None:
    """The pods to end so that what is short becomes free; None when that is not possible."""
    classes: dict[str, list[Pod]] = {"BestEffort": [], "Burstable": [], "Guaranteed": []}
    for other in others:
        if _yields(other, pod):
            classes[qos_class(other)].append(other)
    chosen: dict[str, tuple[Pod, ...]] = {name: tuple(pods) for name, pods in classes.items()}
    if _less(short, [one for pods in chosen.values() for one in pods]):
        return None
    # From the highest class on: as many of each as are needed although all of the lower ones go.
    for name in ("Guaranteed", "Burstable", "BestEffort"):
        rest = [one for other, pods in chosen.items() if other != name for one in pods]
        chosen[name] = _fewest(classes[name], _less(short, rest))
    return tuple(one for pods in chosen.values() for one in pods)


def shown(short: Amounts) -> str:
    """What could not be had, as the pod's status says it."""
    listed = "".join(
        f"(res: {name}, q: {nanos // (NANO // 1000 if name == 'cpu' else NANO)}), " for name, nanos in short.items()
    )
    return (
        "Unexpected error while attempting to recover from admission failure: preemption: error finding a set of"
        f" pods to preempt: no set of running pods found to reclaim resources: [{listed}]"
    )


def _yields(other: Pod, pod: Pod) -> bool:
    if is_critical(pod) and not is_critical(other):
        return True
    return (pod.spec.priority or 0) > (other.spec.priority or 0)


def _asks(pod: Pod, name: str) -> int:
    return NANO if name == "pods" else requested(pod).get(name, 0)


def _less(short: Amounts, pods: Sequence[Pod]) -> dict[str, int]:
    """What is still short without some pods."""
    left = {name: nanos - sum(_asks(one, name) for one in pods) for name, nanos in short.items()}
    return {name: nanos for name, nanos in left.items() if nanos > 0}


def _fewest(pods: Sequence[Pod], short: Amounts) -> tuple[Pod, ...]:
    """Again and again the pod that comes nearest to what is short, and of two the one that asks for less."""
    left, chosen = list(pods), []
    while short and left:
        best = min(left, key=lambda one: (_distance(one, short), _asks(one, "memory"), _asks(one, "cpu")))
        left.remove(best)
        chosen.append(best)
        short = _less(short, [best])
    return tuple(chosen)


def _distance(pod: Pod, short: Amounts) -> float:
    """How much of each thing would still be short, every resource counting alike."""
    return sum((max(0, nanos - _asks(pod, name)) / nanos) ** 2 for name, nanos in short.items())
