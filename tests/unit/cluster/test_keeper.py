"""The process that keeps an ordinary user's namespaces. Needs root or namespaces for users."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mizzen.cluster.config import ConfigError
from mizzen.cluster.rootless import keeper


@pytest.fixture
def others() -> Iterator[dict[str, str]]:
    """The namespaces of a process that is inside."""
    flags = ("--user", "--map-root-user", "--mount", "--net", "--cgroup", "--ipc")
    argv = ["unshare", *flags, "sh", "-c", "echo; exec sleep 1000"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield {kind: f"/proc/{process.pid}/ns/{kind}" for kind in keeper.NAMESPACES}
        process.kill()


def test_whoever_follows_a_process_into_namespaces_finds_it_there(others: dict[str, str]) -> None:
    wanted = {kind: Path(path).readlink() for kind, path in others.items()}
    pid = keeper.fork_into(others, signal.pause)
    try:
        assert {kind: Path(f"/proc/{pid}/ns/{kind}").readlink() for kind in others} == wanted
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_namespaces_that_cannot_be_entered_are_an_error(others: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="cannot be entered"):
        keeper.fork_into({**others, "net": "/dev/null"}, signal.pause)
