"""What storage classes and annotations mean for a claim."""

from collections.abc import Iterable

from mizzen.api.views.core import PersistentVolume, PersistentVolumeClaim
from mizzen.api.views.storage import StorageClass
from mizzen.controllers.ownership import Identity
from mizzen.controllers.status import created_at
from mizzen.machinery import quantity

CLAIM = Identity("v1", "PersistentVolumeClaim")
VOLUME = Identity("v1", "PersistentVolume")
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"
BETA_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner"
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
IS_DEFAULT = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")


def class_name(claim: PersistentVolumeClaim) -> str:
    """The claim's class; "" when it asks for none."""
    return claim.metadata.annotations.get(BETA_CLASS) or claim.spec.storageClassName or ""


def default_class(classes: Iterable[StorageClass]) -> StorageClass | None:
    """The default class; of several, the newest."""
    defaults = [one for one in classes if any(one.metadata.annotations.get(key) == "true" for key in IS_DEFAULT)]
    return max(defaults, key=lambda one: (created_at(one.metadata), one.metadata.name), default=None)


def waits_for_consumer(storage_class: StorageClass | None) -> bool:
    return storage_class is not None and storage_class.volumeBindingMode == "WaitForFirstConsumer"


def requested(claim: PersistentVolumeClaim) -> str:
    return str(claim.spec.resources.requests.get("storage", "0"))


def is_claimed_by(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Whether the volume is reserved for this very claim."""
    reference = volume.spec.claimRef
    return (
        reference is not None
        and (reference.namespace, reference.name) == (claim.metadata.namespace, claim.metadata.name)
        and reference.uid in ("", claim.metadata.uid)
    )


def suits(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Whether an unclaimed (or reserved) volume meets everything the claim asks for."""
    if volume.metadata.deleting or volume.spec.volumeMode != claim.spec.volumeMode:
        return False
    if (volume.spec.volumeAttributesClassName or "") != (claim.spec.volumeAttributesClassName or ""):
        return False
    if quantity.compare(str(volume.spec.capacity.get("storage", "0")), requested(claim)) < 0:
        return False
    if is_claimed_by(volume, claim):
        return True
    if volume.spec.claimRef is not None or volume.status.phase not in ("", "Available"):
        return False
    if claim.spec.selector is not None and not claim.spec.selector.matches(volume.metadata.labels):
        return False
    return volume.spec.storageClassName == class_name(claim) and set(claim.spec.accessModes) <= set(
        volume.spec.accessModes
    )


def best(volumes: Iterable[PersistentVolume], claim: PersistentVolumeClaim) -> PersistentVolume | None:
    """The volume to bind: one reserved for the claim, else the smallest that suits."""
    fitting = [volume for volume in volumes if suits(volume, claim)]
    return min(
        fitting,
        key=lambda one: (
            not is_claimed_by(one, claim),
            quantity.parse(str(one.spec.capacity.get("storage", "0"))).nanos,
            one.metadata.name,
        ),
        default=None,
    )


def attributes_of(claim: PersistentVolumeClaim) -> tuple[str, ...]:
    """The classes of attributes that a claim refers to: the one it wants, the one it has, the one it is being given."""
    changing = claim.status.modifyVolumeStatus
    names = (
        claim.spec.volumeAttributesClassName,
        claim.status.currentVolumeAttributesClassName,
        changing.targetVolumeAttributesClassName if changing is not None else "",
    )
    return tuple(dict.fromkeys(name for name in names if name))
