"""Volumes in real containers."""

import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.node.pods.conftest import Node, eventually, phase, shell, waiting

from mizzen.agent.runtime import syscalls
from mizzen.agent.volumes import teardown
from mizzen.client.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, SECRETS


async def bound(node: Node, name: str, more: dict[str, object], mode: str = "ReadWriteOnce") -> None:
    """A persistent volume of this node, and a claim that is bound to it."""
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]}]}
    shared = {"accessModes": [mode], "volumeMode": more.get("volumeMode", "Filesystem")}
    affinity = {"required": {"nodeSelectorTerms": [term]}}
    spec = {**shared, "capacity": {"storage": "1Gi"}, "nodeAffinity": affinity, **more}
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
    await node.client.create(PERSISTENT_VOLUMES, volume)
    wanted = {**shared, "resources": {"requests": {"storage": "1Gi"}}, "volumeName": name, "storageClassName": ""}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": wanted}
    await node.client.create(PERSISTENT_VOLUME_CLAIMS, claim, "default")
    status = {"status": {"phase": "Bound"}}
    await node.client.patch(PERSISTENT_VOLUME_CLAIMS, name, status, "default", subresource="status")


async def test_an_empty_dir_in_memory_is_a_tmpfs_of_its_size(node: Node) -> None:
    volumes = [{"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}]
    script = "grep ' /m ' /proc/mounts; stat -c %a /m; dd if=/dev/zero of=/m/x bs=1024 count=2000 2>&1 | tail -1"
    mounts = [{"name": "m", "mountPath": "/m"}]
    await node.create("memory", {"script": script, "volumeMounts": mounts}, volumes=volumes, restartPolicy="Never")
    seen = node.log(await node.until("memory", phase("Succeeded")))
    assert "size=1024k" in seen and "1024+0 records out" in seen and "\n1777\n" in seen


@pytest.mark.parametrize("kind", ["Directory", "File", "Socket"])
async def test_a_host_path_of_another_type_keeps_the_pod_waiting(node: Node, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "missing"
    volumes = [{"name": "h", "hostPath": {"path": str(path), "type": kind}}]
    await node.create("picky", {"volumeMounts": [{"name": "h", "mountPath": "/h"}]}, volumes=volumes)
    events = await eventually(lambda: node.events("picky"))
    shown = {"Directory": "directory", "File": "file", "Socket": "socket"}[kind]
    text = f'MountVolume.SetUp failed for volume "h" : hostPath type check failed: {path} is not a {shown}'
    assert events[0] == ("FailedMount", text)


async def test_a_sub_path_cannot_leave_its_volume(node: Node, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "secret").write_text("outside")
    (tmp_path / "volume" / "way-out").symlink_to(tmp_path)
    volumes = [{"name": "h", "hostPath": {"path": str(tmp_path / "volume")}}]
    inside = [{"name": "h", "mountPath": "/in", "subPath": "a/b"}]
    script = "echo here > /in/file"
    await node.create("sub", {"script": script, "volumeMounts": inside}, volumes=volumes, restartPolicy="Never")
    await node.until("sub", phase("Succeeded"))
    outside = [{"name": "h", "mountPath": "/out", "subPath": "way-out"}]
    await node.create("out", {"volumeMounts": [*inside, *outside]}, volumes=volumes)
    await node.until("out", waiting("CreateContainerConfigError"))
    await node.delete("out")
    assert (tmp_path / "volume" / "a" / "b" / "file").read_text() == "here\n"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A block device of 8 MiB that holds nothing."""
    (tmp_path / "image").touch()
    os.truncate(tmp_path / "image", 8 << 20)
    command = ["losetup", "--find", "--show", str(tmp_path / "image")]
    device = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    yield Path(device)
    subprocess.run(["losetup", "--detach", device], check=True)


async def test_a_claim_on_a_local_volume_keeps_data_from_pod_to_pod(node: Node, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    await bound(node, "data", {"local": {"path": str(tmp_path / "disk")}})
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]
    mounts = [{"name": "d", "mountPath": "/d"}]
    await node.create(
        "writer", {"script": "echo kept > /d/x", "volumeMounts": mounts}, volumes=volumes, restartPolicy="Never"
    )
    await node.until("writer", phase("Succeeded"))
    await node.delete("writer")
    await node.create("reader", {"script": "cat /d/x", "volumeMounts": mounts}, volumes=volumes, restartPolicy="Never")
    assert node.log(await node.until("reader", phase("Succeeded"))) == "kept\n"


async def test_a_local_volume_on_a_block_device_gets_a_file_system_and_keeps_it(node: Node, disk: Path) -> None:
    await bound(node, "data", {"local": {"path": str(disk)}})
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]
    mounts = [{"name": "d", "mountPath": "/d"}]
    script = "grep -c ' /d ext4 rw' /proc/mounts; cat /d/x; echo kept > /d/x"
    for name, seen in (("first", "1\n"), ("second", "1\nkept\n")):
        await node.create(name, {"script": script, "volumeMounts": mounts}, volumes=volumes, restartPolicy="Never")
        assert seen in node.log(await node.until(name, phase("Succeeded")))
        await node.delete(name)


async def test_a_disk_with_partitions_is_not_formatted(node: Node, disk: Path) -> None:
    partition = struct.pack("<8B2I", 0, 0, 0, 0, 0x83, 0, 0, 0, 2048, 4096)
    with disk.open("wb") as device:
        device.write(bytes(446) + partition + bytes(48) + b"\x55\xaa")
    await bound(node, "data", {"local": {"path": str(disk)}})
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]
    await node.create("picky", {"volumeMounts": [{"name": "d", "mountPath": "/d"}]}, volumes=volumes)
    events = await eventually(lambda: node.events("picky"))
    text = f'MountVolume.SetUp failed for volume "d" : failed to find a file system on {disk}: a partition table (dos)'
    assert events[0] == ("FailedMount", text)


async def test_the_downward_api_shows_labels_and_limits_as_files(node: Node) -> None:
    items = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "cpu", "resourceFieldRef": {"containerName": "c", "resource": "limits.cpu", "divisor": "1m"}},
    ]
    volumes = [{"name": "info", "downwardAPI": {"items": items}}]
    one = {
        "script": "cat /info/labels /info/cpu",
        "volumeMounts": [{"name": "info", "mountPath": "/info"}],
        "resources": {"limits": {"cpu": "250m"}},
    }
    await node.create("downward", one, volumes=volumes, restartPolicy="Never")
    assert node.log(await node.until("downward", phase("Succeeded"))) == 'app="downward"250'


async def test_a_deleted_local_path_volume_takes_its_directory_along(node: Node, tmp_path: Path) -> None:
    path = tmp_path / "pvc-1"
    (path / "data").mkdir(parents=True)
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]}]}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "pvc-1", "finalizers": ["mizzen.io/local-path"]},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Delete",
            "local": {"path": str(path)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        },
    }
    await node.client.create(PERSISTENT_VOLUMES, volume)
    await node.client.delete(PERSISTENT_VOLUMES, "pvc-1")

    async def is_gone() -> bool:
        return not (await node.client.list(PERSISTENT_VOLUMES, view=dict)).items

    assert await eventually(is_gone)
    assert not path.exists()


def host(path: Path, propagation: str) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """A hostPath volume, and its mount with a propagation."""
    volumes: list[dict[str, object]] = [{"name": "h", "hostPath": {"path": str(path)}}]
    return volumes, [{"name": "h", "mountPath": "/h", "mountPropagation": propagation}]


async def test_mounts_go_where_their_propagation_lets_them(crun_node: Node, tmp_path: Path) -> None:
    path = tmp_path / "shared"
    path.mkdir()
    for name, propagation in (("master", "Bidirectional"), ("slave", "HostToContainer"), ("private", "None")):
        volumes, mounts = host(path, propagation)
        one = {"volumeMounts": mounts, "securityContext": {"privileged": True}}
        await crun_node.create(name, one, volumes=volumes)
        await crun_node.running_pod(name)
    for name in ("master", "slave", "private"):
        script = f"mkdir /h/{name} && mount -t tmpfs t /h/{name} && touch /h/{name}/x"
        assert await crun_node.run(name, "sh", "-c", script) == ""
    (path / "node").mkdir()
    syscalls.mount("t", str(path / "node"), "tmpfs")
    (path / "node" / "x").touch()
    listing = "cd /h; for f in *; do test -e $f/x && echo $f; done; true"
    seen = {name: (await crun_node.run(name, "sh", "-c", listing)).split() for name in ("master", "slave", "private")}
    there = [one.name for one in sorted(path.iterdir()) if (one / "x").exists()]
    assert there == ["master", "node"]
    assert seen == {"master": ["master", "node"], "slave": ["master", "node", "slave"], "private": ["private"]}
    for name in ("master", "slave", "private"):
        await crun_node.delete(name)
    teardown.unmount_below(path)


async def test_a_local_volume_in_block_mode_is_a_device(disk: Path, node: Node) -> None:
    await bound(node, "raw", {"local": {"path": str(disk)}, "volumeMode": "Block"})
    one = {"script": "test -b /dev/xvda && dd if=/dev/xvda bs=1024 2>/dev/null | wc -c"}
    devices = {"volumeDevices": [{"name": "d", "devicePath": "/dev/xvda"}]}
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "raw"}}]
    await node.create("blocks", {**one, **devices}, volumes=volumes, restartPolicy="Never")
    assert node.log(await node.until("blocks", phase("Succeeded"))).strip() == str(8 << 20)


async def test_a_volume_in_block_mode_is_not_mounted(node: Node, disk: Path) -> None:
    await bound(node, "raw", {"local": {"path": str(disk)}, "volumeMode": "Block"})
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "raw"}}]
    await node.create("mounts", {"volumeMounts": [{"name": "d", "mountPath": "/d"}]}, volumes=volumes)
    events = await eventually(lambda: node.events("mounts"))
    text = "failed to process volumes=[d]: volume d has volumeMode Block, but is specified in volumeMounts"
    assert events[0] == (
        "FailedMount",
        f"Unable to attach or mount volumes: unmounted volumes=[d], unattached volumes=[], {text}",
    )


async def test_a_directory_is_no_local_volume_in_block_mode(node: Node, tmp_path: Path) -> None:
    await bound(node, "raw", {"local": {"path": str(tmp_path)}, "volumeMode": "Block"})
    devices = {"volumeDevices": [{"name": "d", "devicePath": "/dev/xvda"}]}
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "raw"}}]
    await node.create("blocks", devices, volumes=volumes)
    events = await eventually(lambda: node.events("blocks"))
    assert events[0][0] == "FailedMount"
    assert f'volumeMode is Block, and path "{tmp_path}" is not a block device' in events[0][1]


async def test_a_share_that_cannot_be_mounted_says_what_was_tried(crun_node: Node) -> None:
    share = {"server": "127.0.0.1", "path": "/exported"}
    volumes = [{"name": "n", "nfs": share}]
    await crun_node.create("shares", {"volumeMounts": [{"name": "n", "mountPath": "/n"}]}, volumes=volumes)
    reason, text = (await eventually(lambda: crun_node.events("shares")))[0]
    assert reason == "FailedMount"
    assert text.startswith('MountVolume.SetUp failed for volume "n" : mount failed: exit status ')
    assert "Mounting arguments: -t nfs 127.0.0.1:/exported " in text
    await crun_node.delete("shares")


async def test_a_user_without_rights_writes_into_a_sub_path_of_an_empty_dir(node: Node) -> None:
    mounts = [{"name": "e", "mountPath": "/e", "subPath": "deep/er"}]
    one = {"script": "id -u > /e/who && cat /e/who", "volumeMounts": mounts, "securityContext": {"runAsUser": 1000}}
    await node.create("plain", one, volumes=[{"name": "e", "emptyDir": {}}], restartPolicy="Never")
    assert node.log(await node.until("plain", phase("Succeeded"))) == "1000\n"


async def test_files_of_a_secret_are_as_closed_as_they_are_told_to_be(node: Node) -> None:
    secret = {"metadata": {"name": "keys"}, "data": {"a": "YQ==", "b": "Yg=="}}
    await node.client.create(SECRETS, secret, "default")
    items = [{"key": "a", "path": "x/a"}, {"key": "b", "path": "b", "mode": 0o600}]
    source = {"secretName": "keys", "defaultMode": 0o400, "items": items}
    script = "stat -Lc '%a %g' /s/x/a /s/b; cat /s/x/a"
    one = {"script": script, "volumeMounts": [{"name": "s", "mountPath": "/s"}]}
    group = {"securityContext": {"fsGroup": 1001, "runAsUser": 1000}}
    await node.create("closed", one, volumes=[{"name": "s", "secret": source}], restartPolicy="Never", **group)
    assert node.log(await node.until("closed", phase("Succeeded"))) == "440 1001\n640 1001\na"
    one["script"] = "stat -c '%A %g' /s; stat -Lc '%A %g' /s/..data /s/x"
    await node.create("dirs", one, volumes=[{"name": "s", "secret": source}], restartPolicy="Never", **group)
    seen = node.log(await node.until("dirs", phase("Succeeded")))
    assert seen == "drwxrwsrwx 1001\ndrwxr-sr-x 1001\ndrwxr-sr-x 1001\n"


async def test_a_claim_for_one_pod_is_refused_to_a_second_one_until_the_first_has_gone(
    crun_node: Node, tmp_path: Path
) -> None:
    await bound(crun_node, "sole", {"local": {"path": str(tmp_path)}}, "ReadWriteOncePod")
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "sole"}}]
    mounts = [{"name": "d", "mountPath": "/d"}]
    await crun_node.create("first", {"volumeMounts": mounts}, volumes=volumes)
    await crun_node.running_pod("first")
    await crun_node.create("second", {"volumeMounts": mounts}, volumes=volumes)
    text = "volume uses the ReadWriteOncePod access mode and is already in use by another pod"
    events = await eventually(lambda: crun_node.events("second"))
    assert events[0] == ("FailedMount", f'MountVolume.SetUp failed for volume "d" : {text}')
    await crun_node.delete("first")
    await crun_node.running_pod("second")


async def test_variables_come_from_a_file_in_a_volume_and_never_from_the_machine(node: Node, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("A='of the machine'")
    volumes = [{"name": "d", "emptyDir": {}}]
    mounts = [{"name": "d", "mountPath": "/d"}]
    write = f"printf \"A='one\ntwo'\n\" > /d/env; ln -s {tmp_path}/secret /d/out"

    def reading(path: str) -> dict[str, object]:
        source = {"fileKeyRef": {"volumeName": "d", "path": path, "key": "A"}}
        return {"script": 'echo "$A"', "env": [{"name": "A", "valueFrom": source}]}

    inits = [shell(write, name="write", volumeMounts=mounts)]
    await node.create("file", reading("env"), volumes=volumes, initContainers=inits, restartPolicy="Never")
    assert node.log(await node.until("file", phase("Succeeded"))) == "one\ntwo\n"
    await node.create("link", reading("out"), volumes=volumes, initContainers=inits, restartPolicy="Never")
    seen = await node.until("link", waiting("CreateContainerConfigError"))
    waits = seen["status"]["containerStatuses"][0]["state"]["waiting"]
    assert waits["message"] == 'environment variable key "A" not found in file "out"'
