"""PersistentVolume (core/v1): a piece of storage that outlives pods, and its life in the API."""

from collections.abc import Iterator
from posixpath import normpath

from mizzen.api.columns import AGE, NAME, UNSET, age, name
from mizzen.api.core import storage_warnings
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.rules import access_modes, fields, node_selector, volume_sources
from mizzen.machinery import quantity
from mizzen.machinery.errors import FieldError, Object, forbidden, invalid, not_supported, required

RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
STORAGE_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
MOUNT_OPTIONS_ANNOTATION = "volume.beta.kubernetes.io/mount-options"
_MOUNTABLE = frozenset(
    (
        "awsElasticBlockStore",
        "azureDisk",
        "azureFile",
        "cephfs",
        "cinder",
        "csi",
        "gcePersistentDisk",
        "glusterfs",
        "iscsi",
        "nfs",
        "photonPersistentDisk",
        "quobyte",
        "rbd",
        "storageos",
        "vsphereVolume",
    )
)
"""The sources that know mount options."""
_SOURCE_DEFAULTS: dict[str, Object] = {
    "hostPath": {"type": ""},
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {"cachingMode": "ReadWrite", "kind": "Shared", "fsType": "ext4", "readOnly": False},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}
_INLINE = "may not be specified in the context of inline volumes"


def default(volume: Object) -> None:
    default_spec(volume.setdefault("spec", {}))
    status = volume.setdefault("status", {})
    if not status.get("phase"):
        status["phase"] = "Pending"


def default_spec(spec: Object) -> None:
    if not spec.get("persistentVolumeReclaimPolicy"):
        spec["persistentVolumeReclaimPolicy"] = "Retain"
    if spec.get("volumeMode") is None:
        spec["volumeMode"] = "Filesystem"
    default_source(spec)


def default_source(spec: Object) -> None:
    """What the source leaves open; VolumeAttachments that hold a spec of their own get this alone."""
    for kind, defaults in _SOURCE_DEFAULTS.items():
        source = spec.get(kind)
        if source is None:
            continue
        for field, value in defaults.items():
            if source.get(field) is None or (source[field] == "" and value):
                source[field] = value


def prepare(volume: Object, old: Object | None) -> None:
    if old is not None:
        volume["status"] = old.get("status") or {}
        return
    volume["status"] = {"phase": "Pending"}
    created = volume["metadata"].get("creationTimestamp")
    if created:
        volume["status"]["lastPhaseTransitionTime"] = created


def validate(volume: Object, old: Object | None) -> Iterator[FieldError]:
    """On update the spec is looked at twice, as clients know it from the causes."""
    spec = volume.get("spec") or {}
    errors = list(spec_errors("spec", spec, volume["metadata"].get("name") or ""))
    yield from errors
    if old is not None:
        yield from errors
    if MOUNT_OPTIONS_ANNOTATION in (volume["metadata"].get("annotations") or {}) and not _MOUNTABLE & spec.keys():
        detail = "may not specify mount options for this volume type"
        yield forbidden(f"metadata.annotations.{MOUNT_OPTIONS_ANNOTATION}", detail)
    if old is not None:
        yield from _update_errors(spec, old.get("spec") or {})


def _update_errors(new: Object, old: Object) -> Iterator[FieldError]:
    if any(new.get(kind) != old.get(kind) for kind in volume_sources.SOURCES) and not _adds_expand_secret(new, old):
        detail = "spec.persistentvolumesource is immutable after creation"
        yield forbidden("spec.persistentvolumesource", detail)
    yield from fields.unchanged("volumeMode", new.get("volumeMode"), old.get("volumeMode"))
    if old.get("nodeAffinity") is not None:
        yield from fields.unchanged("nodeAffinity", new.get("nodeAffinity"), old["nodeAffinity"])
    stored = old.get("volumeAttributesClassName")
    if stored and not new.get("volumeAttributesClassName"):
        detail = "update from non-nil value to nil is forbidden"
        yield forbidden("spec.volumeAttributesClassName", detail)


def _adds_expand_secret(new: Object, old: Object) -> bool:
    """Whether the one allowed change was made: a CSI source gets the secret for its expansion."""
    before, after = old.get("csi"), new.get("csi")
    if not before or not after or before.get("controllerExpandSecretRef") is not None:
        return False
    return bool({**before, "controllerExpandSecretRef": after.get("controllerExpandSecretRef")} == after)


def spec_errors(path: str, spec: Object, name: str) -> Iterator[FieldError]:
    """What must hold of the spec of a volume of this name."""
    yield from _mode_errors(path, spec)
    yield from _capacity_errors(path, spec.get("capacity") or {})
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy and policy not in RECLAIM_POLICIES:
        yield not_supported(f"{path}.persistentVolumeReclaimPolicy", policy, RECLAIM_POLICIES)
    yield from _affinity_errors(path, spec)
    yield from _source_errors(path, spec, name)
    yield from _class_errors(path, spec)


def inline_errors(path: str, spec: Object) -> Iterator[FieldError]:
    """What must hold of a spec that stands in a VolumeAttachment: it has a CSI source and little else."""
    for field in ("claimRef", "capacity", "nodeAffinity", "storageClassName"):
        if spec.get(field):
            yield forbidden(f"{path}.{field}", _INLINE)
    if spec.get("csi") is None:
        yield required(f"{path}.csi", "has to be specified in the context of inline volumes")
    yield from _mode_errors(path, spec)
    if (spec.get("persistentVolumeReclaimPolicy") or "Retain") != "Retain":
        yield forbidden(f"{path}.persistentVolumeReclaimPolicy", "may only be Retain in the context of inline volumes")
    yield from _source_errors(path, spec, "")
    if spec.get("volumeMode") not in {None, "Filesystem"}:
        detail = "may not specify volumeMode other than Filesystem in the context of inline volumes"
        yield forbidden(f"{path}.volumeMode", detail)
    yield from _attributes_errors(path, spec)


