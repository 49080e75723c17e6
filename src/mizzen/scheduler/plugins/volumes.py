"""VolumeBinding and VolumeRestrictions: a pod goes where its volumes can be.

Bound claims tie it to their volume's nodes; claims that wait for their first consumer must have a class that can
provide, or a fitting free volume, on the node; a ReadWriteOncePod claim has one user.
Ref: https://kubernetes.io/docs/concepts/storage/storage-classes/#volume-binding-mode
"""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from mizzen.api.views.core import PersistentVolume, PersistentVolumeClaim
from mizzen.api.views.storage import CSIStorageCapacity, StorageClass
from mizzen.machinery import quantity
from mizzen.scheduler.framework import NodeFilter, NodeScore, Plugin, Reject
from mizzen.scheduler.plugins import shape
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

NO_PROVISIONER: Final = "kubernetes.io/no-provisioner"
SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"
_ROOMY: Final = ((0, 100), (100, 0))
"""The more is left, the better."""
_CONFLICT: Final = "node(s) didn't match PersistentVolume's node affinity"
_NO_VOLUME: Final = "node(s) didn't find available persistent volumes to bind"
_NO_SPACE: Final = "node(s) did not have enough free storage"
_NO_SUCH_VOLUME: Final = Reject(
    "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)", resolvable=False
)
_IN_USE: Final = Reject(
    "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode",
    plugin="VolumeRestrictions",
)


def bound_volumes(pod: PodInfo, snapshot: Snapshot) -> tuple[PersistentVolume, ...]:
    """The volumes that the pod's claims are bound to, those that there are."""
    found = (snapshot.lookups.claim(pod.pod.metadata.namespace, name) for name in pod.claims)
    volumes = (snapshot.lookups.volume(one.spec.volumeName) for one in found if one is not None)
    return tuple(one for one in volumes if one is not None)


def waits(claim: PersistentVolumeClaim, snapshot: Snapshot) -> bool:
    """Whether an unbound claim is bound only when a pod is placed."""
    found = _class_of(claim, snapshot)
    return found is not None and found.volumeBindingMode == "WaitForFirstConsumer"


