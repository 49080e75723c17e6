"""NodeResourcesFit: what the pod requests must be free; how full the preferred nodes are is a matter of strategy.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/resource-bin-packing/
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mizzen.scheduler import extended
from mizzen.scheduler.framework import NodeFilter, NodeScore, Plugin, Reject
from mizzen.scheduler.plugins import shape as shapes
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

Strategy = Literal["LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"]
_TOO_MANY = "Too many pods"
Resources = tuple[tuple[str, int], ...]
"""Names with weights."""
Curve = Callable[[int, int], int]
"""How much of a resource is used, and how much there is, to a score of 0…100."""


@dataclass(frozen=True, slots=True)
class Args:
    """NodeResourcesFitArgs."""

    strategy: Strategy = "LeastAllocated"
    resources: Resources = (("cpu", 1), ("memory", 1))
    shape: shapes.Shape = ()
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
    where = "scoringStrategy.requestedToCapacityRatio.shape"
    points = shapes.parse((scoring.get("requestedToCapacityRatio") or {}).get("shape") or (), where)
    if strategy == "RequestedToCapacityRatio" and not points:
        raise ValueError(f"{where}: at least one point is required")
    weighed = tuple((str(one["name"]), int(one.get("weight") or 1)) for one in scoring.get("resources") or ())
    return Args(
        strategy=strategy,
        resources=weighed or Args().resources,
        shape=points,
        ignored=frozenset(document.get("ignoredResources") or ()),
        ignored_groups=frozenset(document.get("ignoredResourceGroups") or ()),
    )


def _filter(args: Args) -> Callable[[PodInfo, Snapshot], NodeFilter | None]:
    def filter_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeFilter | None:
        wanted = tuple((name, value) for name, value in pod.requests.items() if value and not args.ignores(name))
        classes = extended.delegated(pod, snapshot)

        def verdict(node: NodeInfo) -> Reject | None:
            have, used = node.allocatable, node.requested
            lacking = [name for name, value in wanted if value > have.get(name, 0) - used.get(name, 0)]
            if classes and lacking:
                devices = extended.served_by_devices(classes, node)
                lacking = [name for name in lacking if name not in devices]
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
    # The ratio's shape alone leaves out resources that score nothing, and rounds.
    drops = args.strategy == "RequestedToCapacityRatio"

    def score_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeScore | None:
        cpu, memory = pod.scored
        resources = [one for one in args.resources if counts(one[0], pod)]

        def used(name: str, node: NodeInfo) -> int:
            if name == "cpu":
                return node.scored_cpu + cpu
            if name == "memory":
                return node.scored_memory + memory
            return node.requested.get(name, 0) + pod.requests.get(name, 0)

        def score(node: NodeInfo) -> int:
            reached = total = 0
            for name, weight in resources:
                have = node.allocatable.get(name, 0)
                if not have:
                    continue
                part = curve(used(name, node), have)
                if part or not drops:
                    reached += weight * part
                    total += weight
            if not total:
                return 0
            return math.floor(reached / total + 0.5) if drops else reached // total

        return score

    return score_nodes


def counts(resource: str, pod: PodInfo) -> bool:
    """Whether a resource matters for where a pod goes: extended ones only when it asks for them."""
    return resource in ("cpu", "memory", "ephemeral-storage") or bool(pod.requests.get(resource))


def _curve(args: Args) -> Curve:
    match args.strategy:
        case "LeastAllocated":
            return _free
        case "MostAllocated":
            return lambda used, have: 100 * min(used, have) // have
        case "RequestedToCapacityRatio":
            return lambda used, have: shapes.score(args.shape, used, have)


def _least_allocated(pod: PodInfo, snapshot: Snapshot) -> NodeScore | None:
    """The default strategy with the default resources, written out because everything goes through it."""
    cpu, memory = pod.scored

    def score(node: NodeInfo) -> int:
        has_cpu, has_memory = node.allocatable.get("cpu", 0), node.allocatable.get("memory", 0)
        number = bool(has_cpu) + bool(has_memory)
        reached = _free(node.scored_cpu + cpu, has_cpu) + _free(node.scored_memory + memory, has_memory)
        return reached // number if number else 0

    return score


def _free(used: int, have: int) -> int:
    return 100 * (have - used) // have if have > used else 0


def plugin(args: Args) -> Plugin:
    """The plugin with other arguments."""
    return Plugin(
        "NodeResourcesFit",
        filter=_filter(args),
        score=_score(args),
        wakes_on=frozenset({"node added", "node changed", "pod gone", "device class"}),
    )


PLUGIN = plugin(Args())
