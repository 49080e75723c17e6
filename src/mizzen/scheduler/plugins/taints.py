"""TaintToleration: NoSchedule and NoExecute taints must be tolerated, PreferNoSchedule ones are avoided.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
"""

from mizzen.scheduler.framework import NodeFilter, NodeScore, Plugin, Reject
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot


def filter_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeFilter | None:
    tolerations = pod.pod.spec.tolerations

    def verdict(node: NodeInfo) -> Reject | None:
        for taint in node.node.spec.taints:
            if taint.effect == "PreferNoSchedule" or any(one.tolerates(taint) for one in tolerations):
                continue
            return Reject(f"node(s) had untolerated taint {{{taint.key}: {taint.value}}}", resolvable=False)
        return None

    return verdict


def score_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeScore | None:
    tolerations = tuple(one for one in pod.pod.spec.tolerations if one.effect in ("", "PreferNoSchedule"))

    def score(node: NodeInfo) -> float:
        avoided = sum(
            1
            for taint in node.node.spec.taints
            if taint.effect == "PreferNoSchedule" and not any(one.tolerates(taint) for one in tolerations)
        )
        return 100.0 / (1 + avoided)

    return score


PLUGIN = Plugin(
    "TaintToleration",
    filter=filter_nodes,
    score=score_nodes,
    weight=3,
    wakes_on=frozenset({"node added", "node changed"}),
)