def refuse(pod: PodInfo, snapshot: Snapshot) -> Reject | None:
    if not pod.claims:
        return None
    namespace, meta = pod.pod.metadata.namespace, pod.pod.metadata
    ephemeral = {f"{meta.name}-{one.name}" for one in pod.pod.spec.volumes if one.ephemeral is not None}
    for name in pod.claims:
        claim = snapshot.lookups.claim(namespace, name)
        if claim is None:
            late = "waiting for ephemeral volume controller to create the persistentvolumeclaim"
            text = f'{late} "{name}"' if name in ephemeral else f'persistentvolumeclaim "{name}" not found'
            return Reject(text, resolvable=False)
        if claim.metadata.deleting:
            return Reject(f'persistentvolumeclaim "{name}" is being deleted', resolvable=False)
        if claim.status.phase == "Lost":
            return Reject(f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume', resolvable=False)
        if name in ephemeral and (owner := claim.metadata.controller) is not None and owner.uid != meta.uid:
            text = f"PVC {namespace}/{name} was not created for pod {pod.key} (pod is not owner)"
            return Reject(text, resolvable=False)
        if not claim.spec.volumeName and not waits(claim, snapshot):
            return Reject("pod has unbound immediate PersistentVolumeClaims", resolvable=False)
    return None


def filter_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeFilter | None:
    namespace = pod.pod.metadata.namespace
    wanted = [one for name in pod.claims if (one := snapshot.lookups.claim(namespace, name)) is not None]
    if not wanted:
        return None
    bound = bound_volumes(pod, snapshot)
    unbound = [claim for claim in wanted if not claim.spec.volumeName]
    lost = len(bound) + len(unbound) < len(wanted)
    alone = [one.metadata.name for one in wanted if "ReadWriteOncePod" in one.spec.accessModes]
    free = Free(unbound, snapshot)

    def verdict(node: NodeInfo) -> Reject | None:
        if any(snapshot.claim_users.get((namespace, name), set()) - {pod.key} for name in alone):
            return _IN_USE
        if lost:
            return _NO_SUCH_VOLUME
        reasons = [] if all(reaches(volume, node) for volume in bound) else [_CONFLICT]
        reasons += free.lacking(node)
        return Reject(reasons[0], resolvable=False, more=tuple(reasons[1:])) if reasons else None

    return verdict


def reaches(volume: PersistentVolume, node: NodeInfo) -> bool:
    """Whether a node may use a volume."""
    affinity = volume.spec.nodeAffinity
    return affinity is None or affinity.required is None or affinity.required.matches(node.name, node.labels)


def parse(document: Mapping[str, Any]) -> shape.Shape:
    """VolumeBindingArgs: how much of the storage that a node offers should be used. Raises ValueError."""
    return shape.parse(document.get("shape") or (), "shape") or _ROOMY


def _score(pod: PodInfo, snapshot: Snapshot, points: shape.Shape) -> NodeScore | None:
    """How the storage classes of the pod's claims are used: volumes that are there before those to be made."""
    namespace = pod.pod.metadata.namespace
    wanted = [one for name in pod.claims if (one := snapshot.lookups.claim(namespace, name)) is not None]
    unbound = [claim for claim in wanted if not claim.spec.volumeName]
    if not unbound:
        return None
    free = Free(unbound, snapshot)

    def score(node: NodeInfo) -> int:
        classes = free.use(node)
        scores = [shape.score(points, used, have) for used, have in classes.values()]
        return math.floor(sum(scores) / len(scores) + 0.5) if scores else 0

    return score


class Free:
    """What unbound claims can get: for each the free volumes that fit it, the smallest first."""

    def __init__(self, claims: Sequence[PersistentVolumeClaim], snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._fitting = [
            (claim, sorted(_fitting(claim, snapshot), key=lambda one: (one.spec.claimRef is None, _capacity(one))))
            for claim in sorted(claims, key=_wanted)
        ]

    def chosen(self, node: NodeInfo) -> Mapping[str, PersistentVolume | None]:
        """A volume of the node for every claim by its name, none twice; None where there is none."""
        taken: set[str] = set()
        found: dict[str, PersistentVolume | None] = {}
        for claim, volumes in self._fitting:
            mine = next((one for one in volumes if one.metadata.name not in taken and reaches(one, node)), None)
            found[claim.metadata.name] = mine
            if mine is not None:
                taken.add(mine.metadata.name)
        return found

    def use(self, node: NodeInfo) -> dict[str, tuple[int, int]]:
        """What is asked for, and what the node offers, by storage class; not of drivers that do not tell."""
        chosen = self.chosen(node)
        found: dict[str, tuple[int, int]] = {}
        there = any(volume is not None for volume in chosen.values())
        for claim, _ in self._fitting:
            name, volume = claim.spec.storageClassName or "", chosen[claim.metadata.name]
            used, have = found.get(name, (0, 0))
            if volume is not None:
                found[name] = used + _wanted(claim), have + _capacity(volume)
            elif not there and (space := _space(claim, node, self._snapshot)) is not None:
                found[name] = used + _wanted(claim), quantity.parse(space.capacity or 0).nanos
        return found

    def lacking(self, node: NodeInfo) -> list[str]:
        """Why not all claims can have a volume on the node; nothing when they can."""
        if not self._fitting:
            return []
        chosen = self.chosen(node)
        reasons: list[str] = []
        for claim, _ in self._fitting:
            selected = claim.metadata.annotations.get(SELECTED_NODE, "")
            if selected and selected != node.name:
                reasons.append(_NO_VOLUME)  # its provisioner is at work for another node
            elif chosen[claim.metadata.name] is None:
                reasons += _unprovided(claim, node, self._snapshot)
        return sorted(set(reasons))


def _unprovided(claim: PersistentVolumeClaim, node: NodeInfo, snapshot: Snapshot) -> list[str]:
    """Why no volume can be made for a claim on a node; nothing when one can."""
    kind = _class_of(claim, snapshot)
    if kind is None or kind.provisioner in ("", NO_PROVISIONER):
        return [_NO_VOLUME]
    possible = not kind.allowedTopologies or any(
        all(node.labels.get(one.key) in one.values for one in term.matchLabelExpressions)
        for term in kind.allowedTopologies
    )
    if not possible:
        return [_NO_VOLUME]
    if not _tells_capacity(kind, snapshot):
        return []
    return [] if _space(claim, node, snapshot) is not None else [_NO_SPACE]


def _tells_capacity(kind: StorageClass, snapshot: Snapshot) -> bool:
    driver = snapshot.lookups.csi_driver(kind.provisioner)
    return driver is not None and bool(driver.spec.storageCapacity)


def _space(claim: PersistentVolumeClaim, node: NodeInfo, snapshot: Snapshot) -> CSIStorageCapacity | None:
    """What a driver told of the storage out of which a claim's volume would be made on a node."""
    kind = _class_of(claim, snapshot)
    if kind is None or not _tells_capacity(kind, snapshot):
        return None
    wanted, known = _wanted(claim), snapshot.lookups.storage_capacities()
    return next((one for one in known if _has_space(one, kind, node, wanted)), None)


def _has_space(capacity: CSIStorageCapacity, kind: StorageClass, node: NodeInfo, wanted: int) -> bool:
    """Whether a driver told that so much can be had on the node.

    Ref: https://kubernetes.io/docs/concepts/storage/storage-capacity/
    """
    if capacity.storageClassName != kind.metadata.name or capacity.nodeTopology is None:
        return False
    limit = capacity.maximumVolumeSize if capacity.maximumVolumeSize is not None else capacity.capacity
    enough = limit is not None and quantity.parse(limit).nanos >= wanted
    return enough and capacity.nodeTopology.matches(node.labels)


def _fitting(claim: PersistentVolumeClaim, snapshot: Snapshot) -> Iterator[PersistentVolume]:
    """Volumes that fit the claim and are free, or kept for it."""
    spec, wanted = claim.spec, _wanted(claim)
    for volume in snapshot.lookups.volumes():
        if (
            volume.spec.storageClassName == (spec.storageClassName or "")
            and _is_free(volume, claim)
            and volume.spec.volumeMode == spec.volumeMode
            and (volume.spec.volumeAttributesClassName or "") == (spec.volumeAttributesClassName or "")
            and set(spec.accessModes) <= set(volume.spec.accessModes)
            and _capacity(volume) >= wanted
            and (spec.selector is None or spec.selector.matches(volume.metadata.labels))
        ):
            yield volume


def _is_free(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    reserved = volume.spec.claimRef
    if reserved is None:
        return volume.status.phase in ("", "Available") and not volume.metadata.deleting
    same = (reserved.namespace, reserved.name) == (claim.metadata.namespace, claim.metadata.name)
    return same and reserved.uid in ("", claim.metadata.uid)


def _capacity(volume: PersistentVolume) -> int:
    return quantity.parse(volume.spec.capacity.get("storage", 0)).nanos


def _wanted(claim: PersistentVolumeClaim) -> int:
    return quantity.parse(claim.spec.resources.requests.get("storage", 0)).nanos


def _class_of(claim: PersistentVolumeClaim, snapshot: Snapshot) -> StorageClass | None:
    return snapshot.lookups.storage_class(claim.spec.storageClassName or "")


def signature(pod: PodInfo, snapshot: Snapshot) -> Hashable:
    return tuple(_facts(pod, snapshot)) if pod.claims else ()


def _facts(pod: PodInfo, snapshot: Snapshot) -> Iterator[Hashable]:
    namespace = pod.pod.metadata.namespace
    for name in pod.claims:
        claim = snapshot.lookups.claim(namespace, name)
        if claim is None:
            yield name
            continue
        if "ReadWriteOncePod" in claim.spec.accessModes:
            # Who uses it elsewhere matters on every node, and for this very pod.
            yield pod.key, frozenset(snapshot.claim_users.get((namespace, name), ()))
        if claim.spec.volumeName:
            volume = snapshot.lookups.volume(claim.spec.volumeName)
            facts = (volume.spec.nodeAffinity, sorted(volume.metadata.labels.items())) if volume else None
            yield msgspec.json.encode(facts) if facts else claim.spec.volumeName
        else:
            yield claim.metadata.uid, claim.spec.storageClassName


def plugin(points: shape.Shape) -> Plugin:
    """The plugin with another idea of how much of a node's storage should be used."""

    def score_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeScore | None:
        return _score(pod, snapshot, points)

    return Plugin(
        "VolumeBinding",
        refuse=refuse,
        filter=filter_nodes,
        score=score_nodes,
        signature=signature,
        wakes_on=frozenset({"node added", "node changed", "volume", "claim", "pod gone"}),
    )


PLUGIN = plugin(_ROOMY)
