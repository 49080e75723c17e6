"""Volumes in real containers."""

from pathlib import Path

import pytest
from tests.node.pods.conftest import Node, eventually, phase, waiting

from mizzen.client.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES


async def test_an_empty_dir_in_memory_is_a_tmpfs_of_its_size(node: Node) -> None:
    volumes = [{"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}]
    script = "grep ' /m ' /proc/mounts; dd if=/dev/zero of=/m/x bs=1024 count=2000 2>&1 | tail -1"
    mounts = [{"name": "m", "mountPath": "/m"}]
    await node.create("memory", {"script": script, "volumeMounts": mounts}, volumes=volumes, restartPolicy="Never")
    seen = node.log(await node.until("memory", phase("Succeeded")))
    assert "size=1024k" in seen and "1024+0 records out" in seen


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


async def test_a_claim_on_a_local_volume_keeps_data_from_pod_to_pod(node: Node, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]}]}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "disk"},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "local": {"path": str(tmp_path / "disk")},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        },
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "volumeName": "disk",
            "storageClassName": "",
        },
    }
    await node.client.create(PERSISTENT_VOLUMES, volume)
    await node.client.create(PERSISTENT_VOLUME_CLAIMS, claim, "default")
    status = {"status": {"phase": "Bound"}}
    await node.client.patch(PERSISTENT_VOLUME_CLAIMS, "data", status, "default", subresource="status")
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]
    mounts = [{"name": "d", "mountPath": "/d"}]
    await node.create(
        "writer", {"script": "echo kept > /d/x", "volumeMounts": mounts}, volumes=volumes, restartPolicy="Never"
    )
    await node.until("writer", phase("Succeeded"))
    await node.delete("writer")
    await node.create("reader", {"script": "cat /d/x", "volumeMounts": mounts}, volumes=volumes, restartPolicy="Never")
    assert node.log(await node.until("reader", phase("Succeeded"))) == "kept\n"


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
