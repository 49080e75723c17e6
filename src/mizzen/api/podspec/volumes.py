"""Volumes of a pod: a name and exactly one source each.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/volume/
"""

from collections.abc import Iterator, Mapping
from typing import Final

from mizzen.api.podspec.projections import SOURCES as PROJECTIONS
from mizzen.api.podspec.volume_sources import SOURCES as PLAIN
from mizzen.api.rules import volume_sources
from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, Object, duplicate, forbidden, invalid, required

_CHECKS = {**PLAIN, **PROJECTIONS}
_ORDER = (
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "configMap",
    "azureFile",
    "flexVolume",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
)
_FOR_DEVICES = ("persistentVolumeClaim", "ephemeral")
_SHOWN_ALONE = {"gcePersistentDisk": "persistentDisk"}
"""Sources whose own errors stand under another name."""
_SHOWN_TOO_MANY = {"cephfs": "cephFS", "downwardAPI": "downwarAPI"}
"""Sources that are called otherwise when they are one too many: clients see these names, the odd one too."""
_MAX_ISCSI: Final = 64

Volumes = Mapping[str, Object]


def checked(path: str, volumes: list[Object]) -> tuple[Volumes, list[FieldError]]:
    """The volumes that containers may mount, by name, and all that is wrong with the others."""
    usable: dict[str, Object] = {}
    errors: list[FieldError] = []
    for i, volume in enumerate(volumes):
        at, name = f"{path}[{i}]", volume.get("name") or ""
        found = [*_source_errors(at, volume, name), *_name_errors(f"{at}.name", name, usable)]
        if not found:
            usable[name] = volume
        errors += found
    return usable, errors


def _name_errors(path: str, name: str, taken: Volumes) -> Iterator[FieldError]:
    if not name:
        yield required(path)
    for problem in names.dns1123_label(name) if name else ():
        yield invalid(path, name, problem)
    if name in taken:
        yield duplicate(path, name)


def _source_errors(path: str, volume: Object, name: str) -> Iterator[FieldError]:
    sources = [source for source in volume if source != "name" and volume[source] is not None]
    if not sources:
        yield required(path, "must specify a volume type")
        return
    sources.sort(key=_ORDER.index)
    for source in sources[1:]:
        yield forbidden(f"{path}.{_SHOWN_TOO_MANY.get(source, source)}", "may not specify more than 1 volume type")
    first = sources[0]
    yield from _CHECKS[first](f"{path}.{_SHOWN_ALONE.get(first, first)}", volume[first])
    target = volume.get("iscsi") or {}
    if target.get("initiatorName") is not None and len(f"{name}:{target.get('targetPortal') or ''}") > _MAX_ISCSI:
        yield invalid(f"{path}.name", name, f"{volume_sources.TOO_LONG_TARGET}{_MAX_ISCSI} characters")


def claim_errors(path: str, volumes: list[Object], pod: str) -> Iterator[FieldError]:
    """What is wrong with the claims that are made for the ephemeral volumes of a pod of this name."""
    made = {f"{pod}-{volume.get('name')}" for volume in volumes if volume.get("ephemeral") is not None}
    for i, volume in enumerate(volumes):
        name = volume.get("name") or ""
        if name and volume.get("ephemeral") is not None:
            for problem in names.dns1123_subdomain(f"{pod}-{name}"):
                yield invalid(f"{path}[{i}].name", name, f'PVC name "{pod}-{name}": {problem}')
        claimed = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if claimed in made:
            detail = "must not reference a PVC that gets created for an ephemeral volume"
            yield invalid(f"{path}[{i}].persistentVolumeClaim.claimName", claimed, detail)


def by_name(spec: Object) -> Volumes:
    return {volume.get("name") or "": volume for volume in spec.get("volumes") or () if volume.get("name")}


def is_device(volume: Object) -> bool:
    """Whether the volume may be given to a container as a raw block device."""
    return any(volume.get(source) is not None for source in _FOR_DEVICES)
