"""DefaultPreemption: which pods of lower priority would have to go so that a pod fits, and from which node.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mizzen.api.views.meta import LabelSelector
from mizzen.machinery import times
from mizzen.scheduler.classes import PodClass
from mizzen.scheduler.cycle import Unschedulable
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

_EPOCH: Final = "1970-01-01T00:00:00Z"
CANDIDATES: Final = 100
"""How many nodes with a way to make room are compared."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a PodDisruptionBudget still allows."""

    namespace: str
    selector: LabelSelector
    allowed: int


@dataclass(frozen=True, slots=True)
class Eviction:
    """The pods to remove from a node, and how many budgets that breaks."""

    node: str
    victims: tuple[PodInfo, ...]
    violations: int

    def cost(self) -> tuple[int, int, int, int, float, str]:
        """Smaller is better: budgets broken, highest priority, sum of priorities, number, then the youngest pods."""
        priorities = [one.priority for one in self.victims]
        if not priorities:
            return self.violations, -(2**31), 0, 0, 0.0, self.node
        oldest = min(times.parse(one.pod.metadata.creationTimestamp or _EPOCH) for one in self.victims)
        return self.violations, max(priorities), sum(priorities), len(priorities), -oldest, self.node


def find(
    pod: PodInfo, alike: PodClass, why: Unschedulable, snapshot: Snapshot, budgets: Sequence[Budget]
) -> Eviction | None:
    """The cheapest way to make room for a pod, or None when there is none or the pod never preempts."""
    if pod.pod.spec.preemptionPolicy == "Never" or why.pod_reason is not None:
        return None
    found: list[Eviction] = []
    for name, reject in why.reasons.items():
        node = snapshot.nodes.get(name)
        if node is None or not reject.resolvable:
            continue
        way = _on_node(pod, node, alike, snapshot, budgets)
        if way is not None:
            found.append(way)
            if len(found) == CANDIDATES:
                break
    return min(found, key=Eviction.cost, default=None)


def message(why: Unschedulable) -> str:
    """What follows the reasons in the event of a pod for which no room can be made."""
    unhelpful = sum(1 for reject in why.reasons.values() if not reject.resolvable)
    if why.pod_reason is not None:
        unhelpful = why.nodes
    hopeless = why.nodes - unhelpful
    parts = []
    if hopeless:
        parts.append(f"{hopeless} No preemption victims found for incoming pod")
    if unhelpful:
        parts.append(f"{unhelpful} Preemption is not helpful for scheduling")
    return f" preemption: 0/{why.nodes} nodes are available: {', '.join(parts)}." if parts else ""


def _on_node(
    pod: PodInfo, node: NodeInfo, alike: PodClass, snapshot: Snapshot, budgets: Sequence[Budget]
) -> Eviction | None:
    lower = [one for one in node.pods.values() if one.priority < pod.priority]
    if not lower:
        return None
    for one in lower:
        snapshot.remove_pod(one.key, node.name)
    victims: list[PodInfo] = []
    try:
        if alike.check(node) is not None:
            victims = lower
            return None
        broken = _breaking(lower, budgets)
        # Spare those first whose removal would break a budget, then the most important.
        for one in sorted(lower, key=lambda one: (one.key not in broken, -one.priority, one.key)):
            snapshot.set_pod(one, node.name)
            if alike.check(node) is not None:
                snapshot.remove_pod(one.key, node.name)
                victims.append(one)
        return Eviction(node.name, tuple(victims), sum(1 for one in victims if one.key in broken))
    finally:
        for one in victims:
            snapshot.set_pod(one, node.name)


def _breaking(pods: Sequence[PodInfo], budgets: Sequence[Budget]) -> set[str]:
    """Keys of the pods whose removal a budget does not allow any more."""
    left = {index: budget.allowed for index, budget in enumerate(budgets)}
    broken: set[str] = set()
    for one in sorted(pods, key=lambda one: -one.priority):
        meta = one.pod.metadata
        for index, budget in enumerate(budgets):
            if budget.namespace != meta.namespace or budget.selector.empty or not budget.selector.matches(meta.labels):
                continue
            left[index] -= 1
            if left[index] < 0:
                broken.add(one.key)
    return broken
