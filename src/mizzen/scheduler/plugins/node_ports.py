"""NodePorts: two pods cannot take the same port of a node."""

from mizzen.scheduler.framework import NodeFilter, Plugin, Reject
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

_REJECT = Reject("node(s) didn't have free ports for the requested pod ports")


def filter_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeFilter | None:
    wanted = pod.ports
    if not wanted:
        return None

    def verdict(node: NodeInfo) -> Reject | None:
        return _REJECT if any(one.conflicts(taken) for one in wanted for taken in node.ports) else None

    return verdict


PLUGIN = Plugin("NodePorts", filter=filter_nodes, wakes_on=frozenset({"node added", "node changed", "pod gone"}))
