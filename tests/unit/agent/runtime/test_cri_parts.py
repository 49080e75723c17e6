"""The parts around a CRI runtime: its sandboxes' image and network, and what a sandbox remembers of its pod."""

import platform
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from mizzen.agent.runtime import cninone, criconfig, cripause
from mizzen.agent.runtime.base import ContainerSpec, Limits, Mount, RuntimeFailure, SandboxSpec, Security
from mizzen.wire import cri


@pytest.fixture
def waiting(tmp_path: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """The sandbox's program, running."""
    path = tmp_path / "pause"
    path.write_bytes(cripause.program(platform.machine()))
    path.chmod(0o755)
    process = subprocess.Popen([path])
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_sandbox_program_is_an_executable_for_its_machine(machine: str) -> None:
    found = cripause.program(machine)
    assert found[:4] == b"\x7fELF" and found[18] == {"x86_64": 62, "aarch64": 183}[machine]


def test_the_sandbox_program_waits_and_lets_orphans_vanish(waiting: "subprocess.Popen[bytes]") -> None:
    def ignored() -> int:
        lines = Path(f"/proc/{waiting.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("SigIgn")).split()[1], 16)

    for _ in range(100_000):
        if ignored() >> (signal.SIGCHLD - 1) & 1:
            break
    assert ignored() >> (signal.SIGCHLD - 1) & 1
    assert waiting.poll() is None


def test_an_unknown_machine_is_told_what_to_do() -> None:
    with pytest.raises(RuntimeFailure, match="run a containerd yourself"):
        cripause.program("vax")


def test_the_sandbox_image_is_a_docker_archive(tmp_path: Path) -> None:
    cripause.archive(tmp_path / "image.tar", "aarch64")
    with tarfile.open(tmp_path / "image.tar") as archive:
        manifest = orjson.loads(archive.extractfile("manifest.json").read())  # type: ignore[union-attr]
        config = orjson.loads(archive.extractfile("config.json").read())  # type: ignore[union-attr]
    assert manifest[0]["RepoTags"] == [cripause.NAME]
    assert config["architecture"] == "arm64" and config["config"]["Entrypoint"] == ["/pause"]


def places(root: Path) -> cninone.Places:
    return cninone.Places(root / "net.d", root / "bin", root / "claims")


def test_the_last_node_to_go_takes_the_placeholder_network_with_it(tmp_path: Path) -> None:
    shared = places(tmp_path)
    for node in ("one", "two"):
        cninone.claim(shared, Path(node))
    cninone.release(shared, Path("one"))
    assert sorted(path.name for path in shared.programs.iterdir()) == ["loopback", "mizzen-none"]
    cninone.release(shared, Path("two"))
    assert list(tmp_path.iterdir()) == []


def test_a_network_of_somebody_else_stays(tmp_path: Path) -> None:
    shared = places(tmp_path)
    shared.configuration.mkdir()
    (shared.configuration / "05-theirs.conflist").write_text("{}")
    cninone.claim(shared, Path("one"))
    cninone.release(shared, Path("one"))
    assert [path.name for path in shared.configuration.iterdir()] == ["05-theirs.conflist"]


def test_a_sandbox_carries_all_that_its_later_containers_need() -> None:
    spec = SandboxSpec(
        "u1", "default", "web", hostname="web", host_pid=True, sysctls={"net.core.somaxconn": "9"},
        limits=Limits(memory=1 << 20), qos="Burstable", labels={"app": "web"}, annotations={"a": "b"},
        log_directory="/logs/web", nameservers=("10.96.0.10",), searches=("svc",), dns_options=("ndots:5",),
    )  # fmt: skip
    config = criconfig.sandbox(spec, "node-1", "/group", 0)
    assert criconfig.spec_of(config) == spec


def test_a_sandbox_without_a_note_of_ours_is_known_by_its_names() -> None:
    seen = {"metadata": {"uid": "u", "namespace": "n", "name": "p"}, "labels": {}, "annotations": {}}
    assert criconfig.spec_of(seen) == SandboxSpec("u", "n", "p")


def test_an_apparmor_profile_is_named_to_the_runtime() -> None:
    def armor(asked: str) -> Any:
        shared, security = SandboxSpec("u1", "default", "web", log_directory="/logs"), Security(apparmor=asked)
        one = ContainerSpec("u1", "default", "web", "c", 0, "i", "sha256:1", "/logs/c/0.log", security=security)
        context = criconfig.container(one, shared, "node-1", "sha256:1", "")["linux"]["security_context"]
        return context.get("apparmor")

    assert armor("localhost/deny-write") == {"profile_type": cri.LOCALHOST, "localhost_ref": "deny-write"}
    assert armor("RuntimeDefault") == {"profile_type": cri.RUNTIME_DEFAULT} and armor("") is None


def test_strict_groups_and_recursively_read_only_mounts_are_named_to_the_runtime() -> None:
    shared = SandboxSpec("u1", "default", "web", log_directory="/logs")
    mounts = (Mount("/a", "/a", read_only=True, recursive_read_only=True), Mount("/b", "/b"))
    security = Security(merge_image_groups=False)
    one = ContainerSpec(
        "u1", "default", "web", "c", 0, "i", "sha256:1", "/logs/c/0.log", mounts=mounts, security=security
    )
    made = criconfig.container(one, shared, "node-1", "sha256:1", "")
    request = {"config": made}
    told = cri.decode("CreateContainerRequest", cri.encode("CreateContainerRequest", request))["config"]
    assert [mount["recursive_read_only"] for mount in told["mounts"]] == [1, 0]
    assert told["linux"]["security_context"]["supplemental_groups_policy"] == 1


def test_a_stop_signal_is_noted_on_the_container() -> None:
    shared = SandboxSpec("u1", "default", "web", log_directory="/logs")
    spec = ContainerSpec("u1", "default", "web", "c", 0, "i", "sha256:1", "/logs/c/0.log", stop_signal="SIGUSR1")
    made = criconfig.container(spec, shared, "node-1", "sha256:1", "")
    assert made["annotations"][criconfig.STOP_SIGNAL] == "SIGUSR1"
