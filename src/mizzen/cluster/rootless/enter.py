"""Getting inside: start the keeper, and run this very command once more as root of its namespaces."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mizzen.agent.runtime import syscalls
from mizzen.agent.runtime.namespaces import in_user_namespace
from mizzen.cluster import processes
from mizzen.cluster.config import INSIDE, ClusterConfig, ConfigError
from mizzen.cluster.rootless import ids, keeper

_PATIENCE: Final = 15.0
_MOMENT: Final = 0.01


def is_outside() -> bool:
    """Whether this is an ordinary user's process that has yet to go inside."""
    return os.geteuid() != 0


def check(config: ClusterConfig) -> None:
    """Whether this user can have a cluster with real containers. Raises ConfigError."""
    if config.runtime != "crun":
        raise ConfigError("an ordinary user's containers are run by crun; --runtime cri needs root")
    ids.own_ranges()


def open_namespaces(config: ClusterConfig) -> None:
    """Start the keeper unless it runs with these very ports. Raises ConfigError with what it said."""
    record = keeper.record(config.data_dir)
    ports = tuple(str(port) for port in sorted({config.api_port, config.http_port, config.https_port}))
    found = processes.running(record)
    if found is not None and found.argv[-len(ports) :] == ports:
        return
    close_namespaces(config)
    log = config.data_dir / "logs" / "keeper.log"
    argv = [sys.executable, "-m", "mizzen.cluster.rootless.keeper", str(config.data_dir), *ports]
    began = log.stat().st_size if log.exists() else 0
    processes.spawn(argv, record=record, log=log)
    deadline = time.monotonic() + _PATIENCE
    while not _inner_pid(config):
        if processes.running(record) is None or time.monotonic() > deadline:
            said = log.read_bytes()[began:].decode(errors="replace").strip()
            raise ConfigError(f"the namespaces cannot be made: {said or f'look into {log}'}")
        time.sleep(_MOMENT)


def close_namespaces(config: ClusterConfig) -> None:
    """End the keeper; what still runs inside goes on without a way in."""
    processes.stop(keeper.record(config.data_dir))
    keeper.forget(config.data_dir)


@contextlib.contextmanager
def closing(config: ClusterConfig) -> Iterator[None]:
    """End the keeper afterwards, even when its record has been deleted meanwhile."""
    found = processes.running(keeper.record(config.data_dir))
    yield
    if found is not None:
        processes.end(found)
    keeper.forget(config.data_dir)


def become_root(config: ClusterConfig) -> None:
    """Replace this process by the same command inside. Raises ConfigError when there is no inside."""
    pid, directory = _inner_pid(config), Path.cwd()
    if not pid:
        raise ConfigError("the namespaces are gone; try: mizzen up")
    files = [(os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY), flag) for kind, flag in keeper.NAMESPACES.items()]
    for fd, flag in files:
        syscalls.setns(fd, flag)
        os.close(fd)
    os.setgid(0)
    os.setuid(0)
    with contextlib.suppress(OSError):
        os.chdir(directory)
    _again(keeper.dial_socket(config.data_dir))


def run_as_root(config: ClusterConfig) -> int:
    """Run the same command inside, and wait for it; answers its exit status."""
    pid = os.fork()
    if pid == 0:
        try:
            become_root(config)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run_alone() -> None:
    """Run the same command in a user and a mount namespace of its own, and end with its status. Raises ConfigError."""
    pid = keeper.fork_inside(("user", "mnt"), lambda: _again(None))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells the other one too
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _again(dial: Path | None) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    environment = {**os.environ, INSIDE: str(dial or "")}
    os.execve(sys.executable, [sys.executable, "-m", "mizzen", *sys.argv[1:]], environment)


def _inner_pid(config: ClusterConfig) -> int:
    try:
        pid = int(keeper.inner(config.data_dir).read_text())
    except (FileNotFoundError, ValueError):
        return 0
    return pid if processes.running(keeper.record(config.data_dir)) is not None else 0


def dial_socket() -> Path | None:
    """Where those inside ask for connections to the outside; None when there is an outside to reach directly."""
    path = os.environ.get(INSIDE)
    return Path(path) if path and in_user_namespace() else None
