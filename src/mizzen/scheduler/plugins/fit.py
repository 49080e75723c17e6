"""NodeResourcesFit: what the pod requests must be free; how full the preferred nodes are is a matter of strategy.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/resource-bin-packing/
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mizzen.scheduler.framework import NodeFilter, NodeScore, Plugin, Reject
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

Strategy = Literal["LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"]
_TOO_MANY = "Too many pods"
Resources = tuple[tuple[str, int], ...]
"""Names with weights."""
Curve = Callable[[float], float]
"""The used share of a resource (0…1) to a score of 0…100."""


@dataclass(frozen=True, slots=True)
class Args:
    """NodeResourcesFitArgs. `shape`: points of (utilization in percent, score 0…10), ascending."""

    strategy: Strategy = "LeastAllocated"
    resources: Resources = (("cpu", 1), ("memory", 1))
    shape: tuple[tuple[float, float], ...] = ()
    ignored: frozenset[str] = frozenset()
    ignored_groups: frozenset[str] = frozenset()

    def ignores(self, resource: str) -> bool:
        group, slash, _ = resource.partition("/")
        return resource in self.ignored or bool(slash and group in self.ignored_groups)


def parse(document: Mapping[str, Any]) -> Args:
    """The arguments as a configuration file holds them. Raises ValueError."""
    scoring = document.get("scoringStrategy") or {}
    strategy = scoring.get("type", "LeastAllocated")
    if strategy not in ("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"):
        raise ValueError(f"scoringStrategy.type: {strategy!r} is none of LeastAllocated, MostAllocated, …")
    points = (scoring.get("requestedToCapacityRatio") or {}).get("shape") or ()
    shape = tuple((float(one["utilization"]), float(one["score"])) for one in points)
    if strategy == "RequestedToCapacityRatio" and not shape:
        raise ValueError("scoringStrategy.requestedToCapacityRatio.shape: at least one point is required")
    if [at for at, _ in shape] != sorted({at for at, _ in shape}):
        raise ValueError("scoringStrategy.requestedToCapacityRatio.shape: utilization must ascend")
    weighed = tuple((str(one["name"]), int(one.get("weight") or 1)) for one in scoring.get("resources") or ())
    return Args(
        strategy=strategy,
        resources=weighed or Args().resources,
        shape=shape,
        ignored=frozenset(document.get("ignoredResources") or ()),
        ignored_groups=frozenset(document.get("ignoredResourceGroups") or ()),
    )


def _filter(args: Args) -> Callable[[PodInfo, Snapshot], NodeFilter | None]:
    def filter_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeFilter | None:
        wanted = tuple((name, value) for name, value in pod.requests.items() if value and not args.ignores(name))

        def verdict(node: NodeInfo) -> Reject | None:
            have, used = node.allocatable, node.requested
            lacking = [name for name, value in wanted if value > have.get(name, 0) - used.get(name, 0)]
            full = len(node.pods) + 1 > have.get("pods", 0)
            return _lacks(lacking, full, pod, node) if lacking or full else None

        return verdict

    return filter_nodes


def _lacks(lacking: list[str], full: bool, pod: PodInfo, node: NodeInfo) -> Reject:
    """Everything that the node has too little of; what the whole node does not have, no removal brings."""
    first, *more = [*([_TOO_MANY] if full else []), *(f"Insufficient {name}" for name in lacking)]
    possible = all(pod.requests[name] <= node.allocatable.get(name, 0) for name in lacking)
    return Reject(first, resolvable=possible, more=tuple(more))


def _score(args: Args) -> Callable[[PodInfo, Snapshot], NodeScore | None]:
    if args == Args():
        return _least_allocated
    curve = _curve(args)

    def score_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeScore | None:
        cpu, memory = pod.scored
        # A resource beyond cpu and memory counts for pods that ask for it.
        resources = [one for one in args.resources if one[0] in ("cpu", "memory") or pod.requests.get(one[0])]
        total = sum(weight for _, weight in resources)
        if not total:
            return None

        def used(name: str, node: NodeInfo) -> int:
            if name == "cpu":
                return node.scored_cpu + cpu
            if name == "memory":
                return node.scored_memory + memory
            return node.requested.get(name, 0) + pod.requests.get(name, 0)

        def score(node: NodeInfo) -> float:
            reached = 0.0
            for name, weight in resources:
                have = node.allocatable.get(name, 0)
                reached += weight * (curve(min(1.0, used(name, node) / have)) if have else 0.0)
            return reached / total

        return score

    return score_nodes


def _curve(args: Args) -> Curve:
    match args.strategy:
        case "LeastAllocated":
            return lambda share: 100.0 * (1.0 - share)
        case "MostAllocated":
            return lambda share: 100.0 * share if share <= 1.0 else 0.0
        case "RequestedToCapacityRatio":
            return lambda share: _on_shape(args.shape, 100.0 * share)


def _on_shape(shape: tuple[tuple[float, float], ...], utilization: float) -> float:
    """The piecewise linear function through the points; level before the first and after the last."""
    before = shape[0]
    for point in shape:
        if utilization <= point[0]:
            if point[0] == before[0]:
                return 10.0 * point[1]
            part = (utilization - before[0]) / (point[0] - before[0])
            return 10.0 * (before[1] + part * (point[1] - before[1]))
        before = point
    return 10.0 * before[1]


def _least_allocated(pod: PodInfo, snapshot: Snapshot) -> NodeScore | None:
    """The default strategy with the default resources, written out because everything goes through it."""
    cpu, memory = pod.scored

    def score(node: NodeInfo) -> float:
        return (
            _free(node.scored_cpu + cpu, node.allocatable.get("cpu", 0))
            + _free(node.scored_memory + memory, node.allocatable.get("memory", 0))
        ) / 2

    return score


def _free(used: int, have: int) -> float:
    return 100.0 * (have - used) / have if have > used else 0.0


def plugin(args: Args) -> Plugin:
    """The plugin with other arguments."""
    return Plugin(
        "NodeResourcesFit",
        filter=_filter(args),
        score=_score(args),
        wakes_on=frozenset({"node added", "node changed", "pod gone"}),
    )


PLUGIN = plugin(Args())
