"""What is asked of a storage driver: names, places and messages; pure.

Ref: https://kubernetes-csi.github.io/docs/
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mizzen.api.views.podspec import Pod
from mizzen.machinery.errors import Object
from mizzen.wire import csi
from mizzen.wire.protobuf import Message

PLUGIN = "kubernetes.io~csi"
TOKENS = "csi.storage.k8s.io/serviceAccount.tokens"
_SINGLE_WRITER, _MANY_READERS, _MANY_WRITERS = 1, 3, 5
_ONE_WRITER, _WRITERS_OF_ONE_NODE = 6, 7


def attachment_name(handle: str, driver: str, node: str) -> str:
    """The VolumeAttachment that the attach controller makes of a volume."""
    return "csi-" + hashlib.sha256(f"{handle}{driver}{node}".encode()).hexdigest()


def unique_name(driver: str, handle: str) -> str:
    """How a node's status names a volume in use."""
    return f"kubernetes.io/csi/{driver}^{handle}"


def inline_handle(uid: str, volume: str) -> str:
    """The handle of a volume that lives and dies with its pod."""
    return "csi-" + hashlib.sha256(f"{uid}{volume}".encode()).hexdigest()


def staging_place(driver: str, handle: str, volume: str, *, block: bool) -> str:
    """Where a volume is staged, below the node's directory."""
    if block:
        return f"plugins/kubernetes.io/csi/volumeDevices/staging/{volume}"
    return f"plugins/kubernetes.io/csi/{driver}/{hashlib.sha256(handle.encode()).hexdigest()}/globalmount"


def target_place(uid: str, volume: str, *, block: bool) -> str:
    """Where a volume is published for a pod, below the node's directory."""
    if block:
        return f"plugins/kubernetes.io/csi/volumeDevices/publish/{volume}/{uid}"
    return f"pods/{uid}/volumes/{PLUGIN}/{volume}/mount"


def record_place(uid: str, volume: str, *, block: bool) -> str:
    """Where it is noted that a pod has a volume, below the node's directory."""
    return f"pods/{uid}/{'volumeDevices' if block else 'volumes'}/{PLUGIN}/{volume}/vol_data.json"


def access_mode(modes: Sequence[str], abilities: Iterable[int]) -> int:
    """The driver's word for how a volume may be used; drivers that tell one writer from several on a node hear more."""
    tells_apart = csi.SINGLE_NODE_MULTI_WRITER in abilities
    match next(iter(modes), "ReadWriteOnce"):
        case "ReadOnlyMany":
            return _MANY_READERS
        case "ReadWriteMany":
            return _MANY_WRITERS
        case "ReadWriteOncePod" if tells_apart:
            return _ONE_WRITER
        case "ReadWriteOnce" if tells_apart:
            return _WRITERS_OF_ONE_NODE
        case _:
            return _SINGLE_WRITER


def capability(mode: int, *, block: bool, fs_type: str, options: Sequence[str], group: int | None) -> Message:
    """How a volume is wanted; `group` only for drivers that give volumes to a group themselves."""
    if block:
        return {"block": {}, "access_mode": {"mode": mode}}
    mount: dict[str, Any] = {"fs_type": fs_type, "mount_flags": list(options)}
    if group is not None:
        mount["volume_mount_group"] = str(group)
    return {"mount": mount, "access_mode": {"mode": mode}}


def takes_group(settings: Mapping[str, Any], fs_type: str, modes: Sequence[str], abilities: Iterable[int]) -> bool:
    """Whether the node gives the volume to the pod's group, by the driver's fsGroupPolicy."""
    if csi.MOUNT_GROUP in abilities:
        return False
    policy = settings.get("fsGroupPolicy") or "ReadWriteOnceWithFSType"
    if policy != "ReadWriteOnceWithFSType":
        return bool(policy == "File")
    return bool(fs_type) and any(mode in {"ReadWriteOnce", "ReadWriteOncePod"} for mode in modes)


def pod_attributes(pod: Pod, settings: Mapping[str, Any], *, inline: bool) -> dict[str, str]:
    """What a driver with podInfoOnMount is told of the pod."""
    if not settings.get("podInfoOnMount"):
        return {}
    return {
        "csi.storage.k8s.io/pod.name": pod.metadata.name,
        "csi.storage.k8s.io/pod.namespace": pod.metadata.namespace,
        "csi.storage.k8s.io/pod.uid": pod.metadata.uid,
        "csi.storage.k8s.io/serviceAccount.name": pod.spec.serviceAccountName or "",
        "csi.storage.k8s.io/ephemeral": "true" if inline else "false",
    }


def driver_entry(name: str, info: Message) -> Object:
    """A driver in the node's CSINode object."""
    keys = sorted((info["accessible_topology"] or {}).get("segments") or ())
    entry: Object = {"name": name, "nodeID": info["node_id"], "topologyKeys": keys or None}
    if info["max_volumes_per_node"] > 0:
        entry["allocatable"] = {"count": info["max_volumes_per_node"]}
    return entry


def grown_claim(claim: Object, capacity: str) -> Object | None:
    """The change to a claim's status once the node has grown its volume to a size; None when there is none to make."""
    status = claim.get("status") or {}
    resizing = {"FileSystemResizePending", "Resizing", "ControllerResizeError", "NodeResizeError"}
    conditions = status.get("conditions") or []
    kept = [one for one in conditions if one.get("type") not in resizing]
    change: Object = {}
    if (status.get("capacity") or {}).get("storage") != capacity:
        change["capacity"] = {"storage": capacity}
    if kept != conditions:
        change["conditions"] = kept or None
    if "storage" in (status.get("allocatedResourceStatuses") or {}):
        change["allocatedResourceStatuses"] = {"storage": None}
    return {"status": change} if change else None
