"""NodeResourcesFit: what the pod requests must be free; emptier nodes are preferred (LeastAllocated).

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/resource-bin-packing/
"""

from mizzen.scheduler.framework import NodeFilter, NodeScore, Plugin, Reject
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

_TOO_MANY = Reject("Too many pods")


def filter_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeFilter | None:
    wanted = tuple((name, value) for name, value in pod.requests.items() if value)
    cpu, memory = pod.requests.get("cpu", 0), pod.requests.get("memory", 0)
    others = tuple((name, value) for name, value in wanted if name not in ("cpu", "memory"))

    def verdict(node: NodeInfo) -> Reject | None:
        have, used = node.allocatable, node.requested
        if len(node.pods) + 1 > have.get("pods", 0):
            return _TOO_MANY
        if cpu and cpu > have.get("cpu", 0) - used.get("cpu", 0):
            return _insufficient("cpu", cpu, node)
        if memory and memory > have.get("memory", 0) - used.get("memory", 0):
            return _insufficient("memory", memory, node)
        for name, value in others:
            if value > have.get(name, 0) - used.get(name, 0):
                return _insufficient(name, value, node)
        return None

    return verdict


def _insufficient(name: str, value: int, node: NodeInfo) -> Reject:
    return Reject(f"Insufficient {name}", resolvable=value <= node.allocatable.get(name, 0))


def score_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeScore | None:
    cpu, memory = pod.scored

    def score(node: NodeInfo) -> float:
        return (
            _free(node.scored_cpu + cpu, node.allocatable.get("cpu", 0))
            + _free(node.scored_memory + memory, node.allocatable.get("memory", 0))
        ) / 2

    return score


def _free(used: int, have: int) -> float:
    return 100.0 * (have - used) / have if have > used else 0.0


PLUGIN = Plugin(
    "NodeResourcesFit",
    filter=filter_nodes,
    score=score_nodes,
    wakes_on=frozenset({"node added", "node changed", "pod gone"}),
)
