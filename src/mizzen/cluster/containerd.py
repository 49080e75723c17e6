"""A containerd of one node's own: its root, state, socket and pod network are the node's, its sandbox image too.

It runs in the machine's network namespace, where registries and resolvers are reached; the containers of a node in a
namespace of its own are made inside that one, so that pods on the host's network are on the node's. It outlives the
agent, as its containers do; the agent starts it again should it end.
"""

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mizzen.agent.runtime import cninone, crictr, cripause, spawn
from mizzen.agent.volumes import teardown
from mizzen.base import log
from mizzen.cluster import processes
from mizzen.cluster.config import ConfigError

NEEDED: Final = {"containerd": "containerd", "runc": "runc", "ctr": "containerd"}
"""Programs, and the Debian packages that bring them."""
_PATIENCE: Final = 30.0
_MOMENT: Final = 0.02
_DYING: Final = 3.0
"""How long a killed daemon may take to be gone: a thread of it may still wait for the disk."""
_PEER: Final = struct.Struct("3i")
_LOOK_EVERY: Final = 1.0
_CONFIG: Final = """version = 2
root = "{root}/root"
state = "{root}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "{root}/sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = {without_apparmor}
  disable_hugetlb_controller = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{root}/cni/bin"
  conf_dir = "{root}/cni/conf"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  BinaryName = "{root}/runc"
  Root = "{root}/state/runc"
  SystemdCgroup = false
"""
_log = log.get("containerd")


@dataclass(frozen=True, slots=True)
class Daemon:
    """Where a containerd keeps everything; `netns` is the node's network namespace, None for the machine's."""

    root: Path
    netns: Path | None = None

    @property
    def socket(self) -> str:
        return str(self.root / "sock")

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def record(self) -> Path:
        return self.root / "process.json"


def beside(node: Path, netns: Path | None) -> Daemon:
    """The daemon of the node with this directory: beside it, because the directory goes at every `down`."""
    return Daemon(node.with_name(f"{node.name}.containerd"), netns)


def start(daemon: Daemon, machine_net: int) -> None:
    """Start it unless it runs, and wait until it answers; it has the sandbox image then. Raises ConfigError.

    `machine_net` is the machine's network namespace, an open file that children inherit.
    """
    programs = {name: shutil.which(name, path=spawn.PATH["PATH"]) for name in (*NEEDED, "nsenter")}
    if missing := sorted({NEEDED.get(name, "util-linux") for name, path in programs.items() if path is None}):
        raise ConfigError(f"this machine lacks {', '.join(missing)}; try: apt-get install {' '.join(missing)}")
    before = known = processes.running(daemon.record)
    if known is None:
        configure(daemon, spawn.PATH["PATH"], Path("/proc/self/mounts").read_text())
        argv = [str(programs["containerd"]), "-c", str(daemon.root / "config.toml")]
        if daemon.netns is not None:
            argv = [str(programs["nsenter"]), f"--net=/proc/{os.getpid()}/fd/{machine_net}", *argv]
        known = processes.spawn(argv, record=daemon.record, log=daemon.log, environment=spawn.PATH)
    try:
        _until_it_answers(daemon, known.pid)
        _provide_pause(daemon)
    except ConfigError:
        if before is None or not processes.gone(before, _DYING):
            raise
        start(daemon, machine_net)  # the one that ran was about to end


async def supervise(daemon: Daemon, machine_net: int) -> None:
    """Start it again whenever it has ended, until cancelled."""
    while True:
        await asyncio.sleep(_LOOK_EVERY)
        if processes.running(daemon.record) is None:
            _log.warning("containerd has ended; starting it again", root=str(daemon.root))
            try:
                await asyncio.to_thread(start, daemon, machine_net)
            except ConfigError as error:
                _log.error("containerd does not start", error=str(error))


def stop(daemon: Daemon) -> None:
    """End it and what is left of its containers; images stay. Raises OSError while something is still mounted."""
    processes.stop(daemon.record)
    _end_shims(daemon)
    if daemon.root.exists():
        for address in (daemon.root / "state").glob("io.containerd.runtime.v2.task/*/*/address"):
            Path(address.read_text().removeprefix("unix://")).unlink(missing_ok=True)
        teardown.unmount_below(daemon.root)
        teardown.remove(daemon.root / "state")


def _end_shims(daemon: Daemon) -> None:
    """Kill the parents of containers that containerd has lost because it was killed while it made them."""
    marks = (b"containerd-shim", b"\0-address\0" + daemon.socket.encode() + b"\0")
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if all(mark in entry.read_bytes() + b"\0" for mark in marks):
                os.kill(int(entry.parent.name), signal.SIGKILL)


def configure(daemon: Daemon, path: str, mounts: str) -> None:
    """Write what it reads when it starts; `path` is where programs are looked for, `mounts` this process's mounts."""
    # crun takes a third less of the processor for a pod, but does not run where both kinds of control groups are used.
    kinds = {line.split()[2] for line in mounts.splitlines()}
    quicker = shutil.which("crun", path=path) if not {"cgroup", "cgroup2"} <= kinds else None
    program = quicker or shutil.which("runc", path=path) or "runc"
    daemon.root.mkdir(parents=True, exist_ok=True)
    cninone.install(daemon.root / "cni" / "conf", daemon.root / "cni" / "bin")
    inside = f"nsenter --net={shlex.quote(str(daemon.netns))} " if daemon.netns is not None else ""
    wrapper = daemon.root / "runc"
    wrapper.write_text(f'#!/bin/sh\nexec {inside}{shlex.quote(program)} "$@"\n')
    wrapper.chmod(0o755)
    without_apparmor = str(not Path("/sys/kernel/security/apparmor/profiles").exists()).lower()
    text = _CONFIG.format(root=daemon.root, pause=cripause.NAME, without_apparmor=without_apparmor)
    (daemon.root / "config.toml").write_text(text)


def _until_it_answers(daemon: Daemon, pid: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(daemon.socket)
            # The one before may still hold the socket while it ends.
            if _PEER.unpack(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))[0] == pid:
                return
        ended = processes.running(daemon.record) is None
        if ended or time.monotonic() > deadline:
            raise ConfigError(f"containerd does not answer; look into {daemon.log}")
        time.sleep(_MOMENT)


def _provide_pause(daemon: Daemon) -> None:
    if crictr.has_image(daemon.socket, cripause.NAME):
        return
    archive = daemon.root / "pause.tar"
    cripause.archive(archive)
    try:
        crictr.import_image(daemon.socket, archive)
    except OSError as error:
        raise ConfigError(f"containerd does not take the sandbox image: {error}") from error
    finally:
        archive.unlink()
