"""The binder: joins claims and volumes for good, reclaims released volumes, and gives old claims a default class.

Ref: https://kubernetes.io/docs/concepts/storage/persistent-volumes/
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from mizzen.api.views.core import PersistentVolume, PersistentVolumeClaim, PersistentVolumeStatus, Pod
from mizzen.api.views.storage import StorageClass
from mizzen.client.cache import Cache, Index
from mizzen.client.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES
from mizzen.controllers.ownership import about
from mizzen.controllers.status import status_patch
from mizzen.controllers.volumes import classes
from mizzen.controllers.volumes.classes import CLAIM
from mizzen.machinery import quantity
from mizzen.machinery.errors import Object
from mizzen.reconcile.controller import Controller, Watch, own, split
from mizzen.reconcile.plan import NOTHING, Action, Delete, Note, Patch, Plan

BY_CLASS: Index[PersistentVolume] = Index("class", lambda volume: (volume.spec.storageClassName,))
BY_CLAIM: Index[PersistentVolume] = Index(
    "claim",
    lambda volume: ((volume.spec.claimRef.namespace, volume.spec.claimRef.name),) if volume.spec.claimRef else (),
)
BY_VOLUME: Index[PersistentVolumeClaim] = Index("volume", lambda claim: (claim.spec.volumeName,))


@dataclass(frozen=True, slots=True)
class Claimant:
    """A claim, the volume it names, those it could have, its class and the default one."""

    claim: PersistentVolumeClaim
    named: PersistentVolume | None
    volumes: tuple[PersistentVolume, ...]
    storage_class: StorageClass | None
    default: StorageClass | None
    wanted_by_pod: bool


@dataclass(frozen=True, slots=True)
class Held:
    """A volume and the claim that its claimRef names."""

    volume: PersistentVolume
    claim: PersistentVolumeClaim | None


def observe_claim(cache: Cache, key: str) -> Claimant | None:
    claim = cache.of(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim).get(*split(key))
    if claim is None:
        return None
    table = cache.of(PERSISTENT_VOLUMES, PersistentVolume)
    storage = cache.of(STORAGE_CLASSES, StorageClass)
    name = classes.class_name(claim)
    reserved = table.by(BY_CLAIM, (claim.metadata.namespace, claim.metadata.name))
    found = {
        one.metadata.name: one for one in (*reserved, *(() if claim.spec.volumeName else table.by(BY_CLASS, name)))
    }
    pods = cache.of(PODS, Pod).in_namespace(claim.metadata.namespace) if not claim.spec.volumeName else ()
    wanted = any(_uses(pod, claim.metadata.name) for pod in pods)
    return Claimant(
        claim,
        table.get("", claim.spec.volumeName) if claim.spec.volumeName else None,
        tuple(sorted(found.values(), key=lambda one: one.metadata.name)),
        storage.get("", name) if name else None,
        classes.default_class(storage),
        wanted,
    )


def _uses(pod: Pod, name: str) -> bool:
    return any(
        one.persistentVolumeClaim is not None and one.persistentVolumeClaim.claimName == name
        for one in pod.spec.volumes
    )


def reconcile_claim(seen: Claimant, now: float) -> Plan:
    claim = seen.claim
    if claim.metadata.deleting and not claim.spec.volumeName:
        return NOTHING
    if claim.metadata.annotations.get(classes.BIND_COMPLETED) == "yes":
        return _bound(seen)
    if claim.spec.volumeName:
        return _named(seen)
    if claim.spec.storageClassName is None and classes.BETA_CLASS not in claim.metadata.annotations and seen.default:
        name = seen.default.metadata.name
        return Plan((_patch(claim, {"spec": {"storageClassName": name}}),))
    selected = classes.SELECTED_NODE in claim.metadata.annotations
    reserved = any(classes.is_claimed_by(one, claim) for one in seen.volumes)
    if classes.waits_for_consumer(seen.storage_class) and not reserved:
        return _provision(seen) if selected else _wait(seen)
    volume = classes.best(seen.volumes, claim)
    return _bind(seen, volume) if volume is not None else _provision(seen)


def _wait(seen: Claimant) -> Plan:
    claim = seen.claim
    reason, text = "WaitForFirstConsumer", "waiting for first consumer to be created before binding"
    if seen.wanted_by_pod:
        reason, text = "WaitForPodScheduled", "waiting for pod to be scheduled"
    return Plan(_phase(claim, "Pending"), (Note(about(claim.metadata, CLAIM), reason, text),), requeue_after=15.0)


def _provision(seen: Claimant) -> Plan:
    """Leave it to whoever provisions the class, or say that nothing fits."""
    claim = seen.claim
    subject = about(claim.metadata, CLAIM)
    if seen.storage_class is None:
        text = "no persistent volumes available for this claim and no storage class is set"
        note = Note(subject, "FailedBinding", text)
        if name := classes.class_name(claim):
            note = Note(subject, "ProvisioningFailed", f'storageclass.storage.k8s.io "{name}" not found', "Warning")
        return Plan(_phase(claim, "Pending"), (note,), requeue_after=15.0)
    provisioner = seen.storage_class.provisioner
    if provisioner == "kubernetes.io/no-provisioner":
        text = "no persistent volumes available for this claim"
        return Plan(_phase(claim, "Pending"), (Note(subject, "FailedBinding", text),), requeue_after=15.0)
    marks = dict.fromkeys((classes.PROVISIONER, classes.BETA_PROVISIONER), provisioner)
    if any(claim.metadata.annotations.get(key) != value for key, value in marks.items()):
        return Plan((*_phase(claim, "Pending"), _patch(claim, {"metadata": {"annotations": marks}}, at_revision=False)))
    text = (
        f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the "
        "system administrator. If volume creation is delayed, please verify that the provisioner is running and "
        "correctly registered."
    )
    return Plan(_phase(claim, "Pending"), (Note(subject, "ExternalProvisioning", text),), requeue_after=15.0)


def _named(seen: Claimant) -> Plan:
    """A claim that names its volume but is not bound yet."""
    volume = seen.named
    if volume is None:
        return Plan(_phase(seen.claim, "Pending"), requeue_after=15.0)
    if volume.spec.claimRef is None or classes.is_claimed_by(volume, seen.claim):
        return _bind(seen, volume)
    return Plan(_phase(seen.claim, "Pending"), requeue_after=15.0)


def _bind(seen: Claimant, volume: PersistentVolume) -> Plan:
    """Volume first, then claim: a crash between the two is completed, never doubled."""
    claim = seen.claim
    actions: list[Action] = []
    if volume.spec.claimRef is None or not volume.spec.claimRef.uid:
        meta = volume.metadata
        patch: Object = {"spec": {"claimRef": _reference(claim)}}
        if volume.spec.claimRef is None:
            patch["metadata"] = {"annotations": {classes.BOUND_BY_CONTROLLER: "yes"}}
        actions.append(
            Patch(PERSISTENT_VOLUMES, "", meta.name, patch, uid=meta.uid, resource_version=meta.resourceVersion)
        )
    annotations = {classes.BIND_COMPLETED: "yes"}
    change: Object = {"metadata": {"annotations": annotations}}
    if not claim.spec.volumeName:
        annotations[classes.BOUND_BY_CONTROLLER] = "yes"
        change["spec"] = {"volumeName": volume.metadata.name}
    actions.append(_patch(claim, change))
    return Plan(tuple(actions))


def _reference(claim: PersistentVolumeClaim) -> Object:
    meta = claim.metadata
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": meta.namespace,
        "name": meta.name,
        "uid": meta.uid,
        "resourceVersion": meta.resourceVersion,
    }


def _bound(seen: Claimant) -> Plan:
    claim, volume = seen.claim, seen.named
    subject = about(claim.metadata, CLAIM)
    if volume is None:
        text = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
        return _lost(seen, Note(subject, "ClaimLost", text, "Warning"))
    if volume.spec.claimRef is None:
        return _bind(seen, volume)
    if not classes.is_claimed_by(volume, claim):
        text = "Two claims are bound to the same volume, this one is bound incorrectly"
        return _lost(seen, Note(subject, "ClaimMisbound", text, "Warning"))
    if not volume.spec.claimRef.uid:
        return _bind(seen, volume)
    status = msgspec.structs.replace(
        claim.status,
        phase="Bound",
        accessModes=volume.spec.accessModes,
        capacity=claim.status.capacity or volume.spec.capacity,
    )
    if claim.status.phase == "Pending":
        # Later it is for whoever changes the volume to say which attributes it has.
        attributes = claim.spec.volumeAttributesClassName or ""
        status = msgspec.structs.replace(status, currentVolumeAttributesClassName=attributes)
    has = str(claim.status.capacity.get("storage") or "0")
    notes: tuple[Note, ...] = ()
    if volume.spec.csi is not None and claim.status.capacity and quantity.compare(classes.requested(claim), has) > 0:
        text = "waiting for an external controller to expand this PVC"
        notes = (Note(subject, "ExternalExpanding", text),)
    return Plan(status_patch(PERSISTENT_VOLUME_CLAIMS, claim.metadata, claim.status, status), notes)


def _lost(seen: Claimant, note: Note) -> Plan:
    if seen.claim.status.phase == "Lost":
        return NOTHING
    return Plan(_phase(seen.claim, "Lost"), (note,))


def _phase(claim: PersistentVolumeClaim, phase: str) -> tuple[Patch, ...]:
    status = msgspec.structs.replace(claim.status, phase=phase)
    return status_patch(PERSISTENT_VOLUME_CLAIMS, claim.metadata, claim.status, status)


def _patch(claim: PersistentVolumeClaim, patch: Object, *, at_revision: bool = True) -> Patch:
    meta = claim.metadata
    revision = meta.resourceVersion if at_revision else ""
    return Patch(PERSISTENT_VOLUME_CLAIMS, meta.namespace, meta.name, patch, uid=meta.uid, resource_version=revision)


def observe_volume(cache: Cache, key: str) -> Held | None:
    volume = cache.of(PERSISTENT_VOLUMES, PersistentVolume).get("", key)
    if volume is None:
        return None
    reference = volume.spec.claimRef
    table = cache.of(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim)
    claim = table.get(reference.namespace, reference.name) if reference is not None else None
    return Held(volume, claim)


def reconcile_volume(seen: Held, now: float) -> Plan:
    volume = seen.volume
    phase = _volume_phase(seen)
    status = PersistentVolumeStatus(phase=phase)
    if phase == "Released" and not volume.metadata.deleting and _is_deleted_here(volume):
        why = _undeletable(volume)
        if not why:
            meta = volume.metadata
            return Plan((Delete(PERSISTENT_VOLUMES, "", meta.name, uid=meta.uid),))
        status = PersistentVolumeStatus(phase="Failed", message=why)
        note = Note(about(volume.metadata, classes.VOLUME), "VolumeFailedDelete", why, "Warning")
        return Plan(status_patch(PERSISTENT_VOLUMES, volume.metadata, volume.status, status), (note,))
    if volume.status.phase == phase:
        return NOTHING
    return Plan(status_patch(PERSISTENT_VOLUMES, volume.metadata, volume.status, status))


def _is_deleted_here(volume: PersistentVolume) -> bool:
    """Whether no provisioner deletes the storage behind a released volume, which its policy wants deleted."""
    provisioner = volume.metadata.annotations.get(classes.PROVISIONED_BY, "")
    return volume.spec.persistentVolumeReclaimPolicy == "Delete" and not provisioner


def _undeletable(volume: PersistentVolume) -> str:
    """Why nobody can delete the storage; empty for a directory of the kind that has always been let go."""
    if volume.spec.hostPath is None:
        name = volume.metadata.name
        return f'error getting deleter volume plugin for volume "{name}": no deletable volume plugin matched'
    path = str(volume.spec.hostPath.get("path") or "")
    if path.startswith("/tmp/") and len(path) > len("/tmp/"):
        return ""
    return f"host_path deleter only supports /tmp/.+ but received provided {path}"


def _volume_phase(seen: Held) -> str:
    volume = seen.volume
    reference = volume.spec.claimRef
    if reference is None or not reference.uid:
        return "Available"
    if seen.claim is None or seen.claim.metadata.uid != reference.uid:
        return "Failed" if volume.status.phase == "Failed" else "Released"
    return "Bound" if seen.claim.spec.volumeName == volume.metadata.name else volume.status.phase or "Available"


def _claims_of_volume(cache: Cache, volume: PersistentVolume) -> Iterable[str]:
    if (reference := volume.spec.claimRef) is not None:
        yield f"{reference.namespace}/{reference.name}"
        return
    claims = cache.of(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim)
    for claim in (*claims.by(BY_VOLUME, ""), *claims.by(BY_VOLUME, volume.metadata.name)):
        yield f"{claim.metadata.namespace}/{claim.metadata.name}"


def _claims_of_class(cache: Cache, _class: StorageClass) -> Iterable[str]:
    for claim in cache.of(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim).by(BY_VOLUME, ""):
        yield f"{claim.metadata.namespace}/{claim.metadata.name}"


def _volumes_of_claim(cache: Cache, claim: PersistentVolumeClaim) -> Iterable[str]:
    meta = claim.metadata
    for volume in cache.of(PERSISTENT_VOLUMES, PersistentVolume).by(BY_CLAIM, (meta.namespace, meta.name)):
        yield volume.metadata.name


CLAIMS = Controller(
    name="persistentvolume-binder",
    watches=(
        Watch(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim, own),
        Watch(PERSISTENT_VOLUMES, PersistentVolume, _claims_of_volume),
        Watch(STORAGE_CLASSES, StorageClass, _claims_of_class),
        Watch(PODS, Pod),
    ),
    observe=observe_claim,
    reconcile=reconcile_claim,
    workers=1,
    component="persistentvolume-controller",
)
VOLUMES = Controller(
    name="persistentvolume-reclaimer",
    watches=(
        Watch(PERSISTENT_VOLUMES, PersistentVolume, own),
        Watch(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim, _volumes_of_claim),
    ),
    observe=observe_volume,
    reconcile=reconcile_volume,
    component="persistentvolume-controller",
)
