"""VolumeZone: a bound volume that carries zone or region labels can be used on nodes of those zones only."""

from mizzen.scheduler.framework import NodeFilter, Plugin, Reject
from mizzen.scheduler.plugins.volumes import bound_volumes, signature
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

_KEYS = (
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
)
_SEPARATOR = "__"
_REJECT = Reject("node(s) had no available volume zone", resolvable=False)


def filter_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeFilter | None:
    if not pod.claims:
        return None
    limits = [
        (key, frozenset(value.split(_SEPARATOR)))
        for volume in bound_volumes(pod, snapshot)
        for key in _KEYS
        if (value := volume.metadata.labels.get(key))
    ]
    if not limits:
        return None

    def verdict(node: NodeInfo) -> Reject | None:
        labels = node.labels
        if not any(key in labels for key in _KEYS):
            return None
        return None if all(labels.get(key) in allowed for key, allowed in limits) else _REJECT

    return verdict


PLUGIN = Plugin(
    "VolumeZone",
    filter=filter_nodes,
    signature=signature,
    wakes_on=frozenset({"node added", "node changed", "volume", "claim"}),
)
