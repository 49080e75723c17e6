"""Pods that look alike to every plugin form a class; a class knows the best node for its next pod.

Feasibility and score are computed once per class and node, and again only for nodes that changed. Nodes are kept in
heaps by group: the values of the topology keys that the class's domain rules speak of (for the host itself the number
counted there) and the scores that are still to be normalised. A decision looks at the best node of each group, so its
cost grows with the groups, not the nodes.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from mizzen.scheduler.framework import DomainRule, NodeFilter, NodeScore, Plugin, Ranked, Reject, Standing
from mizzen.scheduler.snapshot import HOSTNAME, NodeInfo, PodInfo, Snapshot

Group = tuple[str | int | None, ...]


def class_key(pod: PodInfo, snapshot: Snapshot, plugins: Sequence[Plugin]) -> Hashable:
    """What two pods must have in common to be decided alike."""
    spec = pod.pod.spec
    parts: tuple[Any, ...] = (
        spec.nodeName,
        spec.nodeSelector,
        spec.affinity.nodeAffinity if spec.affinity else None,
        spec.tolerations,
        sorted(pod.requests.items()),
        pod.scored,
        [container.image for container in (*spec.initContainers, *spec.containers)],
        [volume.image.reference for volume in spec.volumes if volume.image is not None],
    )
    spread: Hashable = ()
    if spec.topologySpreadConstraints:
        spread = (pod.pod.metadata.namespace, tuple(sorted(pod.pod.metadata.labels.items())))
        parts = (*parts, spec.topologySpreadConstraints)
    signatures = tuple(plugin.signature(pod, snapshot) for plugin in plugins if plugin.signature)
    return msgspec.msgpack.encode(parts), pod.ports, spread, signatures


@dataclass(slots=True)
class _Rule:
    """A domain rule with the eligible domains of this class: how many nodes each value (or count) stands for."""

    rule: DomainRule
    key: str
    local: bool
    eligible: Counter[str | int]
    plugin: str

    def least(self) -> int:
        """The smallest number among eligible domains; 0 when there are fewer of them than minDomains."""
        if self.rule.eligible is None or not self.eligible:
            return 0
        if len(self.eligible) < self.rule.min_domains and not self.local:
            return 0
        if self.local:
            if self.eligible.total() < self.rule.min_domains:
                return 0
            return min(int(count) for count in self.eligible)
        counts = self.rule.tally.counts
        return min(counts.get(str(value), 0) for value in self.eligible)

    def component(self, labels: dict[str, str]) -> str | int | None:
        """A node's part in its group: its domain, or for hosts the number counted there; None without the label."""
        value = labels.get(self.key)
        return self.rule.tally.counts.get(value, 0) if self.local and value is not None else value

    def count(self, component: str | int) -> int:
        return int(component) if self.local else self.rule.tally.counts.get(str(component), 0)


@dataclass(slots=True)
class _Seen:
    """What the class remembers of a node since it was last evaluated."""

    version: int
    group: Group | None
    reject: Reject | None
    counted: Group
    """Its parts of the rules that count where they are eligible; None where it is not."""


