"""The process that keeps the namespaces: `python -m mizzen.cluster.rootless.keeper DATA_DIR PORT…`.

Two processes: the inner one is inside, with listening sockets that were made outside, so that what connects to
127.0.0.1:PORT out there is led to 127.0.0.1:PORT in here. The outer one dials for those inside (`outside`), and runs
what joins the inner network to the outer, where the machine has it. Each ends with the other.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, Never

from mizzen.agent.network.netlink import Netlink
from mizzen.agent.runtime import syscalls
from mizzen.cluster import processes
from mizzen.cluster.config import ConfigError
from mizzen.cluster.rootless import ids, outside

NAMESPACES: Final = {
    "user": syscalls.CLONE_NEWUSER,
    "mnt": syscalls.CLONE_NEWNS,
    "net": syscalls.CLONE_NEWNET,
    "cgroup": syscalls.CLONE_NEWCGROUP,
    "ipc": syscalls.CLONE_NEWIPC,
}
"""What is entered, in this order: the user namespace gives the right to the others."""
_CHUNK: Final = 1 << 16
_PR_SET_PDEATHSIG: Final = 1


def record(data_dir: Path) -> Path:
    return data_dir / "run" / "rootless" / "keeper.json"


def inner(data_dir: Path) -> Path:
    """The file with the inner process's id; it is written once all is ready."""
    return data_dir / "run" / "rootless" / "inner"


def dial_socket(data_dir: Path) -> Path:
    return data_dir / "run" / "rootless" / "outside.sock"


def forget(data_dir: Path) -> None:
    """Remove the files of a keeper that has ended."""
    for path in (record(data_dir), inner(data_dir), dial_socket(data_dir)):
        path.unlink(missing_ok=True)


def main(arguments: list[str]) -> None:
    data_dir, ports = Path(arguments[0]), [int(port) for port in arguments[1:]]
    listeners = [_listen(port) for port in ports]
    inner(data_dir).unlink(missing_ok=True)
    known = survivor(data_dir)
    if known is None:
        pid = fork_inside(tuple(NAMESPACES), lambda: _live_inside(listeners, fresh=True))
    else:
        pid = fork_into(known, lambda: _live_inside(listeners, fresh=False))
    for listener in listeners:
        listener.close()
    outside.serve(dial_socket(data_dir))
    joined = _join_networks(pid) if known is None else None
    inner(data_dir).write_text(str(pid))
    _until_the_end(pid, joined)


def fork_inside(kinds: tuple[str, ...], work: Callable[[], None]) -> int:
    """Fork a process into new namespaces where this user is root; answers its id. Raises ConfigError.

    Returns once `work` is about to run; the process ends when it returns.
    """
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        _die_with_parent()
        ours.close()
        try:
            syscalls.unshare(sum(NAMESPACES[kind] for kind in kinds))
        except OSError as error:
            theirs.sendall(str(error).encode())
            os._exit(1)
        theirs.sendall(b"made")
        if theirs.recv(1) != b"m":
            os._exit(1)
        theirs.close()

        def as_root() -> None:
            os.setgid(0)
            os.setuid(0)
            work()

        _end_after(as_root)
    theirs.close()
    with ours:
        if (said := ours.recv(4096)) != b"made":
            os.waitpid(pid, 0)
            raise ConfigError(f"this machine lets users have no namespaces: {said.decode(errors='replace')}")
        try:
            ids.write_maps(pid)
        except ConfigError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        ours.sendall(b"m")
    return pid


def fork_into(files: dict[str, str], work: Callable[[], None]) -> int:
    """Fork a process into namespaces that there are; answers its id once it is there, since others follow it.

    Raises: ConfigError.
    """
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        _die_with_parent()
        ours.close()

        def inside() -> None:
            _join(files)
            theirs.sendall(b"i")
            theirs.close()
            work()

        _end_after(inside)
    theirs.close()
    with ours:
        if ours.recv(1) != b"i":
            os.waitpid(pid, 0)
            raise ConfigError("the cluster's namespaces, in which some of it still runs, cannot be entered")
    return pid


