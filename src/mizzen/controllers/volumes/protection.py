"""Storage in use is not deleted: claims of pods, volumes of claims, attribute classes of both. And pods' own claims.

Ref: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#storage-object-in-use-protection
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mizzen.api.views.core import PersistentVolume, PersistentVolumeClaim, Pod
from mizzen.api.views.meta import ObjectMeta
from mizzen.api.views.storage import VolumeAttributesClass
from mizzen.client.cache import Cache, Index
from mizzen.client.client import Resource
from mizzen.client.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTRIBUTES_CLASSES
from mizzen.controllers.ownership import Identity, about, owned_by
from mizzen.controllers.pods import is_finished
from mizzen.controllers.volumes.classes import attributes_of
from mizzen.reconcile.controller import Controller, Watch, key_of, own, split
from mizzen.reconcile.plan import NOTHING, Create, Note, Patch, Plan

CLAIM_FINALIZER = "kubernetes.io/pvc-protection"
VOLUME_FINALIZER = "kubernetes.io/pv-protection"
ATTRIBUTES_FINALIZER = "kubernetes.io/vac-protection"
POD = Identity("v1", "Pod")


def claims_of(pod: Pod) -> Iterable[str]:
    """The names of the claims a pod uses."""
    for volume in pod.spec.volumes:
        if volume.persistentVolumeClaim is not None:
            yield volume.persistentVolumeClaim.claimName
        elif volume.ephemeral is not None:
            yield f"{pod.metadata.name}-{volume.name}"


BY_CLAIM_USED: Index[Pod] = Index(
    "claim used", lambda pod: tuple((pod.metadata.namespace, name) for name in claims_of(pod))
)


def _attributes_class(one: PersistentVolume) -> tuple[str, ...]:
    return (one.spec.volumeAttributesClassName,) if one.spec.volumeAttributesClassName else ()


BY_ATTRIBUTES_OF_CLAIM: Index[PersistentVolumeClaim] = Index("attributes class", attributes_of)
BY_ATTRIBUTES_OF_VOLUME: Index[PersistentVolume] = Index("attributes class", _attributes_class)


@dataclass(frozen=True, slots=True)
class Protected:
    """A claim, a volume or an attributes class, and whether it is in use."""

    resource: Resource
    metadata: ObjectMeta
    in_use: bool


def observe_claim(cache: Cache, key: str) -> Protected | None:
    claim = cache.of(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim).get(*split(key))
    if claim is None:
        return None
    pods = cache.of(PODS, Pod).by(BY_CLAIM_USED, (claim.metadata.namespace, claim.metadata.name))
    in_use = any(pod.spec.nodeName and not is_finished(pod) for pod in pods)
    return Protected(PERSISTENT_VOLUME_CLAIMS, claim.metadata, in_use)


def observe_volume(cache: Cache, key: str) -> Protected | None:
    volume = cache.of(PERSISTENT_VOLUMES, PersistentVolume).get("", key)
    return None if volume is None else Protected(PERSISTENT_VOLUMES, volume.metadata, volume.status.phase == "Bound")


def observe_attributes(cache: Cache, key: str) -> Protected | None:
    found = cache.of(VOLUME_ATTRIBUTES_CLASSES, VolumeAttributesClass).get("", key)
    if found is None:
        return None
    claims = cache.of(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim).by(BY_ATTRIBUTES_OF_CLAIM, key)
    volumes = cache.of(PERSISTENT_VOLUMES, PersistentVolume).by(BY_ATTRIBUTES_OF_VOLUME, key)
    return Protected(VOLUME_ATTRIBUTES_CLASSES, found.metadata, any(claims) or any(volumes))


def _guard(finalizer: str, seen: Protected) -> Plan:
    meta = seen.metadata
    if not meta.deleting and finalizer not in meta.finalizers:
        finalizers = [*meta.finalizers, finalizer]
    elif meta.deleting and finalizer in meta.finalizers and not seen.in_use:
        finalizers = [one for one in meta.finalizers if one != finalizer]
    else:
        return NOTHING
    patch = {"metadata": {"finalizers": finalizers or None}}
    change = Patch(seen.resource, meta.namespace, meta.name, patch, uid=meta.uid, resource_version=meta.resourceVersion)
    return Plan((change,))


def reconcile_claim(seen: Protected, now: float) -> Plan:
    return _guard(CLAIM_FINALIZER, seen)


def reconcile_volume(seen: Protected, now: float) -> Plan:
    return _guard(VOLUME_FINALIZER, seen)


def reconcile_attributes(seen: Protected, now: float) -> Plan:
    return _guard(ATTRIBUTES_FINALIZER, seen)


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """A pod with ephemeral volumes, and the claims that have their names."""

    pod: Pod
    claims: tuple[PersistentVolumeClaim, ...]


def observe_pod(cache: Cache, key: str) -> Ephemeral | None:
    pod = cache.of(PODS, Pod).get(*split(key))
    if pod is None or pod.metadata.deleting or not any(volume.ephemeral is not None for volume in pod.spec.volumes):
        return None
    table = cache.of(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim)
    found = (table.get(pod.metadata.namespace, name) for name in claims_of(pod))
    return Ephemeral(pod, tuple(one for one in found if one is not None))


def reconcile_pod(seen: Ephemeral, now: float) -> Plan:
    pod = seen.pod
    have = {claim.metadata.name: claim for claim in seen.claims}
    actions, notes = [], []
    for volume in pod.spec.volumes:
        if volume.ephemeral is None:
            continue
        name = f"{pod.metadata.name}-{volume.name}"
        if name in have:
            if not any(owner.uid == pod.metadata.uid for owner in have[name].metadata.ownerReferences):
                text = f'PVC "{pod.metadata.namespace}/{name}" was not created for pod: it is not owned by it'
                notes.append(Note(about(pod.metadata, POD), "FailedMount", text, "Warning"))
            continue
        template = volume.ephemeral.volumeClaimTemplate or {}
        meta = {
            **{
                key: value
                for key, value in (template.get("metadata") or {}).items()
                if key in ("labels", "annotations")
            },
            "name": name,
            "namespace": pod.metadata.namespace,
            "ownerReferences": owned_by(pod.metadata, POD),
        }
        body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": template.get("spec")}
        actions.append(Create(PERSISTENT_VOLUME_CLAIMS, body))
    return Plan(tuple(actions), tuple(notes))


def _keys_of_pod(_cache: Cache, pod: Pod) -> Iterable[str]:
    return [f"{pod.metadata.namespace}/{name}" for name in claims_of(pod)]


CLAIMS = Controller(
    name="persistentvolumeclaim-protection",
    watches=(Watch(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim, own), Watch(PODS, Pod, _keys_of_pod)),
    observe=observe_claim,
    reconcile=reconcile_claim,
)
VOLUMES = Controller(
    name="persistentvolume-protection",
    watches=(Watch(PERSISTENT_VOLUMES, PersistentVolume, own),),
    observe=observe_volume,
    reconcile=reconcile_volume,
)
ATTRIBUTES = Controller(
    name="volumeattributesclass-protection",
    watches=(
        Watch(VOLUME_ATTRIBUTES_CLASSES, VolumeAttributesClass, own),
        Watch(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim, lambda _cache, one: attributes_of(one)),
        Watch(PERSISTENT_VOLUMES, PersistentVolume, lambda _cache, one: _attributes_class(one)),
    ),
    observe=observe_attributes,
    reconcile=reconcile_attributes,
)
EPHEMERAL = Controller(
    name="ephemeral-volume",
    watches=(
        Watch(PODS, Pod, lambda _cache, pod: (key_of(pod),) if any(v.ephemeral for v in pod.spec.volumes) else ()),
        Watch(
            PERSISTENT_VOLUME_CLAIMS,
            PersistentVolumeClaim,
            lambda _cache, claim: [
                f"{claim.metadata.namespace}/{owner.name}"
                for owner in claim.metadata.ownerReferences
                if owner.kind == "Pod"
            ],
        ),
    ),
    observe=observe_pod,
    reconcile=reconcile_pod,
    component="ephemeral_volume",
)