class PodClass:
    """Keeps the verdict on every node for pods of one class."""

    def __init__(
        self, pod: PodInfo, snapshot: Snapshot, plugins: Sequence[Plugin], tiebreak: Callable[[], float]
    ) -> None:
        self._snapshot = snapshot
        self._tiebreak = tiebreak
        self._filters: list[tuple[str, NodeFilter]] = []
        self._scores: list[tuple[float, NodeScore]] = []
        self._ranked: list[tuple[float, Ranked]] = []
        self._rules: list[_Rule] = []
        self._graded: list[tuple[Plugin, tuple[int, ...]]] = []
        self._only: frozenset[str] | None = None
        picky: list[str] = []
        for plugin in plugins:
            if plugin.only and (names := plugin.only(pod, snapshot)) is not None:
                self._only = names if self._only is None else self._only & names
                picky.append(plugin.name)
            if plugin.filter and (found := plugin.filter(pod, snapshot)):
                self._filters.append((plugin.name, found))
            if plugin.score and (scorer := plugin.score(pod, snapshot)):
                if isinstance(scorer, Ranked):
                    self._ranked.append((plugin.weight, scorer))
                else:
                    self._scores.append((plugin.weight, scorer))
            if plugin.domains:
                self._add_rules(plugin, plugin.domains(pod, snapshot))
        self._seen: dict[str, _Seen] = {}
        self._counting = [
            (at, one.eligible, one.rule.eligible) for at, one in enumerate(self._rules) if one.rule.eligible
        ]
        self._demanding = [
            (at, _named(one.rule.missing, one.plugin)) for at, one in enumerate(self._rules) if one.rule.missing
        ]
        self._sizes: dict[Group, int] = {}
        self._heaps: dict[Group, list[tuple[float, float, str, int]]] = {}
        self._version = 0
        if self._counting:
            self._only = None  # the other nodes may count where the smallest number is looked for
        self._absent = Reject(f"node(s) didn't satisfy plugin(s) [{' '.join(picky)}]", False, " ".join(picky))
        self.dirty: set[str] = set(snapshot.nodes) if self._only is None else set(self._only)

    def _add_rules(self, plugin: Plugin, rules: Sequence[DomainRule]) -> None:
        first = len(self._rules)
        self._rules += [_Rule(rule, rule.key, rule.key == HOSTNAME, Counter(), plugin.name) for rule in rules]
        wishes = tuple(first + at for at, rule in enumerate(rules) if rule.wish)
        if plugin.grade and wishes:
            self._graded.append((plugin, wishes))

    @property
    def is_narrow(self) -> bool:
        """Whether but one node comes into question, as for pods of DaemonSets."""
        return self._only is not None and len(self._only) <= 1

    def best(self) -> str | None:
        """The node for the next pod of the class, or None when there is none."""
        self._refresh()
        leasts = [one.least() for one in self._rules]
        tops: dict[Group, tuple[float, float, str, int]] = {}
        for group in list(self._heaps):
            top = self._top(group)
            if top is not None and self._group_reject(group, leasts) is None:
                tops[group] = top
        if len(tops) < 2:
            return next((name for _, _, name, _ in tops.values()), None)
        bonus = self._bonuses(list(tops))
        # Of equals chance decides, as each node has drawn for itself.
        return min(
            (minus - more, draw, name) for (minus, draw, name, _), more in zip(tops.values(), bonus, strict=True)
        )[2]

    def reasons(self) -> dict[str, Reject]:
        """Why each node that cannot take the class's next pod cannot."""
        self._refresh()
        leasts = [one.least() for one in self._rules]
        found: dict[str, Reject] = {}
        if self._only is not None:
            found = dict.fromkeys(self._snapshot.nodes.keys() - self._only, self._absent)
        for name, seen in self._seen.items():
            reject = seen.reject or (self._group_reject(seen.group, leasts) if seen.group is not None else None)
            if reject is not None:
                found[name] = reject
        return found

    def feasible(self) -> dict[str, float]:
        """Every node that can take the class's next pod, with its whole score; extenders choose among them."""
        self._refresh()
        leasts = [one.least() for one in self._rules]
        groups = [group for group, size in self._sizes.items() if size and self._group_reject(group, leasts) is None]
        bonus = dict(zip(groups, self._bonuses(groups), strict=True)) if groups else {}
        return {
            name: bonus[group] - minus
            for group in groups
            for minus, _, name, version in self._heaps[group]
            if (seen := self._seen.get(name)) is not None and seen.version == version
        }

    def check(self, node: NodeInfo) -> Reject | None:
        """The verdict on one node as it is now, past everything remembered; preemption asks this."""
        for _, verdict in self._filters:
            if (reject := verdict(node)) is not None:
                return reject
        components = self._components(node)
        return self._missing(components) or self._group_reject(components, [one.least() for one in self._rules])

    def objections(self, node: NodeInfo) -> tuple[Reject, ...]:
        """Everything that stands in a node's way, where `check` stops at the first."""
        found = [_named(reject, plugin) for plugin, verdict in self._filters if (reject := verdict(node)) is not None]
        leasts = [one.least() for one in self._rules]
        for one, component, least in zip(self._rules, self._components(node), leasts, strict=True):
            if component is None:
                reject = one.rule.missing
            else:
                reject = one.rule.filter(one.count(component), least) if one.rule.filter is not None else None
            if reject is not None:
                found.append(_named(reject, one.plugin))
        return tuple(dict.fromkeys(found))

    def _refresh(self) -> None:
        if self.dirty:
            for name in self.dirty if self._only is None else self.dirty & self._only:
                self._evaluate(name)
            self.dirty.clear()

    def _evaluate(self, name: str) -> None:
        known = self._seen.pop(name, None)
        node = self._snapshot.nodes.get(name)
        if known is not None:
            self._count_eligible(known.counted, -1)
            if known.group is not None:
                self._leave(known.group)
        if node is None:
            return
        self._version += 1
        components = self._components(node)
        counted = tuple(
            [
                component if (component := components[at]) is not None and is_eligible(node) else None
                for at, _, is_eligible in self._counting
            ]
        )
        self._count_eligible(counted, 1)
        reject = self._node_reject(node) or self._missing(components)
        if reject is not None:
            self._seen[name] = _Seen(self._version, None, reject, counted)
            return
        group = (*components, *[scorer.of(node) for _, scorer in self._ranked])
        self._seen[name] = _Seen(self._version, group, None, counted)
        self._sizes[group] = self._sizes.get(group, 0) + 1
        score = 0.0
        for weight, scorer in self._scores:
            score += weight * scorer(node)
        entry = (-score, self._tiebreak(), name, self._version)
        heapq.heappush(self._heaps.setdefault(group, []), entry)

    def _leave(self, group: Group) -> None:
        """A node is no longer, or not yet again, in its group."""
        self._sizes[group] -= 1
        if not self._sizes[group]:
            del self._sizes[group]

    def _node_reject(self, node: NodeInfo) -> Reject | None:
        for plugin, verdict in self._filters:
            if (reject := verdict(node)) is not None:
                return _named(reject, plugin)
        return None

    def _components(self, node: NodeInfo) -> Group:
        if not self._rules:
            return ()
        labels = node.labels
        return tuple([one.component(labels) for one in self._rules])

    def _missing(self, components: Group) -> Reject | None:
        for at, reject in self._demanding:
            if components[at] is None:
                return reject
        return None

    def _count_eligible(self, counted: Group, sign: int) -> None:
        for (_, eligible, _), component in zip(self._counting, counted, strict=True):
            if component is not None:
                eligible[component] += sign
                if not eligible[component]:
                    del eligible[component]

    def _group_reject(self, group: Group, leasts: list[int]) -> Reject | None:
        for one, component, least in zip(self._rules, group, leasts, strict=False):
            if component is None or one.rule.filter is None:
                continue
            if (reject := one.rule.filter(one.count(component), least)) is not None:
                return _named(reject, one.plugin)
        return None

    def _top(self, group: Group) -> tuple[float, float, str, int] | None:
        """The best live entry of a group; stale ones are dropped on the way."""
        heap = self._heaps[group]
        while heap:
            seen = self._seen.get(heap[0][2])
            if seen is not None and seen.version == heap[0][3]:
                return heap[0]
            heapq.heappop(heap)
        del self._heaps[group]
        return None

    def _bonuses(self, groups: list[Group]) -> list[float]:
        """For each group of those that can take the pod what normalised scores and rules add."""
        totals = [0.0] * len(groups)
        for at, (weight, scorer) in enumerate(self._ranked, len(self._rules)):
            ranks = [value for group in groups if isinstance(value := group[at], int)]
            distinct = tuple(dict.fromkeys(ranks))
            scores = dict(zip(distinct, scorer.normalise(distinct), strict=True))
            for position, rank in enumerate(ranks):
                totals[position] += weight * scores[rank]
        for plugin, wishes in self._graded:
            assert plugin.grade is not None
            standings = [self._standing(group, wishes) for group in groups]
            for position, value in enumerate(plugin.grade([self._rules[at].rule for at in wishes], standings)):
                totals[position] += plugin.weight * value
        return totals

    def _standing(self, group: Group, wishes: Sequence[int]) -> Standing:
        domains = tuple([group[at] for at in wishes])
        counts = [0 if one is None else self._rules[at].count(one) for at, one in zip(wishes, domains, strict=True)]
        return Standing(self._sizes[group], domains, tuple(counts))


def _named(reject: Reject, plugin: str) -> Reject:
    return reject if reject.plugin else replace(reject, plugin=plugin)
