"""How each kind of volume comes to be a path on this node; one function each, listed in `KINDS`."""

import os
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mizzen.agent.kubeletdir import KubeletDir
from mizzen.agent.life import all_containers
from mizzen.agent.resources import Size, pod_limits
from mizzen.agent.runtime import syscalls
from mizzen.agent.runtime.namespaces import in_user_namespace
from mizzen.agent.volumes import mounting, teardown
from mizzen.api.views.podspec import CsiVolume, EmptyDir, HostPath, Pod, Volume
from mizzen.machinery import quantity
from mizzen.machinery.errors import Object


class VolumeFailure(Exception):
    """A volume cannot be made; the text follows `MountVolume.SetUp failed for volume "x" : ` in the event."""


class StepFailure(VolumeFailure):
    """Another step than the last one failed; the text stands alone."""


class ClaimFailure(VolumeFailure):
    """A claim is not what the volume needs; the text tells what about it."""


class ResizeFailure(StepFailure):
    """A volume could not be grown."""


@dataclass(frozen=True, slots=True)
class Mounted:
    """A volume on this node. `takes_group`: fsGroup applies. `block`: a device, not a file system."""

    path: Path
    read_only: bool = False
    takes_group: bool = False
    block: bool = False
    unmount: bool = False


class Claims(Protocol):
    """Reads the claim behind a volume."""

    async def volume_of(self, pod: Pod, claim: str) -> tuple[Object, Object]:
        """The claim and the persistent volume it is bound to. Raises VolumeFailure, ClaimFailure."""


class ImageVolumes(Protocol):
    """Finds the layers of an image that is mounted as a volume."""

    async def layers_of(self, pod: Pod, reference: str, policy_name: str) -> tuple[str, ...]:
        """Directories, uppermost first, kept while the pod is there. Raises VolumeFailure, ImageRefused."""

    def let_go(self, uid: str) -> None:
        """A pod's volumes are gone: its images may go too."""


class DriverVolumes(Protocol):
    """Makes volumes by storage drivers."""

    async def mount_claim(self, pod: Pod, claim: Object, persistent: Object, *, read_only: bool) -> Mounted:
        """A persistent volume that a driver provides. Raises VolumeFailure, ApiError, ConnectionError."""

    async def mount_inline(self, pod: Pod, name: str, source: CsiVolume) -> Mounted:
        """A volume that lives and dies with the pod. Raises VolumeFailure, ApiError, ConnectionError."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a volume goes, and whom to ask."""

    pod: Pod
    home: Path
    """The pod's own directory for this volume."""
    claims: Claims
    images: ImageVolumes
    drivers: DriverVolumes
    directory: KubeletDir


async def empty_dir(volume: Volume, place: Place) -> Mounted | None:
    return _empty_dir(volume.emptyDir, place) if volume.emptyDir is not None else None


