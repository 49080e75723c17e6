"""Attach and detach: a VolumeAttachment for every CSI volume on every node with a pod that uses it.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/volume-attachment-v1/
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from mizzen.api.views.core import Node, PersistentVolume, PersistentVolumeClaim, Pod
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
from mizzen.controllers.podgc import OUT_OF_SERVICE
from mizzen.controllers.pods import is_finished
from mizzen.controllers.volumes.binder import BY_VOLUME
from mizzen.controllers.volumes.protection import BY_CLAIM_USED, claims_of
from mizzen.reconcile.controller import Controller, Watch, own
from mizzen.reconcile.plan import NOTHING, Action, Create, Delete, Plan

OWN_NAMES = "csi-"
"""Attachments of other names are somebody else's and stay."""
BY_ATTACHED_NODE: Index[VolumeAttachment] = Index("node", lambda one: (one.spec.nodeName,))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A node's name, the CSI volumes its pods need, its attachments, and the volumes it still has mounted by name."""

    node: str
    volumes: tuple[PersistentVolume, ...]
    attachments: tuple[VolumeAttachment, ...]
    mounted: frozenset[str | None]


def observe(cache: Cache, key: str) -> Snapshot:
    drivers = cache.of(CSI_DRIVERS, CSIDriver)
    claims = cache.of(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim)
    volumes = cache.of(PERSISTENT_VOLUMES, PersistentVolume)
    needed: dict[str, PersistentVolume] = {}
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
    attachments = cache.of(VOLUME_ATTACHMENTS, VolumeAttachment).by(BY_ATTACHED_NODE, key)
    return Snapshot(key, tuple(needed.values()), tuple(attachments), frozenset(_mounted(cache, key, attachments)))


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
        if csi is not None and f"kubernetes.io/csi/{csi.driver}^{csi.volumeHandle}" in in_use:
            yield name


def reconcile(seen: Snapshot, now: float) -> Plan:
    have = {one.spec.source.persistentVolumeName: one for one in seen.attachments}
    needed = {volume.metadata.name for volume in seen.volumes}
    actions: list[Action] = []
    for volume in seen.volumes:
        if volume.metadata.name in have or volume.spec.csi is None:
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
        and name not in seen.mounted
        and not one.metadata.deleting
    )
    return Plan(tuple(actions)) if actions else NOTHING


def _node_of_pod(_cache: Cache, pod: Pod) -> Iterable[str]:
    return (pod.spec.nodeName,) if pod.spec.nodeName and any(claims_of(pod)) else ()


def _nodes_of_claim(cache: Cache, claim: PersistentVolumeClaim) -> Iterable[str]:
    meta = claim.metadata
    pods = cache.of(PODS, Pod).by(BY_CLAIM_USED, (meta.namespace, meta.name))
    return {pod.spec.nodeName for pod in pods if pod.spec.nodeName}


def _node_concerns(old: Node, new: Node) -> bool:
    return old.status.volumesInUse != new.status.volumesInUse or old.spec.taints != new.spec.taints


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
        Watch(VOLUME_ATTACHMENTS, VolumeAttachment, lambda _cache, one: (one.spec.nodeName,)),
    ),
    observe=observe,
    reconcile=reconcile,
)