def _mode_errors(path: str, spec: Object) -> Iterator[FieldError]:
    modes = spec.get("accessModes") or ()
    if not modes:
        yield required(f"{path}.accessModes")
    yield from access_modes.errors(f"{path}.accessModes", modes)


def _capacity_errors(path: str, capacity: Object) -> Iterator[FieldError]:
    if not capacity:
        yield required(f"{path}.capacity")
    if "storage" not in capacity or len(capacity) > 1:
        yield not_supported(f"{path}.capacity", capacity, ("storage",))
    for resource, amount in capacity.items():
        parsed = quantity.parse(amount)
        if parsed.nanos < 0:
            yield invalid(f"{path}.capacity[{resource}]", parsed.value, "must be a valid resource quantity")
        if parsed.nanos <= 0:
            yield invalid(f"{path}.capacity[{resource}]", str(amount), "must be greater than zero")


def _affinity_errors(path: str, spec: Object) -> Iterator[FieldError]:
    affinity = spec.get("nodeAffinity")
    if affinity is None:
        return
    if affinity.get("required") is None:
        yield required(f"{path}.nodeAffinity.required", "must specify required node constraints")
    else:
        yield from node_selector.errors(f"{path}.nodeAffinity.required", affinity["required"])


def _source_errors(path: str, spec: Object, name: str) -> Iterator[FieldError]:
    found = [kind for kind in volume_sources.SOURCES if spec.get(kind) is not None]
    if not found:
        yield required(path, "must specify a volume type")
    given = sorted(found, key=_ORDER.index)
    for kind in given:
        if kind not in {given[0], "flexVolume"}:
            shown = "cephFS" if kind == "cephfs" else kind
            yield forbidden(f"{path}.{shown}", "may not specify more than 1 volume type")
        else:
            shown = "persistentDisk" if kind == "gcePersistentDisk" else kind
            yield from volume_sources.persistent_errors(f"{path}.{shown}", kind, spec[kind], name)
            if kind == "local" and spec.get("nodeAffinity") is None:
                yield required(f"{path}.nodeAffinity", "Local volume requires node affinity")
    host = spec.get("hostPath")
    if host and spec.get("persistentVolumeReclaimPolicy") == "Recycle" and normpath(host.get("path") or ".") == "/":
        detail = "may not be 'recycle' for a hostPath mount of '/'"
        yield forbidden(f"{path}.persistentVolumeReclaimPolicy", detail)


_FIRST = ("hostPath", "gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "flocker", "nfs", "rbd", "quobyte")
_THEN = ("cephfs", "iscsi", "cinder", "fc", "flexVolume", "azureFile", "vsphereVolume", "photonPersistentDisk")
_LAST = ("portworxVolume", "azureDisk", "scaleIO", "local", "storageos", "csi")
_ORDER = (*_FIRST, *_THEN, *_LAST)
"""The first of these that is given is checked, the others are one too many."""


def _class_errors(path: str, spec: Object) -> Iterator[FieldError]:
    if spec.get("storageClassName"):
        yield from fields.subdomain(f"{path}.storageClassName", spec["storageClassName"])
    mode = spec.get("volumeMode")
    if mode is not None and mode not in access_modes.VOLUME_MODES:
        yield not_supported(f"{path}.volumeMode", mode, access_modes.VOLUME_MODES)
    yield from _attributes_errors(path, spec)


def _attributes_errors(path: str, spec: Object) -> Iterator[FieldError]:
    attributes = spec.get("volumeAttributesClassName")
    if attributes is None:
        return
    if not attributes:
        yield required(f"{path}.volumeAttributesClassName", "an empty string is disallowed")
    else:
        yield from fields.subdomain(f"{path}.volumeAttributesClassName", attributes)
    if spec.get("csi") is None:
        yield required(f"{path}.csi", "has to be specified when using volumeAttributesClassName")


def storage_class(object: Object) -> str:
    """The storage class of a volume or claim; an annotation of old wins over the field."""
    annotated = (object["metadata"].get("annotations") or {}).get(STORAGE_CLASS_ANNOTATION)
    return str(annotated if annotated is not None else object["spec"].get("storageClassName") or "")


def phase_cell(object: Object) -> str:
    if object["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return str((object.get("status") or {}).get("phase") or "")


def _row(volume: Object, now: float) -> list[object]:
    spec = volume["spec"]
    claim = spec.get("claimRef")
    return [
        name(volume),
        str((spec.get("capacity") or {}).get("storage", "0")),
        access_modes.cell(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        phase_cell(volume),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        storage_class(volume),
        spec.get("volumeAttributesClassName") or UNSET,
        (volume.get("status") or {}).get("reason") or "",
        age(volume, now),
        spec.get("volumeMode") or UNSET,
    ]


PERSISTENT_VOLUME = Kind(
    group="",
    version="v1",
    kind="PersistentVolume",
    plural="persistentvolumes",
    namespaced=False,
    singular="persistentvolume",
    short_names=("pv",),
    default=default,
    prepare=prepare,
    validate=validate,
    warn=storage_warnings.of_volume,
    revalidates_metadata=2,
    compares_metadata=0,
    has_status=True,
    table=Table(
        columns=(
            NAME,
            Column("Capacity"),
            Column("Access Modes"),
            Column("Reclaim Policy"),
            Column("Status"),
            Column("Claim"),
            Column("StorageClass"),
            Column("VolumeAttributesClass"),
            Column("Reason"),
            AGE,
            Column("VolumeMode", priority=1),
        ),
        row=_row,
    ),
    returns_deleted=True,
)
