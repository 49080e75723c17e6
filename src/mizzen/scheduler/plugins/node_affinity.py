"""NodeAffinity: nodeSelector and required terms must match, preferred terms attract.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#node-affinity
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from mizzen.api.views.core import NodeAffinity
from mizzen.scheduler.framework import NodeFilter, Plugin, Ranked, Reject, share_of_most
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

_ADDED = Reject("node(s) didn't match scheduler-enforced node affinity", resolvable=False)
_REJECT = Reject("node(s) didn't match Pod's node affinity/selector", resolvable=False)


def matches(pod: PodInfo, node: NodeInfo) -> bool:
    """Whether a node satisfies the pod's nodeSelector and its required node affinity."""
    labels = node.labels
    if any(labels.get(key) != value for key, value in pod.pod.spec.nodeSelector.items()):
        return False
    affinity = pod.pod.spec.affinity
    if affinity is None or affinity.nodeAffinity is None:
        return True
    required = affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution
    return required is None or required.matches(node.name, labels)


def only(pod: PodInfo, snapshot: Snapshot) -> frozenset[str] | None:
    """The nodes that every required term names by their fields, as terms of DaemonSets do; None when one does not."""
    affinity = pod.pod.spec.affinity
    if affinity is None or affinity.nodeAffinity is None:
        return None
    required = affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution
    if required is None or not required.nodeSelectorTerms:
        return None
    names: set[str] = set()
    for term in required.nodeSelectorTerms:
        fields = [one for one in term.matchFields if one.key == "metadata.name" and one.operator == "In"]
        if not fields:
            return None
        names |= set.intersection(*(set(one.values) for one in fields))
    return frozenset(names)


def parse(document: Mapping[str, Any]) -> NodeAffinity:
    """NodeAffinityArgs: the affinity that is added to every pod's own. Raises ValueError."""
    return msgspec.convert(document.get("addedAffinity") or {}, NodeAffinity)


def _filter(pod: PodInfo, added: NodeAffinity) -> NodeFilter | None:
    spec = pod.pod.spec
    everywhere = added.requiredDuringSchedulingIgnoredDuringExecution
    if not spec.nodeSelector and (spec.affinity is None or spec.affinity.nodeAffinity is None) and everywhere is None:
        return None

    def verdict(node: NodeInfo) -> Reject | None:
        if everywhere is not None and not everywhere.matches(node.name, node.labels):
            return _ADDED
        return None if matches(pod, node) else _REJECT

    return verdict


def _score(pod: PodInfo, added: NodeAffinity) -> Ranked | None:
    affinity = pod.pod.spec.affinity
    preferred = added.preferredDuringSchedulingIgnoredDuringExecution
    if affinity is not None and affinity.nodeAffinity is not None:
        preferred = (*preferred, *affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution)
    if not preferred:
        return None

    def reached(node: NodeInfo) -> int:
        return sum(term.weight for term in preferred if term.preference.matches(node.name, node.labels))

    return Ranked(reached, share_of_most)


def plugin(added: NodeAffinity) -> Plugin:
    """The plugin with affinity that is added to every pod's own."""
    return Plugin(
        "NodeAffinity",
        only=only,
        filter=lambda pod, snapshot: _filter(pod, added),
        score=lambda pod, snapshot: _score(pod, added),
        weight=2,
        wakes_on=frozenset({"node added", "node changed"}),
    )


PLUGIN = plugin(NodeAffinity())
