"""InterPodAffinity: pods that want to be near, or apart from, others; and what placed pods want of new ones.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mizzen.scheduler.framework import DomainRule, Plugin, Reject, Standing
from mizzen.scheduler.snapshot import PodInfo, Snapshot
from mizzen.scheduler.terms import OwnedTerm

_FAR = Reject("node(s) didn't match pod affinity rules", resolvable=False)
_NEAR = Reject("node(s) didn't match pod anti-affinity rules")
_UNWANTED = Reject("node(s) didn't satisfy existing pods anti-affinity rules")


@dataclass(frozen=True, slots=True)
class Args:
    """InterPodAffinityArgs."""

    hard_weight: int = 1
    ignores_wishes_of_others: bool = False


def parse(document: Mapping[str, Any]) -> Args:
    """The arguments as a configuration file holds them. Raises ValueError."""
    weight = int(document.get("hardPodAffinityWeight", 1))
    if not 0 <= weight <= 100:
        raise ValueError("hardPodAffinityWeight: must be between 0 and 100")
    return Args(weight, bool(document.get("ignorePreferredTermsOfExistingPods")))


def _own(pod: PodInfo, snapshot: Snapshot) -> Iterator[DomainRule]:
    """The pod's own terms; a pod to be near to is one that all required terms of the pod select."""
    terms = [one.term for one in pod.terms if one.role == "affinity-required"]
    required = [snapshot.tally(replace(one, also=tuple(terms)) if len(terms) > 1 else one) for one in terms]
    meta = pod.pod.metadata
    selects_itself = all(one.selects(meta.namespace, meta.labels, snapshot.namespace_labels) for one in terms)

    def near(count: int, least: int) -> Reject | None:
        # The first pod of a group that wants to be together finds nobody to join, and may start anywhere.
        if count > 0 or (selects_itself and not any(tally.total for tally in required)):
            return None
        return _FAR

    for tally in required:
        yield DomainRule(tally, missing=_FAR, filter=near)
    for owned in pod.terms:
        if owned.role == "affinity-required":
            continue
        tally = snapshot.tally(owned.term)
        match owned.role:
            case "anti-required":
                yield DomainRule(tally, filter=lambda count, least: _NEAR if count else None)
            case "affinity-preferred":
                yield DomainRule(tally, wish=owned.weight)
            case "anti-preferred":
                yield DomainRule(tally, wish=-owned.weight)


def _of_others(pod: PodInfo, snapshot: Snapshot, args: Args) -> Iterator[DomainRule]:
    """The terms of placed pods that speak of this one."""
    # Whoever ignores the wishes of others, and has none himself, is not scored at all.
    scores = not args.ignores_wishes_of_others or any(one.role.endswith("-preferred") for one in pod.terms)
    for owned in matching(pod, snapshot):
        tally = snapshot.owned[owned]
        match owned.role:
            case "anti-required":
                yield DomainRule(tally, filter=lambda count, least: _UNWANTED if count else None)
            case "affinity-required" if scores:
                yield DomainRule(tally, wish=args.hard_weight)
            case "affinity-preferred" if not args.ignores_wishes_of_others:
                yield DomainRule(tally, wish=owned.weight)
            case "anti-preferred" if not args.ignores_wishes_of_others:
                yield DomainRule(tally, wish=-owned.weight)


def grade(rules: Sequence[DomainRule], standings: Sequence[Standing]) -> list[int]:
    """The sum of all attractions, from the least attractive node in question (0) to the most attractive (100)."""
    sums = [sum(rule.wish * count for rule, count in zip(rules, one.counts, strict=True)) for one in standings]
    low, high = min(sums), max(sums)
    return [100 * (one - low) // (high - low) for one in sums] if high > low else [0] * len(sums)


def matching(pod: PodInfo, snapshot: Snapshot) -> tuple[OwnedTerm, ...]:
    """The terms of placed pods that select this pod."""
    meta = pod.pod.metadata
    return tuple(
        owned
        for owned, owners in snapshot.owned.items()
        if owners.counts and owned.term.selects(meta.namespace, meta.labels, snapshot.namespace_labels)
    )


def signature(pod: PodInfo, snapshot: Snapshot) -> Hashable:
    own = pod.terms
    meta = pod.pod.metadata
    themselves = tuple(one.term.selects(meta.namespace, meta.labels, snapshot.namespace_labels) for one in own)
    return own, themselves, matching(pod, snapshot) if snapshot.owned else ()


def plugin(args: Args) -> Plugin:
    """The plugin with other arguments."""

    def domains(pod: PodInfo, snapshot: Snapshot) -> tuple[DomainRule, ...]:
        return (*_own(pod, snapshot), *_of_others(pod, snapshot, args))

    return Plugin(
        "InterPodAffinity",
        domains=domains,
        grade=grade,
        signature=signature,
        weight=2,
        wakes_on=frozenset({"node added", "node changed", "pod gone", "pod added", "namespace"}),
    )


PLUGIN = plugin(Args())
