"""Volumes on the nodes' own disks: the provisioner of StorageClass `local-path` (`mizzen.io/local-path`).

Contract with the agent: a provisioned PersistentVolume is of type `local`, with the node in its affinity
(`kubernetes.io/hostname`), the annotation `pv.kubernetes.io/provisioned-by: mizzen.io/local-path`, and the finalizer
`mizzen.io/local-path`. The agent of that node makes the directory when it first mounts it. When the volume is being
deleted, that agent removes the directory `spec.local.path` (if the reclaim policy is Delete) and then the finalizer;
if the node is gone for good, so is the data, and this controller removes the finalizer.
"""

from dataclasses import dataclass
from functools import partial

import msgspec

from mizzen.api.views.core import Node, PersistentVolume, PersistentVolumeClaim
from mizzen.api.views.storage import StorageClass
from mizzen.client.cache import Cache
from mizzen.client.resources import NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES
from mizzen.controllers.config import Config
from mizzen.controllers.ownership import about
from mizzen.controllers.status import status_patch
from mizzen.controllers.volumes import classes
from mizzen.controllers.volumes.classes import CLAIM
from mizzen.machinery import quantity
from mizzen.machinery.errors import Object
from mizzen.reconcile.controller import Controller, Watch, own, split
from mizzen.reconcile.plan import NOTHING, Create, Delete, Note, Patch, Plan