def _empty_dir(source: EmptyDir, place: Place) -> Mounted:
    place.home.mkdir(parents=True, exist_ok=True)
    medium = source.medium or ""
    if medium and not os.path.ismount(place.home):
        if medium == "Memory":
            size = memory_size(source, place.pod)
            data = f"size={size}" if size else ""
            syscalls.mount_memory(str(place.home), data)
        else:
            data = f"pagesize={page_size(medium, place.pod)}"
            syscalls.mount("nodev", str(place.home), "hugetlbfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, data)
    if place.home.stat().st_mode & 0o777 != 0o777:  # a tmpfs comes with the sticky bit, which stays
        place.home.chmod(0o777)
    return Mounted(place.home, takes_group=True, unmount=bool(medium))


def memory_size(source: EmptyDir, pod: Pod) -> int:
    """How large a volume in memory may grow, in bytes: its own limit, and the pod's; 0 when there is neither."""
    limits = (quantity.in_bytes(source.sizeLimit or 0), pod_limits(pod, 0, Size()).memory)
    return min((limit for limit in limits if limit), default=0)


def page_size(medium: str, pod: Pod) -> str:
    """The page size of `HugePages-2Mi`, or for `HugePages` the one that the pod's containers ask for, as `2M`.

    Raises: VolumeFailure when they ask for none, or for several.
    """
    sizes = {medium.partition("-")[2]} if "-" in medium else _page_sizes(pod)
    if len(sizes) != 1:
        text = "medium HugePages can be used only if container requests one huge page size"
        raise VolumeFailure(f"{text}: {', '.join(sorted(sizes)) or 'none'}")
    return next(iter(sizes)).removesuffix("i")


def _page_sizes(pod: Pod) -> set[str]:
    asked = (one.resources.requests or one.resources.limits or {} for one in pod.spec.containers if one.resources)
    return {name.removeprefix("hugepages-") for names in asked for name in names if name.startswith("hugepages-")}


_HOST_TYPES: dict[str, tuple[Callable[[int], bool], str]] = {
    "Directory": (stat.S_ISDIR, "directory"),
    "File": (stat.S_ISREG, "file"),
    "Socket": (stat.S_ISSOCK, "socket"),
    "CharDevice": (stat.S_ISCHR, "character device"),
    "BlockDevice": (stat.S_ISBLK, "block device"),
}


async def host_path(volume: Volume, place: Place) -> Mounted | None:
    return _host_path(volume.hostPath, place.directory) if volume.hostPath is not None else None


def _host_path(source: HostPath, directory: KubeletDir) -> Mounted:
    path, kind = directory.on_node(source.path), source.type or ""
    if kind == "DirectoryOrCreate":
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    elif kind == "FileOrCreate" and not path.exists():
        if not path.parent.is_dir():
            raise VolumeFailure(f"hostPath type check failed: {path} is not a file")
        path.touch(0o644)
    if kind in _HOST_TYPES:
        is_kind, shown = _HOST_TYPES[kind]
        if not path.exists() or not is_kind(path.stat().st_mode):
            raise VolumeFailure(f"hostPath type check failed: {path} is not a {shown}")
    if not kind and not path.exists():
        path.mkdir(mode=0o755, parents=True)
    return Mounted(path)


async def nfs(volume: Volume, place: Place) -> Mounted | None:
    if volume.nfs is None:
        return None
    return await _nfs(volume.nfs.server, volume.nfs.path, bool(volume.nfs.readOnly), (), place.home)


async def _nfs(server: str, path: str, read_only: bool, options: tuple[str, ...], home: Path) -> Mounted:
    if not _is_mounted(home):
        await mounting.mount(nfs_command(server, path, (*(("ro",) if read_only else ()), *options), home))
    return Mounted(home, read_only=read_only, unmount=True)


def nfs_command(server: str, path: str, options: tuple[str, ...], home: Path) -> list[str]:
    """What mount(8) is told of a share."""
    host = f"[{server}]" if ":" in server else server
    return ["-t", "nfs", *(["-o", ",".join(options)] if options else []), f"{host}:{path}", str(home)]


def _is_mounted(home: Path) -> bool:
    """Whether a volume is there already, without asking whoever serves it; its directory is, afterwards."""
    if teardown.is_mounted(home):
        return True
    home.mkdir(parents=True, exist_ok=True)
    return False


async def image(volume: Volume, place: Place) -> Mounted | None:
    if volume.image is None:
        return None
    layers = await place.images.layers_of(place.pod, volume.image.reference, volume.image.pullPolicy or "")
    if not _is_mounted(place.home):
        below = place.home.parent / f"{place.home.name}.empty"
        below.mkdir(exist_ok=True)
        # An overlay without an upper layer needs two lower ones.
        syscalls.mount_overlay([*layers, str(below)], "", "", str(place.home), as_user=in_user_namespace())
    return Mounted(place.home, read_only=True, unmount=True)


async def claim(volume: Volume, place: Place) -> Mounted | None:
    if volume.persistentVolumeClaim is not None:
        name, read_only = volume.persistentVolumeClaim.claimName, bool(volume.persistentVolumeClaim.readOnly)
    elif volume.ephemeral is not None:
        name, read_only = f"{place.pod.metadata.name}-{volume.name}", False
    else:
        return None
    try:
        found, persistent = await place.claims.volume_of(place.pod, name)
        check_mode(volume.name, (found.get("spec") or {}).get("volumeMode") or "Filesystem", place.pod)
    except ClaimFailure as error:
        raise StepFailure(
            f"Unable to attach or mount volumes: unmounted volumes=[{volume.name}], unattached volumes=[], "
            f"failed to process volumes=[{volume.name}]: {error}"
        ) from error
    if "csi" in persistent["spec"]:
        return await place.drivers.mount_claim(place.pod, found, persistent, read_only=read_only)
    mounted = await persistent_volume(persistent, place)
    return Mounted(mounted.path, mounted.read_only or read_only, mounted.takes_group, mounted.block, mounted.unmount)


def check_mode(volume: str, mode: str, pod: Pod) -> None:
    """Containers mount file systems and are given devices, not the other way round. Raises ClaimFailure."""
    field = "volumeMounts" if mode == "Block" else "volumeDevices"
    if any(use.name == volume for one in all_containers(pod) for use in getattr(one, field) or ()):
        raise ClaimFailure(f"volume {volume} has volumeMode {mode}, but is specified in {field}")


async def persistent_volume(persistent: Object, place: Place) -> Mounted:
    """A persistent volume on this node. Raises VolumeFailure."""
    spec: dict[str, Any] = persistent.get("spec") or {}
    block = spec.get("volumeMode") == "Block"
    if (local := spec.get("local")) is not None:
        mounted = _local(Path(local["path"]), persistent, block=block)
        return mounted if block or not mounted.path.is_block_device() else await _on_device(mounted, spec, place.home)
    if (host := spec.get("hostPath")) is not None:
        return Mounted(
            _host_path(HostPath(path=host["path"], type=host.get("type")), place.directory).path, block=block
        )
    if (share := spec.get("nfs")) is not None:
        options = tuple(spec.get("mountOptions") or ())
        return await _nfs(share["server"], share["path"], bool(share.get("readOnly")), options, place.home)
    known = {"capacity", "accessModes", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName", "volumeMode"}
    raise VolumeFailure(f"no volume plugin matched: {', '.join(sorted(set(spec) - known)) or 'no source'}")


def _local(path: Path, persistent: Object, *, block: bool) -> Mounted:
    provisioned = (persistent["metadata"].get("annotations") or {}).get("pv.kubernetes.io/provisioned-by")
    if provisioned and not path.exists():
        path.mkdir(mode=0o777, parents=True)
        path.chmod(0o777)
    if not path.exists():
        raise VolumeFailure(f'path "{path}" does not exist')
    if block and not path.is_block_device():
        raise VolumeFailure(f'volumeMode is Block, and path "{path}" is not a block device')
    return Mounted(path, takes_group=not block, block=block)


async def _on_device(device: Mounted, spec: dict[str, Any], home: Path) -> Mounted:
    if not _is_mounted(home):
        options = tuple(spec.get("mountOptions") or ())
        await mounting.mount_device(device.path, spec["local"].get("fsType") or "", options, home)
    return Mounted(home, takes_group=True, unmount=True)


async def csi(volume: Volume, place: Place) -> Mounted | None:
    if volume.csi is None:
        return None
    return await place.drivers.mount_inline(place.pod, volume.name, volume.csi)


async def unsupported(volume: Volume, place: Place) -> Mounted | None:
    raise VolumeFailure("no volume plugin matched")


Mount = Callable[[Volume, Place], Awaitable[Mounted | None]]
KINDS: tuple[Mount, ...] = (empty_dir, host_path, nfs, image, claim, csi, unsupported)
"""Asked in order; the first answer counts. Volumes made of files are `projected`'s."""
