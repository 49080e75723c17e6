"""Attach and detach: a VolumeAttachment for every CSI volume on every node with a pod that uses it.

A volume that one node can have stays where it is until it is let go: that is why decisions are made by volume.
Ref: https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/volume-attachment-v1/
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mizzen.api.views.core import CSIVolumeSource, Node, PersistentVolume, PersistentVolumeClaim, Pod
from mizzen.api.views.storage import CSIDriver, VolumeAttachment
from mizzen.client.cache import Cache, Index
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
from mizzen.controllers.volumes.classes import is_claimed_by
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
    """A volume, the pods that use it where they run (the oldest first), and its attachments."""

    volume: PersistentVolume | None
    """None when it is gone, or need not be attached."""
    users: tuple[Pod, ...] = ()
    attachments: tuple[VolumeAttachment, ...] = ()
    mounted: frozenset[str] = frozenset()
    """The nodes that report it in use; one that is out of service uses nothing."""
    silent_since: Mapping[str, float] = field(default_factory=dict)
    """Since when those nodes are not ready that are not."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What is attached to a node by now, and what the node's status says of that."""

    node: str
    attached: tuple[str, ...]
    shown: tuple[str, ...]
    fresh: tuple[tuple[str, Pod], ...] = ()
    """Volumes that the status does not show yet, each with a pod of the node that waits for it."""


def observe(cache: Cache, key: str) -> Snapshot:
    volume = cache.of(PERSISTENT_VOLUMES, PersistentVolume).get("", key)
    attachments = tuple(cache.of(VOLUME_ATTACHMENTS, VolumeAttachment).by(BY_ATTACHED_VOLUME, key))
    csi = volume.spec.csi if volume is not None else None
    if volume is None or csi is None:
        return Snapshot(None, attachments=attachments)
    nodes = [cache.of(NODES, Node).get("", one.spec.nodeName) for one in attachments]
    present = [node for node in nodes if node is not None]
    mounted = frozenset(node.metadata.name for node in present if _has_mounted(node, csi))
    silent = {node.metadata.name: since for node in present if (since := _silent_since(node)) is not None}
    driver = cache.of(CSI_DRIVERS, CSIDriver).get("", csi.driver)
    if driver is not None and not driver.spec.attachRequired:
        return Snapshot(None, (), attachments, mounted, silent)
    return Snapshot(volume, tuple(_users(cache, volume)), attachments, mounted, silent)


def _users(cache: Cache, volume: PersistentVolume) -> list[Pod]:
    claims = cache.of(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim).by(BY_VOLUME, volume.metadata.name)
    owners = (claim.metadata for claim in claims if is_claimed_by(volume, claim))
    names = ((owner.namespace, owner.name) for owner in owners)
    found = (pod for name in names for pod in cache.of(PODS, Pod).by(BY_CLAIM_USED, name))
    placed = [pod for pod in found if pod.spec.nodeName and not is_finished(pod)]
    return sorted(placed, key=lambda pod: (created_at(pod.metadata), pod.metadata.uid))


def _has_mounted(node: Node, csi: CSIVolumeSource) -> bool:
    if any(taint.key == OUT_OF_SERVICE for taint in node.spec.taints):
        return False
    return _unique_name(csi) in node.status.volumesInUse


def _unique_name(csi: CSIVolumeSource) -> str:
    return f"kubernetes.io/csi/{csi.driver}^{csi.volumeHandle}"


def _silent_since(node: Node) -> float | None:
    ready = next((one for one in node.status.conditions if one.type == "Ready"), None)
    if ready is None or ready.status == "True":
        return None
    return times.parse(ready.lastTransitionTime) if ready.lastTransitionTime else 0.0


def reconcile(seen: Snapshot, now: float) -> Plan:
    where = {one.spec.nodeName for one in seen.attachments}
    wanted = {pod.spec.nodeName or "": pod for pod in reversed(seen.users)}
    actions: list[Action] = []
    refused: list[Pod] = []
    if seen.volume is not None:
        if _is_for_one_node(seen.volume):
            holders = where or {pod.spec.nodeName or "" for pod in seen.users[:1]}
            refused = [pod for pod in seen.users if pod.spec.nodeName not in holders]
            wanted = {node: pod for node, pod in wanted.items() if node in holders}
        actions += (_attachment(seen.volume, node) for node in sorted(wanted.keys() - where))
    again: list[float] = [_LOOK_AGAIN] if refused else []
    for one in seen.attachments:
        node = one.spec.nodeName
        if node in wanted or one.metadata.deleting or not one.metadata.name.startswith(OWN_NAMES):
            continue
        patience = seen.silent_since[node] + _UNMOUNT_PATIENCE - now if node in seen.silent_since else _LOOK_AGAIN
        # A node that is silent for long is not waited for: nobody else could have its volumes otherwise.
        if node not in seen.mounted or patience <= 0:
            actions.append(Delete(VOLUME_ATTACHMENTS, "", one.metadata.name, uid=one.metadata.uid))
        elif node in seen.silent_since:
            again.append(patience + 1.0)
    name = seen.volume.metadata.name if seen.volume is not None else ""
    text = _MULTI_ATTACH.format(name=name)
    notes = tuple(Note(about(pod.metadata, POD), "FailedAttachVolume", text, "Warning") for pod in refused)
    return Plan(tuple(actions), notes, min(again, default=None)) if actions or notes or again else NOTHING


