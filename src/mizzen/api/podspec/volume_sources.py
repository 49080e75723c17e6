"""Sources of volumes that only pods have; those that persistent volumes have too are checked by the shared rules."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from mizzen.api import meta
from mizzen.api.podspec.env import local_path_errors
from mizzen.api.rules import fields, volume_sources
from mizzen.machinery import labels, names, quantity
from mizzen.machinery.errors import FieldError, Object, forbidden, not_supported, required

_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_SHARED = (
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "hostPath",
    "glusterfs",
    "nfs",
    "rbd",
    "iscsi",
    "cinder",
    "cephfs",
    "fc",
    "flocker",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
)

Check = Callable[[str, Object], Iterator[FieldError]]


def _shared(kind: str, path: str, source: Object) -> Iterator[FieldError]:
    return volume_sources.errors(path, kind, source)


def _empty_dir(path: str, source: Object) -> Iterator[FieldError]:
    limit = source.get("sizeLimit")
    if limit is not None and quantity.parse(limit).nanos < 0:
        yield forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")


def _git(path: str, source: Object) -> Iterator[FieldError]:
    if not source.get("repository"):
        yield required(f"{path}.repository")
    if directory := source.get("directory"):
        yield from local_path_errors(f"{path}.directory", directory)


def _claim(path: str, source: Object) -> Iterator[FieldError]:
    if not source.get("claimName"):
        yield required(f"{path}.claimName")


def _csi(path: str, source: Object) -> Iterator[FieldError]:
    yield from volume_sources.csi_driver_name(f"{path}.driver", source.get("driver") or "")
    if (secret := source.get("nodePublishSecretRef")) is not None:
        if not (name := secret.get("name")):
            yield required(f"{path}.nodePublishSecretRef.name")
        else:
            yield from fields.matches(f"{path}.name", name, names.dns1123_subdomain)


def _ephemeral(path: str, source: Object) -> Iterator[FieldError]:
    template = source.get("volumeClaimTemplate")
    if template is None:
        yield required(f"{path}.volumeClaimTemplate")
        return
    at = f"{path}.volumeClaimTemplate"
    metadata = template.get("metadata") or {}
    yield from meta.annotations(f"{at}.metadata.annotations", metadata.get("annotations") or {})
    yield from labels.validate_labels(metadata.get("labels"), f"{at}.metadata.labels")
    for field, value in metadata.items():
        if value and field not in {"labels", "annotations"}:
            yield forbidden(f"{at}.metadata.{field}", "cannot be set for an ephemeral volume")
    from mizzen.api.core import persistentvolumeclaim  # late: the kinds of core are made of pod specs

    yield from persistentvolumeclaim.spec_errors(f"{at}.spec", template.get("spec") or {})


def _image(path: str, source: Object) -> Iterator[FieldError]:
    if not source.get("reference"):
        yield required(f"{path}.reference")
    if (policy := source.get("pullPolicy") or "") not in _PULL_POLICIES:
        yield not_supported(f"{path}.pullPolicy", policy, _PULL_POLICIES)


SOURCES: Mapping[str, Check] = {
    "emptyDir": _empty_dir,
    "gitRepo": _git,
    "persistentVolumeClaim": _claim,
    "csi": _csi,
    "ephemeral": _ephemeral,
    "image": _image,
    **{kind: partial(_shared, kind) for kind in _SHARED},
}
