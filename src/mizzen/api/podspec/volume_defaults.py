"""What a pod's volumes leave open."""

from mizzen.api.podspec import images
from mizzen.machinery.errors import Object

FILE_MODE = 0o644
TOKEN_SECONDS = 3600
CERTIFICATE_SECONDS = 86400


def default_volumes(volumes: list[Object]) -> None:
    """Fill in each volume; one without a source is an empty directory."""
    for i in range(len(volumes)):
        volume = volumes[i] = volumes[i] or {}
        sourced = False
        for source, value in volume.items():
            if source == "name" or value is None:
                continue
            sourced = True
            if (fill := _DEFAULTS.get(source)) is not None:
                fill(value)
        if not sourced:
            volume["emptyDir"] = {}


def _file_mode(source: Object) -> None:
    if source.get("defaultMode") is None:
        source["defaultMode"] = FILE_MODE


def _host_path(source: Object) -> None:
    if source.get("type") is None:
        source["type"] = ""


def _downward(source: Object) -> None:
    _file_mode(source)
    _downward_items(source)


def _downward_items(source: Object) -> None:
    for item in source.get("items") or ():
        if (field := item.get("fieldRef")) is not None and not field.get("apiVersion"):
            field["apiVersion"] = "v1"
        if (resource := item.get("resourceFieldRef")) is not None and not resource.get("divisor"):
            resource["divisor"] = "0"


def _projected(source: Object) -> None:
    _file_mode(source)
    sources = source.setdefault("sources", None)
    for projection in sources or ():
        token = projection.get("serviceAccountToken")
        if token is not None and token.get("expirationSeconds") is None:
            token["expirationSeconds"] = TOKEN_SECONDS
        if downward := projection.get("downwardAPI"):
            _downward_items(downward)
        certificate = projection.get("podCertificate")
        if certificate and certificate.get("maxExpirationSeconds") is None:
            certificate["maxExpirationSeconds"] = CERTIFICATE_SECONDS


def _image(source: Object) -> None:
    if not source.get("pullPolicy"):
        source["pullPolicy"] = images.pull_policy(source.get("reference") or "")


def default_iscsi(source: Object) -> None:
    if not source.get("iscsiInterface"):
        source["iscsiInterface"] = "default"


def default_rbd(source: Object) -> None:
    for field, value in (("pool", "rbd"), ("user", "admin"), ("keyring", "/etc/ceph/keyring")):
        if not source.get(field):
            source[field] = value


def default_azure_disk(source: Object) -> None:
    for field, value in (("cachingMode", "ReadWrite"), ("fsType", "ext4"), ("readOnly", False), ("kind", "Shared")):
        if source.get(field) is None:
            source[field] = value


def default_scale_io(source: Object) -> None:
    for field, value in (("storageMode", "ThinProvisioned"), ("fsType", "xfs")):
        if not source.get(field):
            source[field] = value


def _ephemeral(source: Object) -> None:
    template = source.get("volumeClaimTemplate")
    if template is None:
        return
    metadata = template.get("metadata") or {}
    template["metadata"] = metadata
    metadata.setdefault("creationTimestamp", None)
    spec = template.get("spec") or {}
    template["spec"] = spec
    if spec.get("resources") is None:
        spec["resources"] = {}
    if not spec.get("volumeMode"):
        spec["volumeMode"] = "Filesystem"


_DEFAULTS = {
    "secret": _file_mode,
    "configMap": _file_mode,
    "hostPath": _host_path,
    "downwardAPI": _downward,
    "projected": _projected,
    "image": _image,
    "iscsi": default_iscsi,
    "rbd": default_rbd,
    "azureDisk": default_azure_disk,
    "scaleIO": default_scale_io,
    "ephemeral": _ephemeral,
}
