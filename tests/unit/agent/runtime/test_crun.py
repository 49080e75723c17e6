"""What the embedded runtime makes of the files beside a container, whoever is left of its processes."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from mizzen.agent.runtime.base import ContainerSpec
from mizzen.agent.runtime.cgroups import Cgroups
from mizzen.agent.runtime.crun import CrunRuntime, container_id
from mizzen.agent.runtime.machine import Programs

SPEC = ContainerSpec("u", "default", "pod", "c", 0, "image", "sha256:x", "/log")


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[CrunRuntime]:
    images: Any = None
    groups = Cgroups({"": tmp_path / "cgroup"}, "/mizzen", unified=True)
    made = CrunRuntime(tmp_path, images, groups, Programs("conmon", "crun", "1"))
    yield made
    await made.close()


def container(root: Path, pid: int, monitor: int) -> str:
    """A container that has been started; answers its id."""
    id = container_id(str(root), SPEC)
    home = root / "containers" / id
    home.mkdir()
    record = {
        "spec": {
            name: getattr(SPEC, name)
            for name in (
                "pod_uid", "pod_namespace", "pod_name", "name", "attempt", "image", "image_id", "log_path",
            )
        },
        "sandbox": "u", "cgroup": "/mizzen/podu/" + id, "created_at": 1.0, "stop_signal": 15, "own_pid_namespace": True,
    }  # fmt: skip
    (home / "record.json").write_bytes(orjson.dumps(record))
    (home / "pid").write_text(str(pid))
    (home / "conmon.pid").write_text(str(monitor))
    (home / "started").write_text("2.0")
    return id


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[int]:
    """A process that could be the container's monitor by its command line."""
    script = "import sys; print(flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", script, container_id(str(tmp_path), SPEC)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has its own command line by now
        yield process.pid
        assert process.stdin is not None
        process.stdin.close()


async def test_a_container_whose_monitor_has_yet_to_tell_how_it_ended_still_runs(
    runtime: CrunRuntime, tmp_path: Path, monitor: int
) -> None:
    id = container(tmp_path, 1 << 22, monitor)
    (seen,) = (await runtime.observe()).containers
    assert (seen.state, seen.started_at) == ("running", 2.0)
    (tmp_path / "exits" / id).write_text("7")
    (seen,) = (await runtime.observe()).containers
    assert (seen.state, seen.exit_code) == ("exited", 7)


async def test_how_a_container_ended_that_vanished_with_its_monitor_is_unknown(
    runtime: CrunRuntime, tmp_path: Path
) -> None:
    container(tmp_path, 1 << 22, 1 << 22)
    (seen,) = (await runtime.observe()).containers
    assert (seen.state, seen.exit_code, seen.reason) == ("exited", 255, "Unknown")


async def test_a_sandbox_whose_making_was_cut_short_is_not_open_although_its_namespaces_are_bound(
    runtime: CrunRuntime, tmp_path: Path
) -> None:
    home = tmp_path / "sandboxes" / "u"
    (home / "ns").mkdir(parents=True)
    (home / "ns" / "uts").symlink_to("/proc/self/ns/uts")  # looks like a bound one
    record = {"spec": {"uid": "u", "namespace": "d", "name": "p", "host_users": False}, "cgroup": "/mizzen/podu"}
    record |= {"created_at": 1.0, "id_map": [65536, 65536]}
    (home / "record.json").write_bytes(orjson.dumps(record))
    assert await runtime.has_sandbox("u")
    (home / "record.json").write_bytes(orjson.dumps({**record, "is_made": False}))
    assert not await runtime.has_sandbox("u")
    assert (await runtime.observe()).sandboxes == () and not home.exists()


@pytest.mark.parametrize("group", ["podu", "burstable/podu", "besteffort/podu"])
async def test_of_a_sandbox_whose_making_was_cut_short_no_group_stays_behind(
    runtime: CrunRuntime, tmp_path: Path, group: str
) -> None:
    made = tmp_path / "cgroup" / "mizzen" / group
    made.mkdir(parents=True)
    await runtime.close_sandbox("u")
    assert not made.exists()
