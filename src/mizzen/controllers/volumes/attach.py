"""Attach and detach: a VolumeAttachment for every CSI volume on every node with a pod that uses it.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/volume-attachment-v1/
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mizzen.api.views.core import CSIVolumeSource, Node, PersistentVolume, PersistentVolumeClaim, Pod
from mizzen.api.views.storage import CSIDriver, VolumeAttachment
from mizzen.client.cache import BY_NODE, Cache, Index
from mizzen.client.resources import (
    CSI_DRIVERS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    VOLUME_ATTACHMENTS,
)
from mizzen.controllers.ownership import about
from mizzen.controllers.podgc import OUT_OF_SERVICE
from mizzen.controllers.pods import is_finished
from mizzen.controllers.status import created_at
from mizzen.controllers.volumes.binder import BY_VOLUME
from mizzen.controllers.volumes.protection import BY_CLAIM_USED, POD, claims_of
from mizzen.machinery import times
from mizzen.machinery.errors import Object
from mizzen.reconcile.controller import Controller, Watch, own
from mizzen.reconcile.plan import NOTHING, Action, Create, Delete, Note, Patch, Plan

OWN_NAMES = "csi-"
"""Attachments of other names are somebody else's and stay."""
BY_ATTACHED_NODE: Index[VolumeAttachment] = Index("node", lambda one: (one.spec.nodeName,))


