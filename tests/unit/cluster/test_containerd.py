"""How a node's own containerd is set up."""

import os
import socket
import sys
import tomllib
from pathlib import Path

import pytest

from mizzen.agent.runtime import spawn
from mizzen.cluster import containerd, processes

_OLD, _NEW = "cgroup /sys/fs/cgroup/memory cgroup rw 0 0\n", "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"


@pytest.mark.parametrize(
    ("present", "mounts", "chosen"),
    [
        (("runc",), _NEW, "runc"), (("runc", "crun"), _NEW, "crun"), (("runc", "crun"), _OLD, "crun"),
        (("runc", "crun"), _OLD + _NEW, "runc"),
    ],
)  # fmt: skip
def test_containers_are_run_by_the_quickest_program_that_runs_here(
    tmp_path: Path, present: tuple[str, ...], mounts: str, chosen: str
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in present:
        (programs / name).touch(0o755)
    daemon = containerd.Daemon(tmp_path / "containerd", Path("/run/netns/one"))
    containerd.configure(daemon, str(programs), mounts)
    wrapper = daemon.root / "runc"
    asked = tomllib.loads((daemon.root / "config.toml").read_text())
    options = asked["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]["runtimes"]["runc"]["options"]
    assert options["BinaryName"] == str(wrapper)
    line = wrapper.read_text().splitlines()[1]
    assert line == f'exec nsenter --net=/run/netns/one {programs / chosen} "$@"'


_SLOW_TO_LISTEN = """#!{python}
import os, pathlib, socket, sys, time
path = pathlib.Path(sys.argv[2]).with_name("sock")
time.sleep(0.2)
path.unlink()
listening = socket.socket(socket.AF_UNIX)
listening.bind(str(path))
listening.listen()
path.with_name("listens").touch()
time.sleep(60)
"""


def test_a_killed_daemon_that_still_holds_its_socket_is_not_taken_for_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = {"containerd": _SLOW_TO_LISTEN.format(python=sys.executable), "ctr": "#!/bin/sh\necho present\n"}
    for name in ("runc", "nsenter"):
        programs[name] = "#!/bin/sh\n"
    (tmp_path / "bin").mkdir()
    for name, text in programs.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setattr(spawn, "PATH", {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"})
    daemon = containerd.Daemon(tmp_path / "own")
    daemon.root.mkdir()
    with socket.socket(socket.AF_UNIX) as dying:
        dying.bind(daemon.socket)
        dying.listen()
        try:
            containerd.start(daemon, -1)
            assert (daemon.root / "listens").exists()
        finally:
            processes.stop(daemon.record)