PROVISIONER = "mizzen.io/local-path"
FINALIZER = "mizzen.io/local-path"
HOSTNAME = "kubernetes.io/hostname"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A claim of our class, the node chosen for it, and its volume once there is one."""

    claim: PersistentVolumeClaim
    storage_class: StorageClass
    node: Node | None
    volume: PersistentVolume | None


@dataclass(frozen=True, slots=True)
class Provisioned:
    """A volume of ours and whether its node still exists."""

    volume: PersistentVolume
    node_exists: bool


def observe_claim(cache: Cache, key: str) -> Wanted | None:
    claim = cache.of(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim).get(*split(key))
    storage_class = cache.of(STORAGE_CLASSES, StorageClass).get("", classes.class_name(claim)) if claim else None
    if claim is None or storage_class is None or storage_class.provisioner != PROVISIONER:
        return None
    name = claim.spec.volumeName or volume_name(claim)
    volume = cache.of(PERSISTENT_VOLUMES, PersistentVolume).get("", name)
    node = cache.of(NODES, Node).get("", claim.metadata.annotations.get(classes.SELECTED_NODE, ""))
    return Wanted(claim, storage_class, node, volume)


def volume_name(claim: PersistentVolumeClaim) -> str:
    return f"pvc-{claim.metadata.uid}"


def reconcile_claim(config: Config, seen: Wanted, now: float) -> Plan:
    claim = seen.claim
    if seen.volume is not None:
        return _expand(seen, seen.volume)
    if claim.metadata.deleting or claim.spec.volumeName or seen.node is None:
        return NOTHING
    subject = about(claim.metadata, CLAIM)
    made = Create(
        PERSISTENT_VOLUMES,
        _volume(config, seen, seen.node),
        note=Note(subject, "ProvisioningSucceeded", f"Successfully provisioned volume {volume_name(claim)}"),
        failed=Note(subject, "ProvisioningFailed", "failed to provision volume: {error}", "Warning"),
    )
    return Plan((made,))


def _volume(config: Config, seen: Wanted, node: Node) -> Object:
    claim, storage_class = seen.claim, seen.storage_class
    meta = claim.metadata
    host = node.metadata.labels.get(HOSTNAME, node.metadata.name)
    root = storage_class.parameters.get("path") or config.local_path
    term = {"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": [host]}]}
    spec: Object = {
        "capacity": {"storage": classes.requested(claim)},
        "accessModes": list(claim.spec.accessModes),
        "persistentVolumeReclaimPolicy": storage_class.reclaimPolicy,
        "storageClassName": storage_class.metadata.name,
        "volumeMode": claim.spec.volumeMode,
        "local": {"path": f"{root}/{volume_name(claim)}_{meta.namespace}_{meta.name}"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        "claimRef": {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": meta.namespace,
            "name": meta.name,
            "uid": meta.uid,
        },
    }
    if storage_class.mountOptions:
        spec["mountOptions"] = list(storage_class.mountOptions)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": volume_name(claim),
            "annotations": {classes.PROVISIONED_BY: PROVISIONER},
            "finalizers": ["kubernetes.io/pv-protection", FINALIZER],
        },
        "spec": spec,
    }


def _expand(seen: Wanted, volume: PersistentVolume) -> Plan:
    """A directory has no size of its own: growing a claim is a matter of bookkeeping."""
    claim = seen.claim
    wanted = classes.requested(claim)
    bound = claim.status.phase == "Bound" and claim.spec.volumeName == volume.metadata.name
    if not bound or quantity.compare(wanted, str(claim.status.capacity.get("storage", "0"))) <= 0:
        return NOTHING
    meta = volume.metadata
    patches: tuple[Patch, ...] = ()
    if quantity.compare(wanted, str(volume.spec.capacity.get("storage", "0"))) > 0:
        patch = {"spec": {"capacity": {"storage": wanted}}}
        patches = (Patch(PERSISTENT_VOLUMES, "", meta.name, patch, uid=meta.uid),)
    capacity = {**claim.status.capacity, "storage": wanted}
    status = msgspec.structs.replace(claim.status, capacity=capacity, conditions=())
    return Plan((*patches, *status_patch(PERSISTENT_VOLUME_CLAIMS, claim.metadata, claim.status, status)))


def observe_volume(cache: Cache, key: str) -> Provisioned | None:
    volume = cache.of(PERSISTENT_VOLUMES, PersistentVolume).get("", key)
    if volume is None or volume.metadata.annotations.get(classes.PROVISIONED_BY) != PROVISIONER:
        return None
    affinity = volume.spec.nodeAffinity.required if volume.spec.nodeAffinity is not None else None
    nodes = cache.of(NODES, Node)
    exists = affinity is None or any(affinity.matches(node.metadata.name, node.metadata.labels) for node in nodes)
    return Provisioned(volume, exists)


def reconcile_volume(seen: Provisioned, now: float) -> Plan:
    volume = seen.volume
    meta = volume.metadata
    if not meta.deleting:
        if volume.status.phase == "Released" and volume.spec.persistentVolumeReclaimPolicy == "Delete":
            return Plan((Delete(PERSISTENT_VOLUMES, "", meta.name, uid=meta.uid),))
        return NOTHING
    if FINALIZER not in meta.finalizers or seen.node_exists:
        return NOTHING
    kept = [one for one in meta.finalizers if one != FINALIZER]
    patch = {"metadata": {"finalizers": kept or None}}
    return Plan((Patch(PERSISTENT_VOLUMES, "", meta.name, patch, resource_version=meta.resourceVersion),))


def provisioner(config: Config) -> Controller:
    """Makes volumes for claims of our class on the nodes chosen for them."""
    return Controller(
        name="local-path-provisioner",
        watches=(
            Watch(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim, own),
            Watch(PERSISTENT_VOLUMES, PersistentVolume),
            Watch(STORAGE_CLASSES, StorageClass),
            Watch(NODES, Node),
        ),
        observe=observe_claim,
        reconcile=partial(reconcile_claim, config),
        component="local-path-provisioner",
    )


RECLAIMER = Controller(
    name="local-path-reclaimer",
    watches=(
        Watch(PERSISTENT_VOLUMES, PersistentVolume, own),
        Watch(
            NODES,
            Node,
            lambda cache, _node: [
                volume.metadata.name
                for volume in cache.of(PERSISTENT_VOLUMES, PersistentVolume)
                if volume.metadata.deleting
            ],
            lambda _old, _new: False,
        ),
    ),
    observe=observe_volume,
    reconcile=reconcile_volume,
    component="local-path-provisioner",
)
