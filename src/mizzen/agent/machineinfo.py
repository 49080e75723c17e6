"""What this machine is and has: read from the kernel, once or again and again."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Pressure:
    """How much is left; bytes and counts."""

    memory_available: int
    disk_available: int
    disk_size: int
    inodes_free: int
    inodes: int
    pids_used: int
    pids: int
    memory: int = 0


def cpus() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0))


def memory() -> int:
    """Bytes of memory."""
    return _meminfo()["MemTotal"]


def hugepages() -> dict[str, int]:
    """Bytes in huge pages by resource name (`hugepages-2Mi`)."""
    found = {}
    for directory in sorted(Path("/sys/kernel/mm/hugepages").glob("hugepages-*kB")):
        size = int(directory.name.removeprefix("hugepages-").removesuffix("kB"))
        shown = f"{size // 1048576}Gi" if size >= 1048576 else f"{size // 1024}Mi"
        try:
            count = int((directory / "nr_hugepages").read_text())
        except (OSError, ValueError):
            count = 0
        found[f"hugepages-{shown}"] = count * size * 1024
    return found


def pressure(root: Path) -> Pressure:
    """What is left now; `root` names the file system that counts."""
    info = _meminfo()
    disk = os.statvfs(root)
    return Pressure(
        memory_available=info["MemAvailable"],
        disk_available=disk.f_bavail * disk.f_frsize,
        disk_size=disk.f_blocks * disk.f_frsize,
        inodes_free=disk.f_favail,
        inodes=disk.f_files,
        pids_used=int(Path("/proc/loadavg").read_text().split()[3].split("/")[1]),
        pids=int(Path("/proc/sys/kernel/pid_max").read_text()),
        memory=info["MemTotal"],
    )


def swap() -> tuple[int, int]:
    """Bytes of swap space, and those in use."""
    info = _meminfo()
    return info["SwapTotal"], info["SwapTotal"] - info["SwapFree"]


def image_pressure(root: Path, images: Path) -> Pressure | None:
    """What is left where the images are, if that is another file system than the node's."""
    try:
        return pressure(images) if images.stat().st_dev != root.stat().st_dev else None
    except FileNotFoundError:  # no image has come here yet
        return None


def _meminfo() -> dict[str, int]:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}


def info(runtime: str, version: str) -> dict[str, Any]:
    """The `nodeInfo` of a node's status."""
    space = swap()[0]
    release = {}
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        if Path(path).exists():
            pairs = (line.partition("=") for line in Path(path).read_text().splitlines())
            release = {key: value.strip('"') for key, _, value in pairs}
            break
    machine = platform.machine()
    return {
        "machineID": _first("/etc/machine-id", "/var/lib/dbus/machine-id"),
        "systemUUID": _first("/sys/class/dmi/id/product_uuid", "/etc/machine-id"),
        "bootID": _first("/proc/sys/kernel/random/boot_id"),
        "kernelVersion": platform.release(),
        "osImage": release.get("PRETTY_NAME", "Linux"),
        "containerRuntimeVersion": runtime,
        "kubeletVersion": version,
        "kubeProxyVersion": version,
        "operatingSystem": "linux",
        "architecture": _ARCHITECTURES.get(machine, machine),
        **({"swap": {"capacity": space}} if space else {}),
    }


def architecture() -> str:
    """The architecture as labels name it."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def _first(*paths: str) -> str:
    for path in paths:
        try:
            return Path(path).read_text().strip()
        except OSError:
            continue
    return ""
