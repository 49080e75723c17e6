"""PodTopologySpread: the numbers of matching pods in different domains may differ by maxSkew at most.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
"""

from collections.abc import Callable

from mizzen.api.views.core import TopologySpreadConstraint
from mizzen.scheduler.framework import DomainRule, Plugin, Reject
from mizzen.scheduler.plugins import node_affinity
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot
from mizzen.scheduler.terms import spread_term

_SKEWED = Reject("node(s) didn't match pod topology spread constraints")
_MISSING = Reject("node(s) didn't match pod topology spread constraints (missing required label)", resolvable=False)


def domains(pod: PodInfo, snapshot: Snapshot) -> tuple[DomainRule, ...]:
    constraints = pod.pod.spec.topologySpreadConstraints
    return tuple(_rule(constraint, pod, snapshot) for constraint in constraints)


def _rule(constraint: TopologySpreadConstraint, pod: PodInfo, snapshot: Snapshot) -> DomainRule:
    term = spread_term(constraint.labelSelector, constraint.topologyKey, constraint.matchLabelKeys, pod.pod)
    tally = snapshot.tally(term)
    meta = pod.pod.metadata
    own = 1 if term.selects(meta.namespace, meta.labels, snapshot.namespace_labels) else 0
    if constraint.whenUnsatisfiable == "ScheduleAnyway":
        return DomainRule(tally, score=lambda count, least: -float(count), weight=2)

    def verdict(count: int, least: int) -> Reject | None:
        return _SKEWED if count + own - least > constraint.maxSkew else None

    return DomainRule(
        tally,
        missing=_MISSING,
        filter=verdict,
        score=lambda count, least: -float(count),
        weight=2,
        eligible=_eligible(constraint, pod),
        min_domains=constraint.minDomains or 0,
    )


def _eligible(constraint: TopologySpreadConstraint, pod: PodInfo) -> Callable[[NodeInfo], bool]:
    """Whether a node's domain counts when the smallest number is looked for."""
    honors_affinity = constraint.nodeAffinityPolicy != "Ignore"
    honors_taints = constraint.nodeTaintsPolicy == "Honor"

    def eligible(node: NodeInfo) -> bool:
        if honors_affinity and not node_affinity.matches(pod, node):
            return False
        return not honors_taints or all(
            taint.effect == "PreferNoSchedule" or any(one.tolerates(taint) for one in pod.pod.spec.tolerations)
            for taint in node.node.spec.taints
        )

    return eligible


PLUGIN = Plugin(
    "PodTopologySpread",
    domains=domains,
    wakes_on=frozenset({"node added", "node changed", "pod gone", "pod added"}),
)
