"""What the source of a PersistentVolume must say, one function per kind of source that asks for more than fields.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/persistent-volume-v1/
"""

import re
from collections.abc import Callable, Iterator

from mizzen.api.rules import fields
from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, Object, invalid, not_supported, required, too_long

_REQUIRED: dict[str, tuple[str, ...]] = {
    "gcePersistentDisk": ("pdName",),
    "awsElasticBlockStore": ("volumeID",),
    "hostPath": (),
    "glusterfs": ("endpoints", "path"),
    "nfs": ("server", "path"),
    "rbd": ("monitors", "image"),
    "iscsi": ("targetPortal", "iqn"),
    "cinder": ("volumeID",),
    "cephfs": ("monitors",),
    "fc": (),
    "flocker": (),
    "flexVolume": ("driver",),
    "azureFile": ("secretName", "shareName"),
    "vsphereVolume": ("volumePath",),
    "quobyte": ("registry", "volume"),
    "azureDisk": ("diskName", "diskURI"),
    "photonPersistentDisk": ("pdID",),
    "portworxVolume": ("volumeID",),
    "scaleIO": ("gateway", "system", "volumeName"),
    "local": ("path",),
    "storageos": ("volumeName",),
    "csi": (),
}
SOURCES = tuple(_REQUIRED)
"""Every kind of source a PersistentVolume may have."""

HOST_PATH_TYPES = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
_CSI_SECRETS = (
    "controllerPublishSecretRef",
    "nodePublishSecretRef",
    "controllerExpandSecretRef",
    "nodeExpandSecretRef",
)
"""The secret for staging is not among them: nobody looks at it."""
_TARGETS = {
    "iqn": re.compile(r"iqn\.\d{4}-\d{2}\.([A-Za-z\d.-]+)(:[^,;*&$|\s]+)").fullmatch,
    "eui": re.compile(r"eui.[A-Za-z\d]{16}").fullmatch,
    "naa": re.compile(r"naa.[A-Za-z\d]{32}").fullmatch,
}
TOO_LONG_TARGET = "if iscsi.initiatorName is specified, <volume name>:<iscsi.targetPortal> must be under "
_MAX_TARGET = 64
_LUN_RANGE = "must be between 0 and 255, inclusive"


def errors(path: str, kind: str, source: Object) -> Iterator[FieldError]:
    """What is wrong with a source, in a pod or a persistent volume; `path` is that of the source itself."""
    for field in _REQUIRED[kind]:
        if not source.get(field):
            yield required(f"{path}.{field}")
    more = _MORE.get(kind)
    if more is not None:
        yield from more(path, source)


def persistent_errors(path: str, kind: str, source: Object, volume: str) -> Iterator[FieldError]:
    """What is wrong with the source of a persistent volume of this name: it names the namespaces of its secrets."""
    yield from errors(path, kind, source)
    secret = source.get("secretRef")
    if secret is not None and kind in {"cinder", "storageos"} and not secret.get("namespace"):
        yield required(f"{path}.secretRef.namespace")
    if kind == "iscsi":
        if secret is not None and not secret.get("name"):
            yield required(f"{path}.secretRef.name")
        portal = source.get("targetPortal") or ""
        if source.get("initiatorName") is not None and len(f"{volume}:{portal}") > _MAX_TARGET:
            yield invalid(f"{path}.targetportal", portal, f"{TOO_LONG_TARGET}{_MAX_TARGET} characters")


def no_backsteps(path: str, value: str) -> Iterator[FieldError]:
    """A path may not leave its directory through `..`."""
    if ".." in value.split("/"):
        yield invalid(path, value, "must not contain '..'")


def host_path(path: str, source: Object) -> Iterator[FieldError]:
    value = source.get("path") or ""
    if not value:
        yield required(f"{path}.path")
        return
    yield from no_backsteps(f"{path}.path", value)
    type_ = source.get("type")
    if type_ is not None and type_ not in HOST_PATH_TYPES:
        yield not_supported(f"{path}.type", type_, HOST_PATH_TYPES)


def _partition(path: str, source: Object) -> Iterator[FieldError]:
    if not 0 <= (source.get("partition") or 0) <= 255:
        yield invalid(f"{path}.partition", source["partition"], _LUN_RANGE)


def _glusterfs(path: str, source: Object) -> Iterator[FieldError]:
    namespace = source.get("endpointsNamespace")
    if namespace == "":
        detail = "if the endpointnamespace is set, it must be a valid namespace name"
        yield invalid(f"{path}.endpointsNamespace", namespace, detail)
    elif namespace is not None:
        yield from fields.label(f"{path}.endpointsNamespace", namespace)


def _nfs(path: str, source: Object) -> Iterator[FieldError]:
    value = source.get("path") or ""
    if not value.startswith("/"):
        yield invalid(f"{path}.path", value, "must be an absolute path")


def _iscsi(path: str, source: Object) -> Iterator[FieldError]:
    if source.get("iqn"):
        yield from _qualified_target(f"{path}.iqn", source["iqn"])
    if source.get("initiatorName") is not None:
        yield from _qualified_target(f"{path}.initiatorname", source["initiatorName"])
    if not 0 <= (source.get("lun") or 0) <= 255:
        yield invalid(f"{path}.lun", source["lun"], _LUN_RANGE)
    if (source.get("chapAuthDiscovery") or source.get("chapAuthSession")) and source.get("secretRef") is None:
        yield required(f"{path}.secretRef")


def _qualified_target(path: str, value: str) -> Iterator[FieldError]:
    is_well_formed = _TARGETS.get(value[:3])
    if is_well_formed is None:
        yield invalid(path, value, "must be valid format starting with iqn, eui, or naa")
    elif not is_well_formed(value):
        yield invalid(path, value, "must be valid format")


