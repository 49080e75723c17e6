"""NodeVolumeLimits: a CSI driver attaches no more volumes to a node than its CSINode says.

Ref: https://kubernetes.io/docs/concepts/storage/storage-limits/
"""

from collections.abc import Iterator

from mizzen.scheduler.framework import NodeFilter, Plugin, Reject
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

_REJECT = Reject("node(s) exceed max volume count")
_MISSING = Reject("node(s) did not have the required CSI driver installed", resolvable=False)


def filter_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeFilter | None:
    wanted = set(_attachments(pod, snapshot))
    if not wanted:
        return None
    strict = [name for name in {driver for driver, _ in wanted} if _must_be_there(name, snapshot)]

    def verdict(node: NodeInfo) -> Reject | None:
        if any(name not in _drivers(node, snapshot) for name in strict):
            return _MISSING
        limits = _limits(node, snapshot)
        if not any(driver in limits for driver, _ in wanted):
            return None
        there = {one for other in node.pods.values() for one in _attachments(other, snapshot)}
        for driver in {driver for driver, _ in wanted - there}:
            if driver in limits and sum(1 for one in there | wanted if one[0] == driver) > limits[driver]:
                return _REJECT
        return None

    return verdict


def _must_be_there(driver: str, snapshot: Snapshot) -> bool:
    """Whether a driver keeps pods off nodes where it does not run yet."""
    found = snapshot.lookups.csi_driver(driver)
    return found is not None and found.spec.preventPodSchedulingIfMissing


def _drivers(node: NodeInfo, snapshot: Snapshot) -> set[str]:
    found = snapshot.lookups.csi_node(node.name)
    return {one.name for one in found.spec.drivers} if found is not None else set()


def _limits(node: NodeInfo, snapshot: Snapshot) -> dict[str, int]:
    found = snapshot.lookups.csi_node(node.name)
    if found is None:
        return {}
    counts = ((one.name, (one.allocatable or {}).get("count")) for one in found.spec.drivers)
    return {name: int(count) for name, count in counts if count is not None}


def _attachments(pod: PodInfo, snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """The pod's CSI volumes as (driver, handle); a claim without a volume stands for the one it will get."""
    namespace = pod.pod.metadata.namespace
    for name in pod.claims:
        claim = snapshot.lookups.claim(namespace, name)
        if claim is None:
            continue
        volume = snapshot.lookups.volume(claim.spec.volumeName) if claim.spec.volumeName else None
        if volume is not None:
            if volume.spec.csi is not None:
                yield volume.spec.csi.driver, volume.spec.csi.volumeHandle
            continue
        kind = snapshot.lookups.storage_class(claim.spec.storageClassName or "")
        if kind is not None:
            yield kind.provisioner, f"{namespace}/{name}"


PLUGIN = Plugin(
    "NodeVolumeLimits",
    filter=filter_nodes,
    signature=lambda pod, snapshot: frozenset(_attachments(pod, snapshot)) if pod.pod.spec.volumes else (),
    wakes_on=frozenset({"node added", "node changed", "pod gone", "volume", "claim"}),
)
