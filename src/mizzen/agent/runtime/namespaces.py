"""The namespaces a pod's containers share, kept alive by bind mounts on files: a pod needs no pause process.

Also the mount namespace of the agent itself, which outlives it in the containers' monitors and is entered again.
"""

import contextlib
import fcntl
import functools
import os
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from mizzen.agent.runtime import spawn, syscalls

T = TypeVar("T")
IdMap = tuple[int, int]
"""First id on the host, and count: a container's ids from 0 on are shifted there."""
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


@functools.cache
def in_user_namespace() -> bool:
    """Whether ids here are not the machine's own: root is an ordinary user then, with rights over what it made."""
    return Path("/proc/self/uid_map").read_text().split() != ["0", "0", str((1 << 32) - 1)]


def in_thread(work: Callable[[], T]) -> T:
    """Run something in a thread of its own, which may change its namespaces because it ends afterwards."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # handed to the caller below
            failure.append(error)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def make(
    directory: Path, *, net: bool, ipc: bool, hostname: str, sysctls: Mapping[str, str], id_map: IdMap | None = None
) -> None:
    """Make the pod's namespaces and bind them to `directory/net`, `ipc`, `uts`, with an id map `user`. Raises OSError.

    Those of a pod with a user namespace belong to that, so that its root may govern them.
    """
    directory.mkdir(parents=True, exist_ok=True)
    kinds = (
        ("net", syscalls.CLONE_NEWNET, net),
        ("ipc", syscalls.CLONE_NEWIPC, ipc),
        ("uts", syscalls.CLONE_NEWUTS, True),
    )
    if id_map is not None:
        _bind_owned(directory, [name for name, _, wanted in kinds if wanted], id_map)

    def body() -> None:
        flags = 0
        for name, flag, wanted in kinds:
            flags |= flag if wanted else 0
            if wanted and id_map is not None:
                _enter(directory / name, flag)
        if id_map is None:
            syscalls.unshare(flags)
        if net:
            _loopback_up()
        for name, value in sysctls.items():
            Path("/proc/sys", *name.replace("/", ".").split(".")).write_text(value)
        if hostname:
            socket.sethostname(hostname)
        for name, _, wanted in kinds:
            if wanted and id_map is None:
                target = directory / name
                target.touch()
                syscalls.mount(f"/proc/thread-self/ns/{name}", str(target), "", syscalls.MS_BIND)

    in_thread(body)


def _bind_owned(directory: Path, names: list[str], id_map: IdMap) -> None:
    """A process with one thread must make a user namespace: a helper does, and waits while its namespaces are bound."""
    first, count = id_map
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    waits, goes = os.pipe2(os.O_CLOEXEC)
    try:
        flags = [f"--{name}" for name in ["user", *names]]
        argv = ["/usr/bin/unshare", *flags, "--", "/bin/sh", "-c", "echo made; read rest"]
        pid = spawn.start(argv, descriptors={0: waits, 1: theirs, 2: theirs})
        os.close(theirs)
        theirs = -1
        try:
            said = os.read(ours, 4096)
            if said != b"made\n":
                raise OSError(f"no user namespace: {said.decode(errors='replace').strip()}")
            for kind in ("uid", "gid"):
                Path(f"/proc/{pid}/{kind}_map").write_text(f"0 {first} {count}\n")
            for name in ["user", *names]:
                (directory / name).touch()
                syscalls.mount(f"/proc/{pid}/ns/{name}", str(directory / name), "", syscalls.MS_BIND)
        finally:
            os.close(goes)
            goes = -1
            os.waitpid(pid, 0)
    finally:
        for fd in (ours, theirs, waits, goes):
            if fd >= 0:
                os.close(fd)


def _enter(path: Path, kind: int) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(fd, kind)
    finally:
        os.close(fd)


def remove(directory: Path) -> None:
    """Unbind the pod's namespaces; the kernel frees them with their last process."""
    for name in ("net", "ipc", "uts", "user"):
        path = directory / name
        with contextlib.suppress(OSError):
            syscalls.unmount(str(path))
        path.unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        directory.rmdir()


def is_bound(path: Path) -> bool:
    """Whether a namespace is bound to this file (and not merely an empty file left by a restart of the machine)."""
    try:
        return path.stat().st_dev != path.parent.stat().st_dev
    except FileNotFoundError:
        return False


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14s", b"lo", 0, b"")
        flags = struct.unpack("16sh14s", fcntl.ioctl(control, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14s", b"lo", flags | _IFF_UP, b""))


def enter_mounts(root: Path) -> bool:
    """Enter the mount namespace that an earlier agent of this root left in its monitors, or make a private one.

    Must run before the process has threads. In a new namespace the unified cgroup hierarchy of a hybrid layout is
    unmounted, because crun refuses hybrid layouts. Answers whether an earlier namespace was found.
    """
    for pidfile in sorted(root.glob("containers/*/conmon.pid")):
        with contextlib.suppress(OSError, ValueError):
            pid = int(pidfile.read_text())
            if str(pidfile.parent).encode() not in Path(f"/proc/{pid}/cmdline").read_bytes():
                continue
            fd = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            try:
                syscalls.setns(fd, syscalls.CLONE_NEWNS)
            finally:
                os.close(fd)
            return True
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    # Within the node mounts are shared, as on any machine: pods with mountPropagation see and make them.
    syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_SHARED)
    if in_user_namespace():  # the machine's mounts are locked there; what is needed has been laid over them
        return False
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    if any(entry[2] == "cgroup" for entry in mounts):
        for entry in mounts:
            if entry[2] == "cgroup2":
                syscalls.unmount(entry[1])
                # crun makes directories here whatever is mounted: they shall vanish with this namespace.
                syscalls.mount("tmpfs", entry[1], "tmpfs")
    return False
