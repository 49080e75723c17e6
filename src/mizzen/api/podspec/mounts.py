"""Where a container sees the pod's volumes: mounted as directories, or as raw devices."""

from collections.abc import Iterator

from mizzen.api.podspec.env import backstep_errors, local_path_errors
from mizzen.api.podspec.volumes import Volumes, is_device
from mizzen.machinery.errors import FieldError, Object, forbidden, invalid, not_found, not_supported, required

_PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
_PLAIN = frozenset(("name", "mountPath", "readOnly"))
_RECURSIONS = ("Disabled", "Enabled", "IfPossible")


def mount_errors(path: str, container: Object, volumes: Volumes) -> Iterator[FieldError]:
    devices = container.get("volumeDevices") or ()
    device_names = {device.get("name") for device in devices}
    device_paths = {device.get("devicePath") for device in devices}
    seen: set[str] = set()
    at = f"{path}.volumeMounts"
    for i, mount in enumerate(container["volumeMounts"]):
        name, place = mount.get("name") or "", mount.get("mountPath") or ""
        if not name:
            yield required(f"{at}[{i}].name")
        if name not in volumes:
            yield not_found(f"{at}[{i}].name", name)
        if not place:
            yield required(f"{at}[{i}].mountPath")
        if place in seen:
            yield invalid(f"{at}[{i}].mountPath", place, "must be unique")
        seen.add(place)
        if name in device_names:
            yield invalid(f"{at}[{i}].name", name, "must not already exist in volumeDevices")
        if place in device_paths:
            yield invalid(f"{at}[{i}].mountPath", place, "must not already exist as a path in volumeDevices")
        if not _PLAIN.issuperset(mount):
            yield from _detail_errors(at, i, mount, container)


def _detail_errors(path: str, i: int, mount: Object, container: Object) -> Iterator[FieldError]:
    """Parts of volumes and what passes through mounts; the errors of most carry no position."""
    if part := mount.get("subPath"):
        yield from local_path_errors(f"{path}.subPath", part)
    if expression := mount.get("subPathExpr"):
        if part:
            detail = "subPathExpr and subPath are mutually exclusive"
            yield invalid(f"{path}[{i}].subPathExpr", expression, detail)
        yield from local_path_errors(f"{path}.subPathExpr", expression)
    if (propagation := mount.get("mountPropagation")) is not None:
        if propagation not in _PROPAGATIONS:
            yield not_supported(f"{path}.mountPropagation", propagation, _PROPAGATIONS)
        elif propagation == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
            detail = "Bidirectional mount propagation is available only to privileged containers"
            yield forbidden(f"{path}.mountPropagation", detail)
    if (recursive := mount.get("recursiveReadOnly")) is not None:
        at = f"{path}.recursiveReadOnly"
        if recursive not in _RECURSIONS:
            yield not_supported(at, recursive, _RECURSIONS)
        elif recursive != "Disabled":
            if not mount.get("readOnly"):
                yield forbidden(at, "may only be specified when readOnly is true")
            if propagation not in {None, "None"}:
                yield forbidden(at, "may only be specified when mountPropagation is None or not specified")


def device_errors(path: str, container: Object, volumes: Volumes) -> Iterator[FieldError]:
    mounts = container.get("volumeMounts") or ()
    mount_names = {mount.get("name") for mount in mounts}
    mount_paths = {mount.get("mountPath") for mount in mounts}
    names: set[str] = set()
    places: set[str] = set()
    for i, device in enumerate(container["volumeDevices"]):
        at = f"{path}.volumeDevices[{i}]"
        name, place = device.get("name") or "", device.get("devicePath") or ""
        if not name:
            yield required(f"{at}.name")
        if name in names:
            yield invalid(f"{at}.name", name, "must be unique")
        if (volume := volumes.get(name)) is None:
            yield not_found(f"{at}.name", name)
        elif not is_device(volume):
            detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            yield invalid(f"{at}.name", name, detail)
        if not place:
            yield required(f"{at}.devicePath")
        if place in places:
            yield invalid(f"{at}.devicePath", place, "must be unique")
        elif any(backstep_errors("", place)):
            yield invalid(f"{at}.devicePath", place, "can not contain backsteps ('..')")
        if name:
            names.add(name)
        places.add(place)
        if name in mount_names:
            yield invalid(f"{at}.name", name, "must not already exist in volumeMounts")
        if place in mount_paths:
            yield invalid(f"{at}.devicePath", place, "must not already exist as a path in volumeMounts")
