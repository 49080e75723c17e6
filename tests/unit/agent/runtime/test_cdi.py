"""Files of the Container Device Interface, and what they do to a container."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from mizzen.agent.runtime import cdi, criconfig
from mizzen.agent.runtime.base import ContainerSpec, Device, Mount, RuntimeFailure

GPU = """
cdiVersion: 0.6.0
kind: test.io/gpu
containerEdits:
  env: [GPUS=some]
devices:
- name: a
  containerEdits:
    env: [GPU=a]
    deviceNodes: [{path: /dev/gpu0, hostPath: /dev/null, permissions: rw, uid: 5}]
    mounts: [{hostPath: /lib/gpu, containerPath: /usr/lib/gpu, options: [ro, nosuid]}]
    hooks: [{hookName: createContainer, path: /bin/ldconfig, args: [ldconfig], timeout: 3}]
    additionalGids: [44]
- name: b
  containerEdits:
    env: [GPU=b]
"""
CONFIG: dict[str, Any] = {
    "process": {"env": ["PATH=/bin", "GPU=none"], "user": {"uid": 0, "gid": 0, "additionalGids": [1]}},
    "mounts": [{"destination": "/proc"}, {"destination": "/usr/lib/gpu/old"}, {"destination": "/usr/lib/gpu"}],
    "linux": {"resources": {"devices": [{"allow": False}]}},
}


@pytest.fixture
def files(tmp_path: Path) -> list[list[cdi.File]]:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "gpu.yaml").write_text(GPU)
    (tmp_path / "first" / "broken.json").write_text("{")
    (tmp_path / "first" / "readme.txt").write_text("no device")
    return cdi.found([tmp_path / "first", tmp_path / "second"])


def null(path: str) -> tuple[str, int, int]:
    assert path == "/dev/null"
    return "c", 1, 3


def test_edits_of_a_file_come_once_and_those_of_its_devices_in_order(files: list[list[cdi.File]]) -> None:
    assert cdi.edits(["test.io/gpu=a", "test.io/gpu=b"], files).env == ("GPUS=some", "GPU=a", "GPU=b")


def test_a_device_that_no_file_describes_keeps_its_container_from_being_made(files: list[list[cdi.File]]) -> None:
    with pytest.raises(RuntimeFailure, match=r"unresolvable CDI devices test\.io/gpu=x"):
        cdi.edits(["test.io/gpu=a", "test.io/gpu=x"], files)


def test_the_later_directory_counts_and_two_files_of_one_contradict_each_other(tmp_path: Path) -> None:
    for name in ("etc/a", "run/a", "run/b"):
        path = tmp_path / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        devices = [{"name": name if name == "run/b" else "x", "containerEdits": {"env": [f"FROM={name}"]}}]
        path.write_bytes(orjson.dumps({"cdiVersion": "0.6.0", "kind": "t.io/d", "devices": devices}))
    directories = [tmp_path / "etc", tmp_path / "run"]
    assert cdi.edits(["t.io/d=x"], cdi.found(directories)).env == ("FROM=run/a",)
    (tmp_path / "run" / "c.json").write_bytes((tmp_path / "run" / "a.json").read_bytes())
    with pytest.raises(RuntimeFailure):
        cdi.edits(["t.io/d=x"], cdi.found(directories))


def test_a_configuration_has_all_edits(files: list[list[cdi.File]]) -> None:
    made = cdi.applied(CONFIG, cdi.edits(["test.io/gpu=a"], files), null)
    assert made["process"]["env"] == ["PATH=/bin", "GPUS=some", "GPU=a"]
    assert made["process"]["user"]["additionalGids"] == [1, 44]
    node = {"path": "/dev/gpu0", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666, "uid": 5}
    assert made["linux"]["devices"] == [node]
    rule = {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rw"}
    assert made["linux"]["resources"]["devices"] == [{"allow": False}, rule]
    options = ["rbind", "ro", "nosuid"]
    mount = {"destination": "/usr/lib/gpu", "type": "bind", "source": "/lib/gpu", "options": options}
    assert made["mounts"] == [{"destination": "/proc"}, mount, {"destination": "/usr/lib/gpu/old"}]
    hook = {"path": "/bin/ldconfig", "args": ["ldconfig"], "env": [], "timeout": 3}
    assert made["hooks"] == {"createContainer": [hook]}
    assert CONFIG["process"]["env"] == ["PATH=/bin", "GPU=none"]


def test_no_edits_change_nothing(files: list[list[cdi.File]]) -> None:
    assert cdi.applied(CONFIG, cdi.Edits(), null) == CONFIG


def test_a_runtime_that_knows_no_cdi_is_told_in_words_of_its_own(files: list[list[cdi.File]]) -> None:
    spec = ContainerSpec("u", "ns", "p", "c", 0, "i", "i", "/l", env=(("GPU", "none"),), cdi_devices=("test.io/gpu=a",))
    made = cdi.with_edits(spec, cdi.edits(spec.cdi_devices, files))
    assert dict(made.env) == {"GPU": "a", "GPUS": "some"}
    assert made.mounts == (Mount("/lib/gpu", "/usr/lib/gpu", read_only=True),)
    assert made.devices == (Device("/dev/null", "/dev/gpu0", "rw"),)
    assert (made.security.groups, made.cdi_devices) == ((44,), ())


@pytest.mark.parametrize(
    ("name", "version", "configuration", "knows"),
    [
        ("containerd", "1.6.20~ds1", {}, False), ("containerd", "1.7.24", {"enableCDI": False}, False),
        ("containerd", "v1.7.2", {"enableCDI": True}, True), ("containerd", "v1.7.1", {"enableCDI": True}, False),
        ("containerd", "1.7.20", {}, False), ("containerd", "v2.1.0", {}, True),
        ("containerd", "2.0.0-rc.1", {"enableCDI": False}, False), ("containerd", "unknown", {}, False),
        ("cri-o", "1.30.0", {}, True),
    ],
)  # fmt: skip
def test_runtimes_that_make_the_edits_themselves_are_told_the_names(
    name: str, version: str, configuration: dict[str, Any], knows: bool
) -> None:
    assert criconfig.knows_cdi(name, version, configuration) is knows