def _cinder(path: str, source: Object) -> Iterator[FieldError]:
    secret = source.get("secretRef")
    if secret is not None and not secret.get("name"):
        yield required(f"{path}.secretRef.name")


def _secret_reference(path: str, secret: Object) -> Iterator[FieldError]:
    for field, rule in (("name", names.dns1123_subdomain), ("namespace", names.dns1123_label)):
        if not secret.get(field):
            yield required(f"{path}.{field}")
        else:
            yield from fields.matches(f"{path}.{field}", secret[field], rule)


def _fc(path: str, source: Object) -> Iterator[FieldError]:
    targets, wwids = source.get("targetWWNs"), source.get("wwids")
    if not targets and not wwids:
        yield required(f"{path}.targetWWNs", "must specify either targetWWNs or wwids, but not both")
    if targets and wwids:
        yield invalid(f"{path}.targetWWNs", targets, "targetWWNs and wwids can not be specified simultaneously")
    if targets:
        lun = source.get("lun")
        if lun is None:
            yield required(f"{path}.lun", "lun is required if targetWWNs is specified")
        elif not 0 <= lun <= 255:
            yield invalid(f"{path}.lun", lun, _LUN_RANGE)


def _flocker(path: str, source: Object) -> Iterator[FieldError]:
    by_name, by_id = source.get("datasetName"), source.get("datasetUUID")
    if not by_name and not by_id:
        yield required(path, "one of datasetName and datasetUUID is required")
    if by_name and by_id:
        yield invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously")
    if by_name and "/" in by_name:
        yield invalid(f"{path}.datasetName", by_name, "must not contain '/'")


def _flex_volume(path: str, source: Object) -> Iterator[FieldError]:
    for key in source.get("options") or ():
        domain = key.partition("/")[0].lower()
        if any(domain == own or domain.endswith(f".{own}") for own in ("kubernetes.io", "k8s.io")):
            detail = "kubernetes.io and k8s.io namespaces are reserved"
            yield invalid(f"{path}.options[{key}]", key, detail)


def _azure_file(path: str, source: Object) -> Iterator[FieldError]:
    namespace = source.get("secretNamespace")
    if namespace is not None and not namespace:
        yield required(f"{path}.secretNamespace")


def _azure_disk(path: str, source: Object) -> Iterator[FieldError]:
    caching, kind, uri = source.get("cachingMode"), source.get("kind"), source.get("diskURI") or ""
    if caching is not None and caching not in {"None", "ReadOnly", "ReadWrite"}:
        yield not_supported(f"{path}.cachingMode", caching, ("None", "ReadOnly", "ReadWrite"))
    if kind is not None and kind not in {"Dedicated", "Managed", "Shared"}:
        yield not_supported(f"{path}.kind", kind, ("Dedicated", "Managed", "Shared"))
    if kind == "Managed" and not uri.startswith("/subscriptions/"):
        yield not_supported(f"{path}.diskURI", uri, ("/subscriptions/{sub-id}/resourcegroups/{group-name}/…",))
    elif kind is not None and kind != "Managed" and not uri.startswith("https://"):
        yield not_supported(f"{path}.diskURI", uri, ("https://{account-name}.blob…/{disk-name}.vhd",))


def _quobyte(path: str, source: Object) -> Iterator[FieldError]:
    registry = source.get("registry") or ""
    if registry and len(source.get("tenant") or "") >= 65:
        yield required(f"{path}.tenant", "must be a UUID and may not exceed a length of 64 characters")
        return
    for pair in registry.split(",") if registry else ():
        if ":" not in pair:
            detail = "must be a host:port pair or multiple pairs separated by commas"
            yield invalid(f"{path}.registry", registry, detail)


def _local(path: str, source: Object) -> Iterator[FieldError]:
    yield from no_backsteps(f"{path}.path", source.get("path") or "")


def _csi(path: str, source: Object) -> Iterator[FieldError]:
    yield from csi_driver_name(f"{path}.driver", source.get("driver") or "")
    if not source.get("volumeHandle"):
        yield required(f"{path}.volumeHandle")
    for field in _CSI_SECRETS:
        secret = source.get(field)
        if secret is not None:
            yield from _secret_reference(f"{path}.{field}", secret)


def csi_driver_name(path: str, name: str) -> Iterator[FieldError]:
    if not name:
        yield required(path)
    if len(name) > 63:
        yield too_long(path, 63)
    for complaint in names.dns1123_subdomain(name.lower()):
        yield invalid(path, name, complaint)


def _storageos(path: str, source: Object) -> Iterator[FieldError]:
    for field in ("volumeName", "volumeNamespace"):
        if source.get(field):
            yield from fields.label(f"{path}.{field}", source[field])
    secret = source.get("secretRef")
    if secret is not None and not secret.get("name"):
        yield required(f"{path}.secretRef.name")


_MORE: dict[str, Callable[[str, Object], Iterator[FieldError]]] = {
    "gcePersistentDisk": _partition,
    "awsElasticBlockStore": _partition,
    "hostPath": host_path,
    "glusterfs": _glusterfs,
    "nfs": _nfs,
    "iscsi": _iscsi,
    "cinder": _cinder,
    "fc": _fc,
    "flocker": _flocker,
    "flexVolume": _flex_volume,
    "azureFile": _azure_file,
    "azureDisk": _azure_disk,
    "quobyte": _quobyte,
    "local": _local,
    "csi": _csi,
    "storageos": _storageos,
}
