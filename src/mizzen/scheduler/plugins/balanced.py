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
    if len(wanted) == 2:
        return _of_two(*wanted)

    def score(node: NodeInfo) -> int:
        before: list[float] = []
        after: list[float] = []
        for name, amount in wanted:
            have, used = node.allocatable.get(name, 0), node.requested.get(name, 0)
            if have:
                before.append(min(1.0, used / have))
                after.append(min(1.0, (used + amount) / have))
        return _gained(_evenness(before), _evenness(after))

    return score


def _of_two(one: tuple[str, int], other: tuple[str, int]) -> NodeScore:
    """The same, written out for two resources because every pod on every node goes through it."""
    (name, amount), (name2, amount2) = one, other

    def score(node: NodeInfo) -> int:
        have, have2 = node.allocatable.get(name, 0), node.allocatable.get(name2, 0)
        if not have or not have2:
            return _gained(100, 100)
        used, used2 = node.requested.get(name, 0), node.requested.get(name2, 0)
        before = (used / have if used < have else 1.0) - (used2 / have2 if used2 < have2 else 1.0)
        used, used2 = used + amount, used2 + amount2
        after = (used / have if used < have else 1.0) - (used2 / have2 if used2 < have2 else 1.0)
        return _gained(int((1 - abs(before / 2)) * 100), int((1 - abs(after / 2)) * 100))

    return score


def _gained(before: int, after: int) -> int:
    return 50 + (50 + after - before) // 2


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