BY_ATTACHED_VOLUME: Index[VolumeAttachment] = Index("volume", lambda one: (one.spec.source.persistentVolumeName,))
_SHARED_MODES = {"ReadOnlyMany", "ReadWriteMany"}
_LOOK_AGAIN = 15.0
_UNMOUNT_PATIENCE = 360.0
"""How long a node that is not ready is waited for, in seconds, before its volumes are detached all the same."""
_MULTI_ATTACH = (
    'Multi-Attach error for volume "{name}" Volume is already exclusively attached to one node and can\'t be attached '
    "to another"
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A node's name, the CSI volumes its pods need, its attachments, and the volumes it still has mounted by name."""

    node: str
    volumes: tuple[PersistentVolume, ...]
    attachments: tuple[VolumeAttachment, ...]
    mounted: frozenset[str | None]
    taken: Mapping[str, tuple[Pod, ...]] = field(default_factory=dict)
    """Volumes for one node that another node has (or gets first), and the pods here that wait for them."""
    silent_since: float | None = None
    """Since when the node is not ready; None while it is."""
    attached: tuple[str, ...] = ()
    """What is attached by now, as a node's status names volumes."""
    shown: tuple[str, ...] | None = None
    """What the node's status says of that; None when there is no node."""


def observe(cache: Cache, key: str) -> Snapshot:
    drivers = cache.of(CSI_DRIVERS, CSIDriver)
    claims = cache.of(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim)
    volumes = cache.of(PERSISTENT_VOLUMES, PersistentVolume)
    needed: dict[str, PersistentVolume] = {}
    users: dict[str, list[Pod]] = {}
    for pod in cache.of(PODS, Pod).by(BY_NODE, key):
        if is_finished(pod):
            continue
        for name in claims_of(pod):
            claim = claims.get(pod.metadata.namespace, name)
            volume = volumes.get("", claim.spec.volumeName) if claim is not None else None
            if volume is None or volume.spec.csi is None:
                continue
            driver = drivers.get("", volume.spec.csi.driver)
            if driver is None or driver.spec.attachRequired:
                needed[volume.metadata.name] = volume
                users.setdefault(volume.metadata.name, []).append(pod)
    attachments = cache.of(VOLUME_ATTACHMENTS, VolumeAttachment).by(BY_ATTACHED_NODE, key)
    taken = {name: tuple(users[name]) for name, volume in needed.items() if _is_taken(cache, key, volume)}
    mounted = frozenset(_mounted(cache, key, attachments))
    found = cache.of(NODES, Node).get("", key)
    shown = tuple(one.name for one in found.status.volumesAttached) if found is not None else None
    there = tuple(sorted(_attached(cache, attachments)))
    silent = _silent_since(cache, key)
    return Snapshot(key, tuple(needed.values()), tuple(attachments), mounted, taken, silent, there, shown)


def _attached(cache: Cache, attachments: Iterable[VolumeAttachment]) -> Iterable[str]:
    for one in attachments:
        volume = cache.of(PERSISTENT_VOLUMES, PersistentVolume).get("", one.spec.source.persistentVolumeName or "")
        if one.status.attached and volume is not None and volume.spec.csi is not None:
            yield _unique_name(volume.spec.csi)


def _unique_name(csi: CSIVolumeSource) -> str:
    return f"kubernetes.io/csi/{csi.driver}^{csi.volumeHandle}"


def _silent_since(cache: Cache, node: str) -> float | None:
    found = cache.of(NODES, Node).get("", node)
    ready = next((one for one in found.status.conditions if one.type == "Ready"), None) if found is not None else None
    if ready is None or ready.status == "True":
        return None
    return times.parse(ready.lastTransitionTime) if ready.lastTransitionTime else 0.0


def _is_taken(cache: Cache, node: str, volume: PersistentVolume) -> bool:
    """Whether a volume that one node can have is another's: attached there, or wanted there by an older pod."""
    modes = set(volume.spec.accessModes)
    if not modes or modes & _SHARED_MODES:
        return False
    attached = cache.of(VOLUME_ATTACHMENTS, VolumeAttachment).by(BY_ATTACHED_VOLUME, volume.metadata.name)
    where = {one.spec.nodeName for one in attached}
    if where:
        return node not in where
    claim = volume.spec.claimRef
    pods = cache.of(PODS, Pod).by(BY_CLAIM_USED, (claim.namespace, claim.name)) if claim is not None else ()
    placed = [pod for pod in pods if pod.spec.nodeName and not is_finished(pod)]
    first = min(placed, key=lambda pod: (created_at(pod.metadata), pod.metadata.uid), default=None)
    return first is not None and first.spec.nodeName != node


def _mounted(cache: Cache, node: str, attachments: Iterable[VolumeAttachment]) -> Iterable[str]:
    """The attached volumes that the node reports in use; a node out of service uses none."""
    found = cache.of(NODES, Node).get("", node)
    if found is None or any(taint.key == OUT_OF_SERVICE for taint in found.spec.taints):
        return
    in_use = set(found.status.volumesInUse)
    for one in attachments:
        name = one.spec.source.persistentVolumeName or ""
        volume = cache.of(PERSISTENT_VOLUMES, PersistentVolume).get("", name)
        csi = volume.spec.csi if volume is not None else None
        if csi is not None and _unique_name(csi) in in_use:
            yield name


def reconcile(seen: Snapshot, now: float) -> Plan:
    have = {one.spec.source.persistentVolumeName: one for one in seen.attachments}
    needed = {volume.metadata.name for volume in seen.volumes}
    patience = 0.0 if seen.silent_since is None else seen.silent_since + _UNMOUNT_PATIENCE - now
    # A node that is silent for long is not waited for: nobody else could have its volumes otherwise.
    mounted = seen.mounted if seen.silent_since is None or patience > 0 else frozenset()
    actions: list[Action] = []
    for volume in seen.volumes:
        if volume.metadata.name in have or volume.metadata.name in seen.taken or volume.spec.csi is None:
            continue
        csi = volume.spec.csi
        digest = hashlib.sha256(f"{csi.volumeHandle}{csi.driver}{seen.node}".encode()).hexdigest()
        spec = {
            "attacher": csi.driver,
            "nodeName": seen.node,
            "source": {"persistentVolumeName": volume.metadata.name},
        }
        body = {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "VolumeAttachment",
            "metadata": {"name": f"{OWN_NAMES}{digest}"},
            "spec": spec,
        }
        actions.append(Create(VOLUME_ATTACHMENTS, body))
    actions += (
        Delete(VOLUME_ATTACHMENTS, "", one.metadata.name, uid=one.metadata.uid)
        for name, one in have.items()
        if name is not None
        and one.metadata.name.startswith(OWN_NAMES)
        and name not in needed
        and name not in mounted
        and not one.metadata.deleting
    )
    if seen.shown is not None and seen.shown != seen.attached:
        listed = [{"name": name, "devicePath": ""} for name in seen.attached]
        change: Object = {"status": {"volumesAttached": listed or None}}
        actions.append(Patch(NODES, "", seen.node, change, subresource="status"))
    notes = tuple(
        Note(about(pod.metadata, POD), "FailedAttachVolume", _MULTI_ATTACH.format(name=name), "Warning")
        for name, pods in seen.taken.items()
        for pod in pods
    )
    waits = [one for name, one in have.items() if name in mounted and name not in needed]
    again = _LOOK_AGAIN if notes else patience + 1.0 if waits and patience > 0 else None
    return Plan(tuple(actions), notes, again) if actions or notes or again else NOTHING


def _node_of_pod(_cache: Cache, pod: Pod) -> Iterable[str]:
    return (pod.spec.nodeName,) if pod.spec.nodeName and any(claims_of(pod)) else ()


def _nodes_of_claim(cache: Cache, claim: PersistentVolumeClaim) -> Iterable[str]:
    meta = claim.metadata
    pods = cache.of(PODS, Pod).by(BY_CLAIM_USED, (meta.namespace, meta.name))
    return {pod.spec.nodeName for pod in pods if pod.spec.nodeName}


def _nodes_of_attachment(cache: Cache, one: VolumeAttachment) -> Iterable[str]:
    volume = cache.of(PERSISTENT_VOLUMES, PersistentVolume).get("", one.spec.source.persistentVolumeName or "")
    return {one.spec.nodeName, *(_nodes_of_volume(cache, volume) if volume is not None else ())}


def _node_concerns(old: Node, new: Node) -> bool:
    if old.status.volumesInUse != new.status.volumesInUse or old.spec.taints != new.spec.taints:
        return True
    return _readiness(old) != _readiness(new)


def _readiness(node: Node) -> str:
    return next((one.status for one in node.status.conditions if one.type == "Ready"), "")


def _nodes_of_volume(cache: Cache, volume: PersistentVolume) -> Iterable[str]:
    claims = cache.of(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim).by(BY_VOLUME, volume.metadata.name)
    return {node for claim in claims for node in _nodes_of_claim(cache, claim)}


CONTROLLER = Controller(
    name="attachdetach",
    watches=(
        Watch(PODS, Pod, _node_of_pod),
        Watch(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim, _nodes_of_claim),
        Watch(PERSISTENT_VOLUMES, PersistentVolume, _nodes_of_volume, lambda old, new: old.spec != new.spec),
        Watch(NODES, Node, own, _node_concerns),
        Watch(CSI_DRIVERS, CSIDriver),
        Watch(VOLUME_ATTACHMENTS, VolumeAttachment, _nodes_of_attachment),
    ),
    observe=observe,
    reconcile=reconcile,
)
