"""NodeResourcesBalancedAllocation: nodes whose cpu and memory fill up evenly are preferred."""

from mizzen.scheduler.framework import NodeScore, Plugin
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot


def score_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeScore | None:
    cpu, memory = pod.requests.get("cpu", 0), pod.requests.get("memory", 0)
    if not cpu and not memory:
        return None

    def score(node: NodeInfo) -> float:
        shares = (
            _share(node.requested.get("cpu", 0) + cpu, node.allocatable.get("cpu", 0)),
            _share(node.requested.get("memory", 0) + memory, node.allocatable.get("memory", 0)),
        )
        # Of two shares, the standard deviation is half their distance.
        return 100.0 * (1 - abs(shares[0] - shares[1]) / 2)

    return score


def _share(used: int, have: int) -> float:
    return min(1.0, used / have) if have else 1.0


PLUGIN = Plugin("NodeResourcesBalancedAllocation", score=score_nodes)
