"""PodTopologySpread: the numbers of matching pods in different domains may differ by maxSkew at most.

Pods of a Service or a workload without constraints of their own are spread softly over hosts and zones.
Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
"""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from mizzen.api.views.core import TopologySpreadConstraint
from mizzen.scheduler.framework import DomainRule, Plugin, Reject, Standing
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
    """PodTopologySpreadArgs: the constraints of pods that have none; `strict`: nodes must have all of their labels."""

    defaults: tuple[TopologySpreadConstraint, ...] = _SYSTEM
    strict: bool = False


def parse(document: Mapping[str, Any]) -> Args:
    """The arguments as a configuration file holds them. Raises ValueError."""
    listed = document.get("defaultConstraints") or ()
    kind = document.get("defaultingType") or "System"
    if kind == "System":
        if listed:
            raise ValueError("defaultConstraints: must be empty when defaultingType is System")
        return Args()
    return Args(tuple(msgspec.convert(one, TopologySpreadConstraint) for one in listed), strict=True)


def _defaulted(pod: PodInfo, snapshot: Snapshot, args: Args) -> tuple[tuple[TopologySpreadConstraint, Term], ...]:
    """The default constraints of a pod; the soft ones only when nodes differ by them."""
    if not args.defaults or pod.pod.spec.topologySpreadConstraints:
        return ()
    selector = snapshot.lookups.siblings(pod.pod)
    if selector is None:
        return ()
    found = [
        (one, spread_term(one, selector, _keys(one, args.defaults) if args.strict else (), pod.pod))
        for one in args.defaults
    ]
    # As long as nobody is counted all domains are alike, and the pod is decided with the pods of other workloads.
    if any(snapshot.tally(term).total or not _all_alike(one, snapshot) for one, term in found):
        return tuple(found)
    return tuple((one, term) for one, term in found if one.whenUnsatisfiable == "DoNotSchedule")


def _all_alike(constraint: TopologySpreadConstraint, snapshot: Snapshot) -> bool:
    """Whether all nodes, or none of them, have the constraint's label."""
    return snapshot.labelled[constraint.topologyKey] in (0, len(snapshot.nodes))


def _keys(one: TopologySpreadConstraint, among: Sequence[TopologySpreadConstraint]) -> tuple[str, ...]:
    """The labels that nodes must have to count for a constraint: those of all hard ones, or of all soft ones."""
    return tuple(other.topologyKey for other in among if other.whenUnsatisfiable == one.whenUnsatisfiable)


def _rule(
    constraint: TopologySpreadConstraint, term: Term, pod: PodInfo, snapshot: Snapshot, *, strict: bool
) -> DomainRule:
    tally = snapshot.tally(term)
    meta = pod.pod.metadata
    own = 1 if term.selects(meta.namespace, meta.labels, snapshot.namespace_labels) else 0
    if constraint.whenUnsatisfiable == "ScheduleAnyway":
        return DomainRule(tally, wish=constraint.maxSkew, unlabelled_last=strict)

    def verdict(count: int, least: int) -> Reject | None:
        return _SKEWED if count + own - least > constraint.maxSkew else None

    return DomainRule(
        tally,
        missing=_MISSING,
        filter=verdict,
        eligible=lambda node: term.among is None or term.among.holds(node.node),
        min_domains=constraint.minDomains or 0,
    )


def _own(pod: PodInfo) -> Iterator[tuple[TopologySpreadConstraint, Term]]:
    """The pod's own constraints; a node counts for the hard ones, or the soft ones, with all their labels only."""
    listed = pod.pod.spec.topologySpreadConstraints
    for one in listed:
        yield one, spread_term(one, one.labelSelector, _keys(one, listed), pod.pod)


def grade(rules: Sequence[DomainRule], standings: Sequence[Standing]) -> list[int]:
    """Fewer pods in a node's domains are better; keys with many domains weigh more, as their counts are smaller."""
    strict = any(rule.unlabelled_last for rule in rules)
    counted = [one for one in standings if not (strict and None in one.domains)]
    weights = [
        math.log(2 + (sum(one.nodes for one in counted) if rule.key == HOSTNAME else _domains(counted, at)))
        for at, rule in enumerate(rules)
    ]
    slack = [rule.wish - 1 for rule in rules]

    def raw(standing: Standing) -> int | None:
        total = 0.0
        for domain, count, weight, skew in zip(standing.domains, standing.counts, weights, slack, strict=True):
            if domain is not None:
                total += count * weight + skew
            elif strict:
                return None
        return int(total + 0.5)

    raws = [raw(one) for one in standings]
    known = [one for one in raws if one is not None]
    low, high = min(known, default=0), max(known, default=0)
    return [0 if one is None else 100 * (high + low - one) // high if high else 100 for one in raws]


def _domains(standings: Sequence[Standing], at: int) -> int:
    """In how many domains of a key there are nodes."""
    return len({one.domains[at] for one in standings} - {None})


def plugin(args: Args) -> Plugin:
    """The plugin with other default constraints."""

    def domains(pod: PodInfo, snapshot: Snapshot) -> tuple[DomainRule, ...]:
        own = tuple(_own(pod))
        chosen = own or _defaulted(pod, snapshot, args)
        strict = bool(own) or args.strict
        return tuple(_rule(constraint, term, pod, snapshot, strict=strict) for constraint, term in chosen)

    def signature(pod: PodInfo, snapshot: Snapshot) -> Hashable:
        return tuple(term for _, term in _defaulted(pod, snapshot, args))

    return Plugin(
        "PodTopologySpread",
        domains=domains,
        grade=grade,
        signature=signature,
        weight=2,
        wakes_on=frozenset({"node added", "node changed", "pod gone", "pod added"}),
    )


PLUGIN = plugin(Args())