def _end_after(work: Callable[[], None]) -> Never:
    """Work, and end this process: a forked one never goes back to what its parent does."""
    try:
        work()
    except BaseException as error:  # nobody else would hear of it
        print(f"inside: {error!r}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def survivor(data_dir: Path) -> dict[str, str] | None:
    """Files of the namespaces of a cluster that runs on although its keeper is gone; None when nothing runs."""
    run = data_dir / "run"
    records = (*run.glob("*.json"), *run.glob("supervisors/*.json"))
    for path in sorted(records, key=lambda path: path.stem != "server"):
        found = processes.running(path)
        if found is None:
            continue
        files = {kind: f"/proc/{found.pid}/ns/{kind}" for kind in NAMESPACES}
        files["net"] = _machine_network(found.pid) or files["net"]
        return files
    return None


def _machine_network(pid: int) -> str:
    """The network that a node's agent came from before it entered its node's, which it keeps as an open file."""
    own = Path(f"/proc/{pid}/ns/net").readlink().name
    for path in sorted(Path(f"/proc/{pid}/fd").iterdir(), key=lambda path: int(path.name)):
        with contextlib.suppress(OSError):
            if (leads := path.readlink().name).startswith("net:[") and leads != own:
                return str(path)
    return ""


def _join(files: dict[str, str]) -> None:
    descriptors = {kind: os.open(path, os.O_RDONLY | os.O_CLOEXEC) for kind, path in files.items()}
    for kind in NAMESPACES:
        syscalls.setns(descriptors[kind], NAMESPACES[kind])
        os.close(descriptors[kind])


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(512)
    return listener


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _live_inside(listeners: list[socket.socket], *, fresh: bool) -> None:
    if fresh:
        prepare_mounts()
        with Netlink() as net:
            net.set_up(net.need("lo").index)
    asyncio.run(_forward(listeners))


def prepare_mounts() -> None:
    """Lay over the machine's mounts what root would have: a /run that can be written, and control groups, if any."""
    syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    _own_run()
    with contextlib.suppress(OSError):
        syscalls.mount("none", "/sys/fs/cgroup", "cgroup2")
        _make_room(Path("/sys/fs/cgroup"))


def _own_run() -> None:
    """A /run of our own; what the machine keeps there is led to."""
    old = Path("/run")
    names = sorted(entry.name for entry in old.iterdir())
    held = os.open(old, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    syscalls.mount("run", "/run", "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=755")
    machine = old / ".machine"
    machine.mkdir()
    syscalls.mount(f"/proc/self/fd/{held}", str(machine), "", syscalls.MS_BIND | syscalls.MS_REC)
    os.close(held)
    for name in names:
        if name != "netns":
            (old / name).symlink_to(f".machine/{name}")


def _make_room(top: Path) -> None:
    """Move everybody into a group below a delegated one: only groups without processes can limit those below them."""
    if not os.access(top, os.W_OK):
        return
    below = top / "cluster"
    below.mkdir(exist_ok=True)
    for pid in (top / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):
            (below / "cgroup.procs").write_text(pid)


async def _forward(listeners: list[socket.socket]) -> None:
    for listener in listeners:
        port = listener.getsockname()[1]

        async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int = port) -> None:
            await _lead(reader, writer, port)

        await asyncio.start_server(lead, sock=listener)
    await asyncio.Event().wait()


async def _lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    try:
        there, to_there = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(_pump(reader, to_there), _pump(there, writer))
    writer.close()
    to_there.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
        return
    writer.close()


def _join_networks(pid: int) -> "subprocess.Popen[bytes] | None":
    """Let pods reach the outside, where the machine has slirp4netns or pasta and lets users have tap devices."""
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return None
    ports = ("-t", "none", "-u", "none", "-T", "none", "-U", "none")
    commands = {
        "slirp4netns": ("--configure", "--mtu=65520", "--disable-host-loopback", str(pid), "tap0"),
        "pasta": ("--foreground", "--quiet", "--config-net", "--no-map-gw", *ports, str(pid)),
    }
    for name, arguments in commands.items():
        if (program := shutil.which(name)) is not None:
            return subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL)
    return None


def _until_the_end(pid: int, joined: "subprocess.Popen[bytes] | None") -> None:
    """Wait for the inner process to end, or for a signal to end everything."""

    def end(number: int, frame: object) -> None:
        os.kill(pid, signal.SIGKILL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    while True:
        with contextlib.suppress(InterruptedError):
            os.waitpid(pid, 0)
            break
    if joined is not None:
        joined.terminate()
        joined.wait()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ConfigError, OSError, json.JSONDecodeError) as problem:
        print(problem, file=sys.stderr)
        sys.exit(1)
