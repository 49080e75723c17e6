"""How a node's own containerd is set up."""

import tomllib
from pathlib import Path

import pytest

from mizzen.cluster import containerd

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
