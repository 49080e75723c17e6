"""PodTopologySpread: the numbers of matching pods in different domains may differ by maxSkew at most.

Pods of a Service or a workload without constraints of their own are spread softly over hosts and zones.
Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
"""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from mizzen.api.views.core import TopologySpreadConstraint
from mizzen.scheduler.framework import DomainRule, Plugin, Reject
from mizzen.scheduler.snapshot import HOSTNAME, PodInfo, Snapshot
from mizzen.scheduler.terms import Term, spread_term

ZONE = "topology.kubernetes.io/zone"
_SKEWED = Reject("node(s) didn't match pod topology spread constraints")
_MISSING = Reject("node(s) didn't match pod topology spread constraints (missing required label)", resolvable=False)
_SYSTEM = (
    TopologySpreadConstraint(maxSkew=3, topologyKey=ZONE, whenUnsatisfiable="ScheduleAnyway"),
    TopologySpreadConstraint(maxSkew=5, topologyKey=HOSTNAME, whenUnsatisfiable="ScheduleAnyway"),
)


@dataclass(frozen=True, slots=True)
class Args:
    """PodTopologySpreadArgs: the constraints of pods that have none."""

    defaults: tuple[TopologySpreadConstraint, ...] = _SYSTEM


def parse(document: Mapping[str, Any]) -> Args:
    """The arguments as a configuration file holds them. Raises ValueError."""
    listed = document.get("defaultConstraints") or ()
    kind = document.get("defaultingType") or "System"
    if kind == "System":
        if listed:
            raise ValueError("defaultConstraints: must be empty when defaultingType is System")
        return Args()
    return Args(tuple(msgspec.convert(one, TopologySpreadConstraint) for one in listed))


def _defaulted(pod: PodInfo, snapshot: Snapshot, args: Args) -> tuple[tuple[TopologySpreadConstraint, Term], ...]:
    """The default constraints that say anything about a pod: those whose pods are placed already."""
    if not args.defaults or pod.pod.spec.topologySpreadConstraints:
        return ()
    selector = snapshot.lookups.siblings(pod.pod)
    if selector is None:
        return ()
    found = []
    for constraint in args.defaults:
        term = spread_term(constraint, selector, (), pod.pod)
        # As long as nobody is counted all domains are alike, and the pod is decided with the pods of other workloads.
        if constraint.whenUnsatisfiable == "DoNotSchedule" or snapshot.tally(term).total:
            found.append((constraint, term))
    return tuple(found)


def _rule(constraint: TopologySpreadConstraint, term: Term, pod: PodInfo, snapshot: Snapshot) -> DomainRule:
    tally = snapshot.tally(term)
    meta = pod.pod.metadata
    own = 1 if term.selects(meta.namespace, meta.labels, snapshot.namespace_labels) else 0
    if constraint.whenUnsatisfiable == "ScheduleAnyway":
        return DomainRule(tally, score=lambda count, least: -float(count), unlabelled_last=True)

    def verdict(count: int, least: int) -> Reject | None:
        return _SKEWED if count + own - least > constraint.maxSkew else None

    return DomainRule(
        tally,
        missing=_MISSING,
        filter=verdict,
        score=lambda count, least: -float(count),
        eligible=lambda node: term.among is None or term.among.holds(node.node),
        min_domains=constraint.minDomains or 0,
    )


def _own(pod: PodInfo) -> Iterator[tuple[TopologySpreadConstraint, Term]]:
    """The pod's own constraints; a node counts for the hard ones, or the soft ones, with all their labels only."""
    listed = pod.pod.spec.topologySpreadConstraints
    for one in listed:
        keys = tuple(other.topologyKey for other in listed if other.whenUnsatisfiable == one.whenUnsatisfiable)
        yield one, spread_term(one, one.labelSelector, keys, pod.pod)


def plugin(args: Args) -> Plugin:
    """The plugin with other default constraints."""

    def domains(pod: PodInfo, snapshot: Snapshot) -> tuple[DomainRule, ...]:
        own = tuple(_own(pod))
        chosen = own or _defaulted(pod, snapshot, args)
        return tuple(_rule(constraint, term, pod, snapshot) for constraint, term in chosen)

    def signature(pod: PodInfo, snapshot: Snapshot) -> Hashable:
        return tuple(term for _, term in _defaulted(pod, snapshot, args))

    return Plugin(
        "PodTopologySpread",
        domains=domains,
        signature=signature,
        weight=2,
        wakes_on=frozenset({"node added", "node changed", "pod gone", "pod added"}),
    )


PLUGIN = plugin(Args())
