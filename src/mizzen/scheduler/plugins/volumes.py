"""VolumeBinding and VolumeRestrictions: a pod goes where its volumes can be.

Bound claims tie it to their volume's nodes; claims that wait for their first consumer must have a class that can
provide, or a fitting free volume, on the node; a ReadWriteOncePod claim has one user.
Ref: https://kubernetes.io/docs/concepts/storage/storage-classes/#volume-binding-mode
"""

from collections.abc import Hashable, Iterator

import msgspec

from mizzen.api.views.core import PersistentVolume, PersistentVolumeClaim
from mizzen.machinery import quantity
from mizzen.scheduler.framework import NodeFilter, Plugin, Reject
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

NO_PROVISIONER = "kubernetes.io/no-provisioner"
_CONFLICT = Reject("node(s) had volume node affinity conflict", resolvable=False)
_NO_VOLUME = Reject("node(s) didn't find available persistent volumes to bind", resolvable=False)
_IN_USE = Reject("node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode")


def claims(pod: PodInfo) -> tuple[str, ...]:
    """Names of the pod's claims, those of generic ephemeral volumes included."""
    names = []
    for volume in pod.pod.spec.volumes:
        if volume.persistentVolumeClaim is not None:
            names.append(volume.persistentVolumeClaim.claimName)
        elif volume.ephemeral is not None:
            names.append(f"{pod.pod.metadata.name}-{volume.name}")
    return tuple(names)


def bound_volumes(pod: PodInfo, snapshot: Snapshot) -> tuple[PersistentVolume, ...]:
    """The volumes that the pod's claims are bound to."""
    found = (snapshot.lookups.claim(pod.pod.metadata.namespace, name) for name in claims(pod))
    volumes = (snapshot.lookups.volume(one.spec.volumeName) for one in found if one is not None)
    return tuple(one for one in volumes if one is not None)


def waits(claim: PersistentVolumeClaim, snapshot: Snapshot) -> bool:
    """Whether an unbound claim is bound only when a pod is placed."""
    found = snapshot.lookups.storage_class(claim.spec.storageClassName or "")
    return found is not None and found.volumeBindingMode == "WaitForFirstConsumer"


def refuse(pod: PodInfo, snapshot: Snapshot) -> Reject | None:
    namespace = pod.pod.metadata.namespace
    for name in claims(pod):
        claim = snapshot.lookups.claim(namespace, name)
        if claim is None:
            return Reject(f'persistentvolumeclaim "{name}" not found', resolvable=False)
        if claim.metadata.deleting:
            return Reject(f'persistentvolumeclaim "{name}" is being deleted', resolvable=False)
        if claim.status.phase == "Lost":
            return Reject(f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume', resolvable=False)
        if not claim.spec.volumeName and not waits(claim, snapshot):
            return Reject("pod has unbound immediate PersistentVolumeClaims", resolvable=False)
        if "ReadWriteOncePod" in claim.spec.accessModes:
            users = [user for user in snapshot.lookups.claim_users(namespace, name) if user != pod.key]
            if users:
                return _IN_USE
    return None


def filter_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeFilter | None:
    wanted = [
        claim for name in claims(pod) if (claim := snapshot.lookups.claim(pod.pod.metadata.namespace, name)) is not None
    ]
    if not wanted:
        return None
    bound = bound_volumes(pod, snapshot)
    unbound = [claim for claim in wanted if not claim.spec.volumeName]

    def verdict(node: NodeInfo) -> Reject | None:
        if not all(reaches(volume, node) for volume in bound):
            return _CONFLICT
        for claim in unbound:
            if not _can_provide(claim, node, snapshot) and free_volume(claim, node, snapshot) is None:
                return _NO_VOLUME
        return None

    return verdict


def reaches(volume: PersistentVolume, node: NodeInfo) -> bool:
    """Whether a node may use a volume."""
    affinity = volume.spec.nodeAffinity
    return affinity is None or affinity.required is None or affinity.required.matches(node.name, node.labels)


def _can_provide(claim: PersistentVolumeClaim, node: NodeInfo, snapshot: Snapshot) -> bool:
    found = snapshot.lookups.storage_class(claim.spec.storageClassName or "")
    if found is None or found.provisioner == NO_PROVISIONER:
        return False
    return not found.allowedTopologies or any(
        all(node.labels.get(one.key) in one.values for one in term.matchLabelExpressions)
        for term in found.allowedTopologies
    )


def free_volume(claim: PersistentVolumeClaim, node: NodeInfo, snapshot: Snapshot) -> PersistentVolume | None:
    """A volume that fits the claim, is free or kept for it, and can be used on the node."""
    wanted = quantity.parse(claim.spec.resources.requests.get("storage", 0)).nanos
    for volume in snapshot.lookups.volumes():
        if (
            volume.spec.storageClassName == (claim.spec.storageClassName or "")
            and _is_free(volume, claim)
            and volume.spec.volumeMode == claim.spec.volumeMode
            and set(claim.spec.accessModes) <= set(volume.spec.accessModes)
            and quantity.parse(volume.spec.capacity.get("storage", 0)).nanos >= wanted
            and (claim.spec.selector is None or claim.spec.selector.matches(volume.metadata.labels))
            and reaches(volume, node)
        ):
            return volume
    return None


def _is_free(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    reserved = volume.spec.claimRef
    if reserved is None:
        return volume.status.phase in ("", "Available") and not volume.metadata.deleting
    same = (reserved.namespace, reserved.name) == (claim.metadata.namespace, claim.metadata.name)
    return same and reserved.uid in ("", claim.metadata.uid)


def signature(pod: PodInfo, snapshot: Snapshot) -> Hashable:
    names = claims(pod)
    return tuple(_facts(pod, names, snapshot)) if names else ()


def _facts(pod: PodInfo, names: tuple[str, ...], snapshot: Snapshot) -> Iterator[Hashable]:
    for name in names:
        claim = snapshot.lookups.claim(pod.pod.metadata.namespace, name)
        if claim is None:
            yield name
        elif claim.spec.volumeName:
            volume = snapshot.lookups.volume(claim.spec.volumeName)
            facts = (volume.spec.nodeAffinity, sorted(volume.metadata.labels.items())) if volume else None
            yield msgspec.json.encode(facts) if facts else claim.spec.volumeName
        else:
            yield claim.metadata.uid, claim.spec.storageClassName


PLUGIN = Plugin(
    "VolumeBinding",
    refuse=refuse,
    filter=filter_nodes,
    signature=signature,
    wakes_on=frozenset({"node added", "node changed", "volume", "claim", "pod gone"}),
)
