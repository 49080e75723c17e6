"""Volumes of a pod: a name and exactly one source each.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/volume/
"""

from collections.abc import Iterator, Mapping

from mizzen.api.podspec.projections import SOURCES as PROJECTIONS
from mizzen.api.podspec.volume_sources import SOURCES as PLAIN
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

Volumes = Mapping[str, Object]


def volume_errors(path: str, volumes: list[Object]) -> Iterator[FieldError]:
    seen: set[str] = set()
    for i, volume in enumerate(volumes):
        at = f"{path}[{i}]"
        sources = [source for source in volume if source != "name" and volume[source] is not None]
        if len(sources) > 1:
            sources.sort(key=_ORDER.index)
            for source in sources[1:]:
                yield forbidden(f"{at}.{source}", "may not specify more than 1 volume type")
        if sources:
            yield from _CHECKS[sources[0]](f"{at}.{sources[0]}", volume[sources[0]])
        else:
            yield required(at, "must specify a volume type")
        name = volume.get("name") or ""
        if not name:
            yield required(f"{at}.name")
        elif problems := names.dns1123_label(name):
            yield from (invalid(f"{at}.name", name, problem) for problem in problems)
        elif name in seen:
            yield duplicate(f"{at}.name", name)
        seen.add(name)


def by_name(spec: Object) -> Volumes:
    return {volume.get("name") or "": volume for volume in spec.get("volumes") or () if volume.get("name")}


def is_device(volume: Object) -> bool:
    """Whether the volume may be given to a container as a raw block device."""
    return any(volume.get(source) is not None for source in _FOR_DEVICES)
