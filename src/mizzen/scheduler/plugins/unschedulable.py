"""NodeUnschedulable: cordoned nodes take only pods that tolerate it."""

from mizzen.api.views.core import Taint
from mizzen.scheduler.framework import NodeFilter, Plugin, Reject
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

_TAINT = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")
_REJECT = Reject("node(s) were unschedulable", resolvable=False)


def filter_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeFilter | None:
    if any(toleration.tolerates(_TAINT) for toleration in pod.pod.spec.tolerations):
        return None

    def verdict(node: NodeInfo) -> Reject | None:
        return _REJECT if node.node.spec.unschedulable else None

    return verdict


PLUGIN = Plugin("NodeUnschedulable", filter=filter_nodes, wakes_on=frozenset({"node added", "node changed"}))
