"""What the embedded runtime must know of the machine: its programs, limits, capabilities, devices and processes."""

import asyncio
import contextlib
import functools
import os
import resource
import shutil
import stat
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from mizzen.agent.runtime import spawn, syscalls
from mizzen.agent.runtime.base import ContainerSpec, Device, Limits, RuntimeFailure
from mizzen.agent.runtime.namespaces import in_thread, in_user_namespace
from mizzen.agent.runtime.oci_config import CAPABILITIES, Place

_CLONE_NEWPID = 0x20000000
_CAP_SYS_RESOURCE = 24


@dataclass(frozen=True, slots=True)
class Programs:
    """Absolute paths of what runs containers."""

    conmon: str
    oci_runtime: str
    version: str
    flags: tuple[str, ...] = ()
    """What the OCI runtime is told in every call."""


def find_programs() -> Programs:
    """conmon, and crun or else runc. Raises RuntimeFailure, naming what to install."""
    monitor = shutil.which("conmon", path=spawn.PATH["PATH"])
    runner = shutil.which("crun", path=spawn.PATH["PATH"]) or shutil.which("runc", path=spawn.PATH["PATH"])
    if monitor is None or runner is None:
        raise RuntimeFailure("NotFound", "containers need the programs conmon and crun (or runc): install both")
    shown = subprocess.run([runner, "--version"], capture_output=True, text=True, check=False).stdout
    first = shown.splitlines()[0].split() if shown else ["unknown"]
    return Programs(monitor, runner, first[-1])


def place(group: str, namespaces: Mapping[str, str], shm: str, spec: ContainerSpec) -> Place:
    """The machine's side of a container's configuration."""
    devices = {device.source for device in spec.devices}
    nodes = {path: device(path) for path in devices}
    if spec.security.privileged:
        nodes |= host_devices()
    return Place(
        cgroup=group,
        namespaces=namespaces,
        shm=shm,
        oom_score_floor=_oom_floor(),
        hard_limits={"RLIMIT_NOFILE": min(1 << 20, resource.getrlimit(resource.RLIMIT_NOFILE)[1])},
        capabilities=own_capabilities(),
        device_nodes=nodes,
        has_hugetlb=bool(_page_sizes()),
        is_unified=bool(_offered()),
    )


@functools.cache
def _offered() -> tuple[str, ...]:
    """The controllers of the one hierarchy that version 2 of control groups has; none on version 1."""
    try:
        return tuple(Path("/sys/fs/cgroup/cgroup.controllers").read_text().split())
    except OSError:
        return ()


def with_every_page_size(limits: Limits) -> Limits:
    """The limits with those of huge pages spelled out: whoever asks for none gets none."""
    return replace(limits, hugepages={**dict.fromkeys(_page_sizes(), 0), **limits.hugepages})


@functools.cache
def _page_sizes() -> tuple[str, ...]:
    """The sizes of huge pages that control groups can limit; none without their controller."""
    if not Path("/sys/fs/cgroup/hugetlb").is_dir() and "hugetlb" not in _offered():
        return ()
    names = (path.name for path in Path("/sys/kernel/mm/hugepages").glob("hugepages-*kB"))
    sizes = (int(name.removeprefix("hugepages-").removesuffix("kB")) for name in names)
    return tuple(f"{kb >> 20}GB" if kb >> 20 else f"{kb >> 10}MB" if kb >> 10 else f"{kb}KB" for kb in sizes)


@functools.cache
def own_capabilities() -> frozenset[str]:
    """The capabilities this process can hand on."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapBnd"))
    bits = int(line.split()[1], 16)
    return frozenset(name for number, name in enumerate(CAPABILITIES) if bits >> number & 1)


@functools.cache
def _oom_floor() -> int:
    """The lowest oom_score_adj we may set: without the machine's own CAP_SYS_RESOURCE it can only be raised."""
    if "CAP_SYS_RESOURCE" in own_capabilities() and not in_user_namespace():
        return -1000
    return int(Path("/proc/self/oom_score_adj").read_text())


def nodes_of(devices: Iterable[Device]) -> tuple[Device, ...]:
    """The device nodes themselves, where a link to one was named, or a directory of them."""
    found = []
    for one in devices:
        root = Path(one.source).resolve()
        if not root.is_dir():
            found.append(replace(one, source=str(root)))
            continue
        for path in sorted(root.rglob("*")):
            if path.is_char_device() or path.is_block_device():
                target = f"{one.target.rstrip('/')}/{path.relative_to(root)}"
                found.append(replace(one, source=str(path.resolve()), target=target))
    return tuple(found)


def host_devices() -> dict[str, tuple[str, int, int]]:
    """The machine's device nodes, as a privileged container sees them."""
    found = {}
    for directory, below, names in os.walk("/dev"):
        below[:] = [name for name in below if name not in {"pts", "shm", "mqueue", "fd"}]
        for name in names:
            path = f"{directory}/{name}"
            with contextlib.suppress(RuntimeFailure):
                found[path] = device(path)
    for own in (
        "/dev/console",
        "/dev/tty",
        "/dev/ptmx",
        "/dev/null",
        "/dev/zero",
        "/dev/full",
        "/dev/random",
        "/dev/urandom",
    ):
        found.pop(own, None)
    return found


def device(path: str) -> tuple[str, int, int]:
    """What a device node is: `c` or `b`, major, minor. Raises RuntimeFailure."""
    try:
        seen = Path(path).lstat()
    except OSError as error:
        raise RuntimeFailure("CreateContainerError", f"device {path}: {error.strerror}") from error
    kind = "c" if stat.S_ISCHR(seen.st_mode) else "b" if stat.S_ISBLK(seen.st_mode) else ""
    if not kind:
        raise RuntimeFailure("CreateContainerError", f"{path} is not a device node")
    return kind, os.major(seen.st_rdev), os.minor(seen.st_rdev)


def apparmor() -> bool:
    """Whether the kernel confines programs by AppArmor's profiles."""
    try:
        return Path("/sys/module/apparmor/parameters/enabled").read_text().startswith("Y")
    except OSError:
        return False


def seccomp_profile(chosen: str) -> Mapping[str, Any] | None:
    """A profile of this node's own (`Localhost`). Raises RuntimeFailure when it cannot be read."""
    if chosen in {"", "Unconfined", "RuntimeDefault"}:
        return None
    try:
        profile: dict[str, Any] = orjson.loads(Path(chosen).read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise RuntimeFailure("CreateContainerError", f"cannot load seccomp profile {chosen!r}: {error}") from error
    return profile


def start_init() -> int:
    """A first process for a shared process namespace: it sleeps, and as it ignores SIGCHLD the kernel reaps orphans."""
    script = "trap '' CHLD TERM INT HUP; exec sleep infinity"

    def body() -> int:
        syscalls.unshare(_CLONE_NEWPID)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        try:
            return spawn.start(["/bin/sh", "-c", script], descriptors={0: null, 1: null, 2: null}, session=True)
        finally:
            os.close(null)

    return in_thread(body)


def is_running(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return pid > 0 and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (OSError, IndexError):
        return False


async def gone(pid: int) -> None:
    """Return when a process, ours or not, has ended; reap it when it is ours."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, spawn.resolve, ended)
    try:
        await asyncio.wait_for(ended, 10)
    finally:
        loop.remove_reader(fd)
        os.close(fd)
    _reap(pid)


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
