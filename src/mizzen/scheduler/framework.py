"""What a plugin is: a value with pure functions, called at named points.

`filter` and `score` are given a pod once and answer a function of a node; pods whose `signature`s are equal are
decided alike. `domains` answers rules about topology domains (zones, hosts) that other pods' placement changes.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Literal

from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot
from mizzen.scheduler.terms import Tally

Event = Literal["node added", "node changed", "pod added", "pod gone", "volume", "claim", "namespace", "resource claim"]
"""What may unblock a waiting pod."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Why a node cannot take a pod. `resolvable`: removing pods from the node could change that."""

    reason: str
    resolvable: bool = True
    plugin: str = ""
    more: tuple[str, ...] = ()
    """Further reasons of the same plugin."""

    @property
    def reasons(self) -> tuple[str, ...]:
        return self.reason, *self.more


NodeFilter = Callable[[NodeInfo], Reject | None]
NodeScore = Callable[[NodeInfo], float]


@dataclass(frozen=True, slots=True)
class DomainRule:
    """A rule about the number of counted pods in a node's domain.

    `filter` and `score` are given that number and, for spreading, the smallest number among eligible domains.
    `missing` is the verdict on nodes without the label (None: such nodes pass and score 0). Scores are normalised
    to 0…100 over the domains in question, then weighed (by
    the plugin too).
    """

    tally: Tally
    missing: Reject | None = None
    filter: Callable[[int, int], Reject | None] | None = None
    score: Callable[[int, int], float] | None = None
    weight: float = 1.0
    eligible: Callable[[NodeInfo], bool] | None = None
    min_domains: int = 0
    unlabelled_last: bool = False
    """Nodes without the label score as the worst that have it."""

    @property
    def key(self) -> str:
        return self.tally.term.topology_key


@dataclass(frozen=True, slots=True)
class Plugin:
    """One scheduler plugin; absent functions are not called."""

    name: str
    refuse: Callable[[PodInfo, Snapshot], Reject | None] | None = None
    """A verdict on the pod itself, before any node is looked at."""
    only: Callable[[PodInfo, Snapshot], frozenset[str] | None] | None = None
    """The names of the only nodes that come into question, where that can be told without looking at nodes."""
    filter: Callable[[PodInfo, Snapshot], NodeFilter | None] | None = None
    score: Callable[[PodInfo, Snapshot], NodeScore | None] | None = None
    """Scores are 0…100, 100 best."""
    weight: float = 1.0
    domains: Callable[[PodInfo, Snapshot], tuple[DomainRule, ...]] | None = None
    signature: Callable[[PodInfo, Snapshot], Hashable] | None = None
    """What of the pod, beyond its spec, this plugin looks at."""
    wakes_on: frozenset[Event] = field(default_factory=frozenset)


def without_filter(plugin: Plugin) -> Plugin:
    """The plugin's wishes alone."""
    domains = plugin.domains
    if domains is None:
        return replace(plugin, refuse=None, only=None, filter=None)

    def wishes(pod: PodInfo, snapshot: Snapshot) -> tuple[DomainRule, ...]:
        return tuple(replace(rule, filter=None, missing=None) for rule in domains(pod, snapshot) if rule.score)

    return replace(plugin, refuse=None, only=None, filter=None, domains=wishes)


def without_score(plugin: Plugin) -> Plugin:
    """The plugin's demands alone."""
    domains = plugin.domains
    if domains is None:
        return replace(plugin, score=None)

    def demands(pod: PodInfo, snapshot: Snapshot) -> tuple[DomainRule, ...]:
        return tuple(replace(rule, score=None) for rule in domains(pod, snapshot) if rule.filter)

    return replace(plugin, score=None, domains=demands)
