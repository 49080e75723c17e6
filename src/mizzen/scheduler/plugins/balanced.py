"""NodeResourcesBalancedAllocation: nodes whose resources fill up more evenly with the pod than without are preferred.

Ref: https://kubernetes.io/docs/reference/config-api/kube-scheduler-config.v1/ (NodeResourcesBalancedAllocationArgs)
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mizzen.scheduler.framework import NodeScore, Plugin
from mizzen.scheduler.plugins.fit import counts
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

Resources = tuple[str, ...]
_USUAL: Resources = ("cpu", "memory")


def parse(document: Mapping[str, Any]) -> Resources:
    """The resources that a configuration names. Raises ValueError."""
    listed = document.get("resources") or ()
    if any(int(one.get("weight") or 1) != 1 for one in listed):
        raise ValueError("resources: weight must be 1")
    return tuple(str(one["name"]) for one in listed) or _USUAL


def _score(pod: PodInfo, resources: Resources) -> NodeScore | None:
    wanted = tuple((name, pod.requests.get(name, 0)) for name in resources if counts(name, pod))
    if not any(amount for _, amount in wanted):
        return None  # pods that ask for nothing would all gather on one node

    def score(node: NodeInfo) -> int:
        before: list[float] = []
        after: list[float] = []
        for name, amount in wanted:
            have, used = node.allocatable.get(name, 0), node.requested.get(name, 0)
            if have:
                before.append(min(1.0, used / have))
                after.append(min(1.0, (used + amount) / have))
        return 50 + (50 + _evenness(after) - _evenness(before)) // 2

    return score


def _evenness(shares: Sequence[float]) -> int:
    """100 less the standard deviation of the used shares, in hundredths."""
    if len(shares) < 2:
        return 100
    if len(shares) == 2:
        return int((1 - abs((shares[0] - shares[1]) / 2)) * 100)
    mean = sum(shares) / len(shares)
    return int((1 - math.sqrt(sum((one - mean) ** 2 for one in shares) / len(shares))) * 100)


def plugin(resources: Resources) -> Plugin:
    """The plugin for other resources."""

    def score_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeScore | None:
        return _score(pod, resources)

    return Plugin("NodeResourcesBalancedAllocation", score=score_nodes)


PLUGIN = plugin(_USUAL)
