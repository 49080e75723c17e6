"""TaintToleration: NoSchedule and NoExecute taints must be tolerated, PreferNoSchedule ones are avoided.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
"""

from mizzen.api.views.core import Taint
from mizzen.scheduler.framework import NodeFilter, Plugin, Ranked, Reject, share_of_most
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

_REJECT = Reject("node(s) had untolerated taint(s)", resolvable=False)


def filter_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeFilter | None:
    def verdict(node: NodeInfo) -> Reject | None:
        return _REJECT if untolerated(pod, node) is not None else None

    return verdict


def untolerated(pod: PodInfo, node: NodeInfo) -> Taint | None:
    """The first taint of a node that keeps a pod away."""
    for taint in node.node.spec.taints:
        if taint.effect != "PreferNoSchedule" and not any(one.tolerates(taint) for one in pod.pod.spec.tolerations):
            return taint
    return None


def score_nodes(pod: PodInfo, snapshot: Snapshot) -> Ranked:
    tolerations = tuple(one for one in pod.pod.spec.tolerations if one.effect in ("", "PreferNoSchedule"))

    def avoided(node: NodeInfo) -> int:
        number = 0
        for taint in node.node.spec.taints:
            if taint.effect == "PreferNoSchedule" and not any(one.tolerates(taint) for one in tolerations):
                number += 1
        return number

    return Ranked(avoided, lambda numbers: [100 - one for one in share_of_most(numbers)])


PLUGIN = Plugin(
    "TaintToleration",
    filter=filter_nodes,
    score=score_nodes,
    weight=3,
    wakes_on=frozenset({"node added", "node changed"}),
)
