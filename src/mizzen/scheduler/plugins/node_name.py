"""NodeName: a pod that names its node goes nowhere else."""

from mizzen.scheduler.framework import NodeFilter, Plugin, Reject
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

_REJECT = Reject("node(s) didn't match the requested node name", resolvable=False)


def filter_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeFilter | None:
    wanted = pod.pod.spec.nodeName
    if not wanted:
        return None

    def verdict(node: NodeInfo) -> Reject | None:
        return None if node.name == wanted else _REJECT

    return verdict


PLUGIN = Plugin("NodeName", filter=filter_nodes, wakes_on=frozenset({"node added"}))
