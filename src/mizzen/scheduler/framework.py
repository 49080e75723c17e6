"""What a plugin is: a value with pure functions, called at named points.

`filter` and `score` are given a pod once and answer a function of a node; pods whose `signature`s are equal are
decided alike. `domains` answers rules about topology domains (zones, hosts) that other pods' placement changes.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot
from mizzen.scheduler.terms import Tally

Event = Literal[
    "node added",
    "node changed",
    "pod added",
    "pod gone",
    "volume",
    "claim",
    "namespace",
    "resource claim",
    "device class",
]
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
"""0…100, 100 best."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A score that depends on the other nodes: `of` a node a whole number of few values, alike for many nodes.

    `normalise` makes scores of 0…100 out of those that there are among the nodes that can take the pod.
    """

    of: Callable[[NodeInfo], int]
    normalise: Callable[[Sequence[int]], Sequence[int]]


@dataclass(frozen=True, slots=True)
class DomainRule:
    """A rule about the number of counted pods in a node's domain.

    `filter` is given that number and, for spreading, the smallest number among eligible domains. `missing` is the
    verdict on nodes without the label (None: such nodes pass).
    """

    tally: Tally
    missing: Reject | None = None
    filter: Callable[[int, int], Reject | None] | None = None
    eligible: Callable[[NodeInfo], bool] | None = None
    min_domains: int = 0
    wish: int = 0
    """The weight of an attraction, the maxSkew of a soft constraint; 0 for rules that only filter."""
    unlabelled_last: bool = False
    """Whether nodes without the label score 0, whatever other rules say."""

    @property
    def key(self) -> str:
        return self.tally.term.topology_key


@dataclass(frozen=True, slots=True)
class Standing:
    """Nodes that are alike to a plugin's rules with a wish: how many they are, and, rule by rule, where they stand.

    `domains`: the label's value (for hosts the number counted there), None without the label; `counts`: the number of
    pods counted in the domain.
    """

    nodes: int
    domains: tuple[str | int | None, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plugin:
    """One scheduler plugin; absent functions are not called."""

    name: str
    refuse: Callable[[PodInfo, Snapshot], Reject | None] | None = None
    """A verdict on the pod itself, before any node is looked at."""
    only: Callable[[PodInfo, Snapshot], frozenset[str] | None] | None = None
    """The names of the only nodes that come into question, where that can be told without looking at nodes."""
    filter: Callable[[PodInfo, Snapshot], NodeFilter | None] | None = None
    score: Callable[[PodInfo, Snapshot], NodeScore | Ranked | None] | None = None
    weight: float = 1.0
    domains: Callable[[PodInfo, Snapshot], tuple[DomainRule, ...]] | None = None
    grade: Callable[[Sequence[DomainRule], Sequence[Standing]], Sequence[int]] | None = None
    """Scores of 0…100 by the rules that have a wish, for all nodes that can take the pod."""
    signature: Callable[[PodInfo, Snapshot], Hashable] | None = None
    """What of the pod, beyond its spec, this plugin looks at."""
    wakes_on: frozenset[Event] = field(default_factory=frozenset)


def share_of_most(raw: Sequence[int]) -> list[int]:
    """Every score in hundredths of the highest, rounded down; all 0 when that is 0."""
    most = max(raw)
    return [100 * one // most for one in raw] if most else [0] * len(raw)


def without_filter(plugin: Plugin) -> Plugin:
    """The plugin's wishes alone."""
    domains = plugin.domains
    if domains is None:
        return replace(plugin, refuse=None, only=None, filter=None)

    def wishes(pod: PodInfo, snapshot: Snapshot) -> tuple[DomainRule, ...]:
        return tuple(replace(rule, filter=None, missing=None) for rule in domains(pod, snapshot) if rule.wish)

    return replace(plugin, refuse=None, only=None, filter=None, domains=wishes)


def without_score(plugin: Plugin) -> Plugin:
    """The plugin's demands alone."""
    domains = plugin.domains
    if domains is None:
        return replace(plugin, score=None)

    def demands(pod: PodInfo, snapshot: Snapshot) -> tuple[DomainRule, ...]:
        return tuple(replace(rule, wish=0) for rule in domains(pod, snapshot) if rule.filter)

    return replace(plugin, score=None, domains=demands, grade=None)
