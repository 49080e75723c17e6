"""NodeAffinity: nodeSelector and required terms must match, preferred terms attract.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#node-affinity
"""

from mizzen.scheduler.framework import NodeFilter, NodeScore, Plugin, Reject
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

_REJECT = Reject("node(s) didn't match Pod's node affinity/selector", resolvable=False)


def matches(pod: PodInfo, node: NodeInfo) -> bool:
    """Whether a node satisfies the pod's nodeSelector and its required node affinity."""
    labels = node.labels
    if any(labels.get(key) != value for key, value in pod.pod.spec.nodeSelector.items()):
        return False
    affinity = pod.pod.spec.affinity
    if affinity is None or affinity.nodeAffinity is None:
        return True
    required = affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution
    return required is None or required.matches(node.name, labels)


def filter_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeFilter | None:
    spec = pod.pod.spec
    if not spec.nodeSelector and (spec.affinity is None or spec.affinity.nodeAffinity is None):
        return None

    def verdict(node: NodeInfo) -> Reject | None:
        return None if matches(pod, node) else _REJECT

    return verdict


def score_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeScore | None:
    affinity = pod.pod.spec.affinity
    if affinity is None or affinity.nodeAffinity is None:
        return None
    preferred = affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution
    total = sum(term.weight for term in preferred)
    if not total:
        return None

    def score(node: NodeInfo) -> float:
        reached = sum(term.weight for term in preferred if term.preference.matches(node.name, node.labels))
        return 100.0 * reached / total

    return score


PLUGIN = Plugin(
    "NodeAffinity",
    filter=filter_nodes,
    score=score_nodes,
    weight=2,
    wakes_on=frozenset({"node added", "node changed"}),
)
