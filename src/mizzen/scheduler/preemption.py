"""DefaultPreemption: which pods of lower priority would have to go so that a pod fits, and from which node.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from mizzen.api.views.meta import LabelSelector
from mizzen.machinery import times
from mizzen.scheduler.classes import PodClass
from mizzen.scheduler.cycle import Unschedulable, counted
from mizzen.scheduler.framework import Reject
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

_EPOCH: Final = "1970-01-01T00:00:00Z"
CANDIDATES: Final = 100
"""How many nodes with a way to make room are compared."""
_LOWEST: Final = -(2**31)
_NO_VICTIMS: Final = Reject("No preemption victims found for incoming pod", resolvable=False)
_NOT_HELPFUL: Final = Reject("Preemption is not helpful for scheduling", resolvable=False)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a PodDisruptionBudget still allows."""

    namespace: str
    selector: LabelSelector
    allowed: int


@dataclass(frozen=True, slots=True)
class NoWay:
    """Why no room can be made: a word about the pod, or the verdicts on those nodes where removing pods was tried."""

    nodes: int
    tried: Mapping[str, Reject] = field(default_factory=dict)
    of_the_pod: str = ""

    @property
    def message(self) -> str:
        """What follows the reasons in the pod's event, as kubectl users know it."""
        if self.of_the_pod or not self.nodes:
            return self.of_the_pod
        hopeless = [_NOT_HELPFUL] * (self.nodes - len(self.tried))
        return f"0/{self.nodes} nodes are available: {counted([*self.tried.values(), *hopeless])}."


@dataclass(frozen=True, slots=True)
class Eviction:
    """The pods to remove from a node, and how many budgets that breaks."""

    node: str
    victims: tuple[PodInfo, ...]
    violations: int

    def cost(self) -> tuple[int, int, int, int, float, str]:
        """Smaller is better: budgets broken, highest priority, sum of priorities, number, then who runs the shortest.

        Priorities are summed from the lowest possible one, so that one pod more always costs more.
        """
        priorities = [one.priority for one in self.victims]
        if not priorities:
            return self.violations, _LOWEST, 0, 0, 0.0, self.node
        highest = max(priorities)
        oldest = min(_started(one) for one in self.victims if one.priority == highest)
        return self.violations, highest, sum(one - _LOWEST for one in priorities), len(priorities), -oldest, self.node


def find(
    pod: PodInfo, alike: PodClass, why: Unschedulable, snapshot: Snapshot, budgets: Sequence[Budget]
) -> Eviction | NoWay:
    """The cheapest way to make room for a pod, or why there is none."""
    ways = candidates(pod, alike, why, snapshot, budgets)
    return ways if isinstance(ways, NoWay) else min(ways, key=Eviction.cost)


def candidates(
    pod: PodInfo, alike: PodClass, why: Unschedulable, snapshot: Snapshot, budgets: Sequence[Budget]
) -> tuple[Eviction, ...] | NoWay:
    """Ways to make room for a pod, one for each node that has one, or why there is none."""
    if why.pod_reason is not None or pod.pod.spec.preemptionPolicy == "Never":
        return hopeless(pod, why)
    found: list[Eviction] = []
    tried: dict[str, Reject] = {}
    for name, reject in why.reasons.items():
        node = snapshot.nodes.get(name)
        if node is None or not reject.resolvable:
            continue
        way = _on_node(pod, node, alike, snapshot, budgets)
        if isinstance(way, Reject):
            tried[name] = way
            continue
        found.append(way)
        if len(found) == CANDIDATES:
            break
    return tuple(found) or NoWay(why.nodes, tried)


def hopeless(pod: PodInfo, why: Unschedulable) -> NoWay:
    """What is told of a pod for which no node need be tried."""
    never = pod.pod.spec.preemptionPolicy == "Never"
    return NoWay(why.nodes, of_the_pod="not eligible due to preemptionPolicy=Never." if never else "")


def _started(pod: PodInfo) -> float:
    """Since when a pod has been running."""
    return _parsed(pod.pod.status.startTime or pod.pod.metadata.creationTimestamp or _EPOCH)


@lru_cache(maxsize=4096)
def _parsed(stamp: str) -> float:
    """Pods that came together share their stamp."""
    return times.parse(stamp)


def _on_node(
    pod: PodInfo, node: NodeInfo, alike: PodClass, snapshot: Snapshot, budgets: Sequence[Budget]
) -> Eviction | Reject:
    """The fewest pods to remove from a node, or what would stand in the way without any of them."""
    lower = [one for one in node.pods.values() if one.priority < pod.priority]
    if not lower:
        return _NO_VICTIMS
    for one in lower:
        snapshot.remove_pod(one.key, node.name)
    victims: list[PodInfo] = []
    try:
        if (reject := alike.check(node)) is not None:
            return reject
        broken = _breaking(lower, budgets)
        # Spare those first whose removal would break a budget, then the most important, then those that run longest.
        for one in sorted(lower, key=lambda one: (one.key not in broken, -one.priority, _started(one), one.key)):
            snapshot.set_pod(one, node.name)
            if alike.check(node) is not None:
                snapshot.remove_pod(one.key, node.name)
                victims.append(one)
        return Eviction(node.name, tuple(victims), sum(1 for one in victims if one.key in broken))
    finally:
        for one in lower:
            if one.key not in node.pods:
                snapshot.set_pod(one, node.name)


def _breaking(pods: Sequence[PodInfo], budgets: Sequence[Budget]) -> set[str]:
    """Keys of the pods whose removal a budget does not allow any more."""
    left = {index: budget.allowed for index, budget in enumerate(budgets)}
    broken: set[str] = set()
    for one in sorted(pods, key=lambda one: (-one.priority, _started(one))):
        meta = one.pod.metadata
        for index, budget in enumerate(budgets):
            if budget.namespace != meta.namespace or budget.selector.empty or not budget.selector.matches(meta.labels):
                continue
            left[index] -= 1
            if left[index] < 0:
                broken.add(one.key)
    return broken
