"""Defaults that OpenAPI v3 tells: those of fields, and the empty values of what is always written.

Structured merge needs them where they are part of a list's key: a port without a protocol is one of TCP.
Ref: https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy
"""

from collections.abc import Collection
from typing import Any, Final

from mizzen.machinery.errors import Object

_EMPTY: Final[dict[str, Any]] = {"string": "", "integer": 0, "number": 0, "boolean": False}
_RBD: Final = {"keyring": "/etc/ceph/keyring", "pool": "rbd", "user": "admin"}
_SCALE_IO: Final = {"fsType": "xfs", "storageMode": "ThinProvisioned"}
_DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "core.v1.AzureDiskVolumeSource": {
        "cachingMode": "ReadWrite",
        "fsType": "ext4",
        "kind": "Shared",
        "readOnly": False,
    },
    "core.v1.ContainerPort": {"protocol": "TCP"},
    "core.v1.GRPCAction": {"service": ""},
    "core.v1.ISCSIPersistentVolumeSource": {"iscsiInterface": "default"},
    "core.v1.ISCSIVolumeSource": {"iscsiInterface": "default"},
    "core.v1.RBDPersistentVolumeSource": _RBD,
    "core.v1.RBDVolumeSource": _RBD,
    "core.v1.ScaleIOPersistentVolumeSource": _SCALE_IO,
    "core.v1.ScaleIOVolumeSource": _SCALE_IO,
    "core.v1.ServicePort": {"protocol": "TCP"},
}


def put(name: str, properties: Object, required: Collection[str]) -> None:
    """Tell the defaults of a definition in its properties, in place."""
    own = _DEFAULTS.get(name.removeprefix("io.k8s.api."), {})
    for key, node in properties.items():
        if key in own:
            node["default"] = own[key]
        elif key in required:
            put_empty(node)


def put_empty(node: Object) -> None:
    """Tell the empty value of a plain one, in place."""
    if "default" not in node and node.get("type") in _EMPTY and "oneOf" not in node:
        node["default"] = _EMPTY[node["type"]]


def named() -> list[tuple[str, str]]:
    """Every definition and field that has a default of its own."""
    return [(f"io.k8s.api.{name}", key) for name, fields in _DEFAULTS.items() for key in fields]