def _is_for_one_node(volume: PersistentVolume) -> bool:
    modes = set(volume.spec.accessModes)
    return bool(modes) and not modes & _SHARED_MODES


def _attachment(volume: PersistentVolume, node: str) -> Create:
    csi = volume.spec.csi or CSIVolumeSource()
    digest = hashlib.sha256(f"{csi.volumeHandle}{csi.driver}{node}".encode()).hexdigest()
    body: Object = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "VolumeAttachment",
        "metadata": {"name": f"{OWN_NAMES}{digest}"},
        "spec": {
            "attacher": csi.driver,
            "nodeName": node,
            "source": {"persistentVolumeName": volume.metadata.name},
        },
    }
    return Create(VOLUME_ATTACHMENTS, body)


def observe_node(cache: Cache, key: str) -> Shown | None:
    node = cache.of(NODES, Node).get("", key)
    if node is None:
        return None
    volumes = cache.of(PERSISTENT_VOLUMES, PersistentVolume)
    there = (one for one in cache.of(VOLUME_ATTACHMENTS, VolumeAttachment).by(BY_ATTACHED_NODE, key))
    found = (volumes.get("", one.spec.source.persistentVolumeName or "") for one in there if one.status.attached)
    present = {_unique_name(one.spec.csi): one for one in found if one is not None and one.spec.csi is not None}
    shown = tuple(one.name for one in node.status.volumesAttached)
    fresh = tuple(
        (volume.metadata.name, pod)
        for name, volume in sorted(present.items())
        if name not in shown
        for pod in _users(cache, volume)
        if pod.spec.nodeName == key
    )
    return Shown(key, tuple(sorted(present)), shown, fresh)


def reconcile_node(seen: Shown, now: float) -> Plan:
    if seen.shown == seen.attached:
        return NOTHING
    listed = [{"name": name, "devicePath": ""} for name in seen.attached]
    change: Object = {"status": {"volumesAttached": listed or None}}
    notes = tuple(
        Note(about(pod.metadata, POD), "SuccessfulAttachVolume", f'AttachVolume.Attach succeeded for volume "{name}" ')
        for name, pod in seen.fresh
    )
    return Plan((Patch(NODES, "", seen.node, change, subresource="status"),), notes)


def _volumes_of_pod(cache: Cache, pod: Pod) -> Iterable[str]:
    claims = cache.of(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim)
    found = (claims.get(pod.metadata.namespace, name) for name in claims_of(pod))
    return {claim.spec.volumeName for claim in found if claim is not None and claim.spec.volumeName}


def _volume_of_claim(_cache: Cache, claim: PersistentVolumeClaim) -> Iterable[str]:
    return (claim.spec.volumeName,) if claim.spec.volumeName else ()


def _volume_of_attachment(_cache: Cache, one: VolumeAttachment) -> Iterable[str]:
    return (one.spec.source.persistentVolumeName,) if one.spec.source.persistentVolumeName else ()


def _volumes_of_node(cache: Cache, node: Node) -> Iterable[str]:
    for one in cache.of(VOLUME_ATTACHMENTS, VolumeAttachment).by(BY_ATTACHED_NODE, node.metadata.name):
        yield from _volume_of_attachment(cache, one)


def _volumes_of_driver(cache: Cache, driver: CSIDriver) -> Iterable[str]:
    for volume in cache.of(PERSISTENT_VOLUMES, PersistentVolume):
        if volume.spec.csi is not None and volume.spec.csi.driver == driver.metadata.name:
            yield volume.metadata.name


def _node_concerns(old: Node, new: Node) -> bool:
    if old.status.volumesInUse != new.status.volumesInUse or old.spec.taints != new.spec.taints:
        return True
    return _silent_since(old) != _silent_since(new)


CONTROLLER = Controller(
    name="attachdetach",
    watches=(
        Watch(PODS, Pod, _volumes_of_pod),
        Watch(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim, _volume_of_claim),
        Watch(PERSISTENT_VOLUMES, PersistentVolume, own, lambda old, new: old.spec != new.spec),
        Watch(NODES, Node, _volumes_of_node, _node_concerns),
        Watch(CSI_DRIVERS, CSIDriver, _volumes_of_driver),
        Watch(VOLUME_ATTACHMENTS, VolumeAttachment, _volume_of_attachment),
    ),
    observe=observe,
    reconcile=reconcile,
)
ATTACHED = Controller(
    name="attached-volumes",
    watches=(
        Watch(NODES, Node, own, lambda old, new: old.status.volumesAttached != new.status.volumesAttached),
        Watch(PERSISTENT_VOLUMES, PersistentVolume),
        Watch(VOLUME_ATTACHMENTS, VolumeAttachment, lambda _cache, one: (one.spec.nodeName,)),
    ),
    observe=observe_node,
    reconcile=reconcile_node,
    component="attachdetach-controller",
)
