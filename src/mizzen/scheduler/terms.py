"""Selections of pods by topology domain: what affinity, anti-affinity and spreading count.

A `Term` names the pods (namespaces and labels) and the node label that makes the domains; a `Tally` counts them.
Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from mizzen.api.views.core import Node, NodeSelector, Pod, PodAffinityTerm, Toleration, TopologySpreadConstraint
from mizzen.api.views.meta import LabelSelector, Requirement

Role = Literal["anti-required", "affinity-required", "affinity-preferred", "anti-preferred"]
NamespaceLabels = Callable[[str], Mapping[str, str]]
Keys = tuple[str, ...]
_Expressions = tuple[tuple[str, str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Among:
    """The nodes whose pods count: by labels, required affinity, the taints that are tolerated, and labels they have.

    `tolerations`: None when taints do not matter.
    """

    pairs: tuple[tuple[str, str], ...] = ()
    required: NodeSelector | None = None
    tolerations: tuple[Toleration, ...] | None = None
    keys: tuple[str, ...] = ()

    def holds(self, node: Node) -> bool:
        labels = node.metadata.labels
        if any(labels.get(key) != value for key, value in self.pairs) or any(key not in labels for key in self.keys):
            return False
        if self.required is not None and not self.required.matches(node.metadata.name, labels):
            return False
        return self.tolerations is None or all(
            taint.effect == "PreferNoSchedule" or any(one.tolerates(taint) for one in self.tolerations)
            for taint in node.spec.taints
        )


@dataclass(frozen=True, slots=True)
class Term:
    """Which pods, by which node label. Hashable, so that equal terms share one tally.

    `pairs` and `expressions` hold the label selector; None selects nothing. `all_namespaces` is an empty
    namespaceSelector; `namespace_selector` any other. `also`: terms that must select the pod, too.
    """

    topology_key: str
    namespaces: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...] | None
    expressions: _Expressions = ()
    all_namespaces: bool = False
    namespace_selector: tuple[tuple[tuple[str, str], ...], _Expressions] | None = None
    ignores_deleting: bool = False
    among: Among | None = None
    also: "tuple[Term, ...]" = ()

    def selects(self, namespace: str, labels: Mapping[str, str], of_namespace: NamespaceLabels) -> bool:
        """Whether a pod with these labels in this namespace is meant."""
        if self.pairs is None or not _holds(self.pairs, self.expressions, labels):
            return False
        if self.also and not all(one.selects(namespace, labels, of_namespace) for one in self.also):
            return False
        if self.all_namespaces or namespace in self.namespaces:
            return True
        return self.namespace_selector is not None and _holds(*self.namespace_selector, of_namespace(namespace))

    @property
    def reads_namespaces(self) -> bool:
        """Whether labels of namespaces matter."""
        return self.namespace_selector is not None or any(one.reads_namespaces for one in self.also)


@dataclass(frozen=True, slots=True)
class OwnedTerm:
    """A term of a placed pod that concerns pods still to come, with its weight where it is a preference."""

    role: Role
    term: Term
    weight: int = 0


@dataclass(slots=True, eq=False)
class Tally:
    """Placed pods by the value of the topology key."""

    term: Term
    counts: dict[str, int] = field(default_factory=dict)
    total: int = 0

    def add(self, value: str, number: int) -> None:
        self.total += number
        count = self.counts.get(value, 0) + number
        if count:
            self.counts[value] = count
        else:
            self.counts.pop(value, None)


def affinity_term(term: PodAffinityTerm, pod: Pod) -> Term:
    """The term as it reads for one pod: its own namespace by default, matchLabelKeys resolved from its labels."""
    pairs, expressions = _selector(term.labelSelector)
    own = pod.metadata.labels
    extra = tuple((key, "In", (own[key],)) for key in term.matchLabelKeys if key in own)
    extra += tuple((key, "NotIn", (own[key],)) for key in term.mismatchLabelKeys if key in own)
    selector = term.namespaceSelector
    namespaces = term.namespaces or (() if selector is not None else (pod.metadata.namespace,))
    chosen = None if selector is None or selector.empty else _selector(selector)
    return Term(
        topology_key=term.topologyKey,
        namespaces=tuple(sorted(namespaces)),
        pairs=pairs,
        expressions=expressions + extra,
        all_namespaces=selector is not None and selector.empty,
        namespace_selector=None if chosen is None or chosen[0] is None else (chosen[0], chosen[1]),
    )


def spread_term(constraint: TopologySpreadConstraint, selector: LabelSelector | None, keys: Keys, pod: Pod) -> Term:
    """The pods of the same namespace that a spread constraint counts; `keys`: what labels nodes must have to matter."""
    pairs, expressions = _selector(selector)
    own = pod.metadata.labels
    extra = tuple((key, "In", (own[key],)) for key in constraint.matchLabelKeys if key in own)
    among = _among(constraint, keys, pod)
    namespaces = (pod.metadata.namespace,)
    return Term(constraint.topologyKey, namespaces, pairs, expressions + extra, ignores_deleting=True, among=among)


def _among(constraint: TopologySpreadConstraint, keys: Keys, pod: Pod) -> Among | None:
    """The nodes that count by the constraint's policies; None for all."""
    spec = pod.spec
    others = tuple(sorted(set(keys) - {constraint.topologyKey}))
    among = Among(keys=others)
    if constraint.nodeAffinityPolicy != "Ignore":
        affinity = spec.affinity.nodeAffinity if spec.affinity is not None else None
        required = affinity.requiredDuringSchedulingIgnoredDuringExecution if affinity is not None else None
        among = replace(among, pairs=tuple(sorted(spec.nodeSelector.items())), required=required)
    if constraint.nodeTaintsPolicy == "Honor":
        among = replace(among, tolerations=spec.tolerations)
    return among if among != Among() else None


def owned_terms(pod: Pod) -> tuple[OwnedTerm, ...]:
    """What a placed pod asks of pods that come later."""
    return tuple(_owned(pod)) if pod.spec.affinity else ()


def _owned(pod: Pod) -> Iterator[OwnedTerm]:
    affinity = pod.spec.affinity
    assert affinity is not None
    if (anti := affinity.podAntiAffinity) is not None:
        for term in anti.requiredDuringSchedulingIgnoredDuringExecution:
            yield OwnedTerm("anti-required", affinity_term(term, pod))
        for weighted in anti.preferredDuringSchedulingIgnoredDuringExecution:
            yield OwnedTerm("anti-preferred", affinity_term(weighted.podAffinityTerm, pod), weighted.weight)
    if (toward := affinity.podAffinity) is not None:
        for term in toward.requiredDuringSchedulingIgnoredDuringExecution:
            yield OwnedTerm("affinity-required", affinity_term(term, pod), 1)
        for weighted in toward.preferredDuringSchedulingIgnoredDuringExecution:
            yield OwnedTerm("affinity-preferred", affinity_term(weighted.podAffinityTerm, pod), weighted.weight)


def _selector(selector: LabelSelector | None) -> tuple[tuple[tuple[str, str], ...] | None, _Expressions]:
    if selector is None:
        return None, ()
    expressions = tuple((one.key, one.operator, one.values) for one in selector.matchExpressions)
    return tuple(sorted(selector.matchLabels.items())), expressions


def _holds(pairs: tuple[tuple[str, str], ...], expressions: _Expressions, labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in pairs) and all(
        Requirement(key, operator, values).matches(labels) for key, operator, values in expressions
    )
