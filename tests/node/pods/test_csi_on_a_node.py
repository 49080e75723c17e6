"""Volumes of a storage driver that runs in a pod, as its DaemonSet would: registered, staged, published, and back."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.node.pods import csidriver
from tests.node.pods.conftest import Node, container, eventually, phase

from mizzen.client.resources import (
    CSI_DRIVERS,
    CSI_NODES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    SECRETS,
    VOLUME_ATTACHMENTS,
)
from mizzen.wire.message import Request, Response

NAME = "disk.test.io"
PLUGINS = f"/var/lib/kubelet/plugins/{NAME}"
CODE = Path(__file__).parents[3]
Object = dict[str, Any]


class Driver:
    """The driver's pod, and what it was asked."""

    def __init__(self, node: Node, store: Path) -> None:
        self.node = node
        self.store = store

    async def start(self, **settings: Any) -> None:
        """Run the driver, and wait until the node knows it."""
        spec = {"attachRequired": False, "volumeLifecycleModes": ["Persistent", "Ephemeral"], **settings}
        body = {"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": NAME}, "spec": spec}
        await self.node.client.create(CSI_DRIVERS, body)
        await self.run()

        await self.called("NotifyRegistrationStatus")

    async def run(self) -> None:
        """Create the driver's pod, with the mounts that drivers have."""
        registry, store = "/var/lib/kubelet/plugins_registry", str(self.store)
        paths = {"usr": "/usr", "lib": "/lib", "lib64": "/lib64", "code": str(CODE), "store": store}
        shared = {"plugins": "/var/lib/kubelet/plugins", "pods": "/var/lib/kubelet/pods"}
        mounts: list[Object] = [{"name": name, "mountPath": path} for name, path in paths.items()]
        mounts += [{"name": n, "mountPath": p, "mountPropagation": "Bidirectional"} for n, p in shared.items()]
        mounts += [{"name": "registry", "mountPath": "/registration"}, {"name": "own", "mountPath": "/csi"}]
        arguments = [NAME, "/csi/csi.sock", f"/registration/{NAME}-reg.sock", store, f"{PLUGINS}/csi.sock"]
        one = {
            "name": "c",
            "image": "local/busybox:1",
            "imagePullPolicy": "IfNotPresent",
            "command": [sys.executable, str(Path(csidriver.__file__)), *arguments],
            "env": [{"name": "PYTHONPATH", "value": f"{CODE}/src"}, {"name": "PATH", "value": "/usr/sbin:/usr/bin"}],
            "volumeMounts": mounts,
            "securityContext": {"privileged": True},
        }
        volumes = [{"name": name, "hostPath": {"path": path}} for name, path in {**paths, **shared}.items()]
        volumes.append({"name": "registry", "hostPath": {"path": registry, "type": "Directory"}})
        volumes.append({"name": "own", "hostPath": {"path": PLUGINS, "type": "DirectoryOrCreate"}})
        await self.node.create("driver", one, volumes=volumes)

    async def entries(self) -> Any:
        """The node's drivers, as its CSINode lists them."""
        return (await self.node.client.get(CSI_NODES, "node-1", view=dict))["spec"].get("drivers")

    def calls(self, name: str) -> list[Object]:
        """The requests of one call, the first first."""
        path = self.store / "calls"
        lines = path.read_bytes().splitlines() if path.exists() else []
        return [request for call, request in map(orjson.loads, lines) if call == name]

    async def tend(self, name: str) -> None:
        """What the agent does for a running pod now and then."""
        assert self.node.running is not None
        life = self.node.running.pods.find("default", name)
        assert life is not None
        await self.node.running.pods.tend_volumes(life.pod)

    async def called(self, name: str) -> None:
        """Return once a call has been made."""

        async def is_called() -> bool:
            return bool(self.calls(name))

        await eventually(is_called)

    async def provide(self, name: str, *, claim: str = "", capacity: str = "1Gi", **spec: Any) -> Object:
        """A persistent volume and the claim that is bound to it."""
        source = {"driver": NAME, "volumeHandle": f"handle-of-{name}", **spec.pop("csi", {})}
        modes = spec.pop("accessModes", ["ReadWriteOnce"])
        shared = {"accessModes": modes, "storageClassName": "", "volumeMode": spec.get("volumeMode", "Filesystem")}
        volume = {**shared, "capacity": {"storage": capacity}, "csi": source, **spec}
        body = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": volume}
        await self.node.client.create(PERSISTENT_VOLUMES, body)
        wanted = {**shared, "volumeName": name, "resources": {"requests": {"storage": "1Gi"}}}
        meta = {"name": claim or name}
        body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": wanted}
        await self.node.client.create(PERSISTENT_VOLUME_CLAIMS, body, "default")
        status = {"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}
        kind = PERSISTENT_VOLUME_CLAIMS
        return await self.node.client.patch(kind, meta["name"], status, "default", subresource="status")


@pytest.fixture
def driver(crun_node: Node, tmp_path: Path) -> Driver:
    """A driver that is not started yet."""
    return new_driver(crun_node, tmp_path)


@pytest.fixture
def driver_of_each(node: Node, tmp_path: Path) -> Driver:
    """The same with each of the runtimes."""
    return new_driver(node, tmp_path)


def new_driver(node: Node, tmp_path: Path) -> Driver:
    (tmp_path / "store").mkdir()
    return Driver(node, tmp_path / "store")


def claimed(name: str) -> list[Object]:
    return [{"name": "v", "persistentVolumeClaim": {"claimName": name}}]


async def summarized(node: Node, name: str) -> list[Object]:
    """A pod's volumes, as the node's summary shows them."""
    assert node.running is not None
    answer = await node.running.handle(Request("GET", "/stats/summary"))
    assert isinstance(answer, Response) and isinstance(answer.body, bytes)
    pods = orjson.loads(answer.body)["pods"]
    return next(one.get("volume", []) for one in pods if one["podRef"]["name"] == name)


MOUNT = [{"name": "v", "mountPath": "/v"}]


async def test_a_driver_that_registers_is_in_the_csi_node_and_goes_with_its_socket(driver: Driver) -> None:
    await driver.start()
    entry = {
        "name": NAME, "nodeID": csidriver.NODE_ID, "topologyKeys": [f"topology.{NAME}/node"],
        "allocatable": {"count": 7},
    }  # fmt: skip
    assert await driver.entries() == [entry]
    meta = (await driver.node.client.get(NODES, "node-1", view=dict))["metadata"]
    assert meta["labels"][f"topology.{NAME}/node"] == "here"
    assert orjson.loads(meta["annotations"]["csi.volume.kubernetes.io/nodeid"]) == {NAME: csidriver.NODE_ID}
    assert [one["plugin_registered"] for one in driver.calls("NotifyRegistrationStatus")] == [1]
    (driver.node.config.kubelet / "plugins_registry" / f"{NAME}-reg.sock").unlink()

    async def is_off() -> bool:
        return not await driver.entries()

    assert await eventually(is_off)


async def test_a_volume_is_staged_once_and_published_for_each_pod_that_uses_it(driver_of_each: Driver) -> None:
    driver = driver_of_each
    await driver.start(fsGroupPolicy="File")
    await driver.provide("disk", csi={"volumeAttributes": {"kind": "fast"}, "fsType": "ext4"}, mountOptions=["noatime"])
    group = {"securityContext": {"fsGroup": 1234}}
    for name in ("one", "two"):
        script = f"echo {name} >> /v/seen; stat -c %g /v; sleep 1000"
        await driver.node.create(name, {"script": script, "volumeMounts": MOUNT}, volumes=claimed("disk"), **group)
        await driver.node.logged(await driver.node.running_pod(name), "1234")
    assert (driver.store / "handle-of-disk" / "seen").read_text() == "one\ntwo\n"
    (staged,) = driver.calls("NodeStageVolume")
    assert staged["volume_context"] == {"kind": "fast"}
    mount = {"fs_type": "ext4", "mount_flags": ["noatime"], "volume_mount_group": ""}
    assert staged["volume_capability"] == {"block": {}, "mount": mount, "access_mode": {"mode": 1}}
    assert len(driver.calls("NodePublishVolume")) == 2
    (full,) = await summarized(driver.node, "two")
    assert (full["pvcRef"]["name"], full["capacityBytes"], full["usedBytes"]) == ("disk", 100, 25)
    await driver.node.delete("one")
    assert not driver.calls("NodeUnstageVolume")
    await driver.node.delete("two")
    assert len(driver.calls("NodeUnpublishVolume")) == 2
    assert [one["staging_target_path"] for one in driver.calls("NodeUnstageVolume")] == [staged["staging_target_path"]]


async def test_an_inline_volume_comes_with_its_pod_and_learns_who_that_is(driver: Driver) -> None:
    await driver.start(podInfoOnMount=True)
    secret = {"metadata": {"name": "key"}, "data": {"password": "c2VzYW1l"}}
    await driver.node.client.create(SECRETS, secret, "default")
    source = {"driver": NAME, "volumeAttributes": {"size": "1"}, "nodePublishSecretRef": {"name": "key"}}
    one = {"script": "echo here > /v/file", "volumeMounts": MOUNT}
    pod = await driver.node.create(
        "inline", one, volumes=[{"name": "v", "csi": source}], restartPolicy="Never", serviceAccountName="robot"
    )
    await driver.node.until("inline", phase("Succeeded"))
    (published,) = driver.calls("NodePublishVolume")
    assert published["volume_context"] == {
        "size": "1",
        "csi.storage.k8s.io/ephemeral": "true",
        "csi.storage.k8s.io/pod.name": "inline",
        "csi.storage.k8s.io/pod.namespace": "default",
        "csi.storage.k8s.io/pod.uid": pod["metadata"]["uid"],
        "csi.storage.k8s.io/serviceAccount.name": "robot",
    }
    assert published["secrets"] == {"password": "sesame"} and published["staging_target_path"] == ""
    assert (driver.store / published["volume_id"] / "file").read_text() == "here\n"
    await driver.node.delete("inline")
    await driver.called("NodeUnpublishVolume")


async def test_a_volume_that_must_be_attached_waits_for_it_and_is_reported_in_use(driver: Driver) -> None:
    await driver.start(attachRequired=True)
    await driver.provide("far")
    await driver.node.create("waits", {"volumeMounts": MOUNT}, volumes=claimed("far"))
    name = "csi-" + hashlib.sha256(f"handle-of-far{NAME}node-1".encode()).hexdigest()
    spec = {"attacher": NAME, "nodeName": "node-1", "source": {"persistentVolumeName": "far"}}
    await driver.node.client.create(VOLUME_ATTACHMENTS, {"metadata": {"name": name}, "spec": spec})
    assert not driver.calls("NodeStageVolume")
    status = {"status": {"attached": True, "attachmentMetadata": {"device": "sdb"}}}
    await driver.node.client.patch(VOLUME_ATTACHMENTS, name, status, subresource="status")
    await driver.node.running_pod("waits")
    assert driver.calls("NodeStageVolume")[0]["publish_context"] == {"device": "sdb"}
    seen = (await driver.node.client.get(NODES, "node-1", view=dict))["status"]
    assert seen["volumesInUse"] == [f"kubernetes.io/csi/{NAME}^handle-of-far"]
    await driver.node.delete("waits")
    assert "volumesInUse" not in (await driver.node.client.get(NODES, "node-1", view=dict))["status"]


async def test_a_block_volume_of_a_driver_is_a_device_in_the_container(driver: Driver) -> None:
    await driver.start()
    await driver.provide("raw", volumeMode="Block", csi={"volumeAttributes": {"block": "yes"}})
    script = "test -b /dev/raw && dd if=/dev/raw bs=1024 2>/dev/null | wc -c"
    one = {"script": script, "volumeDevices": [{"name": "v", "devicePath": "/dev/raw"}]}
    await driver.node.create("blocks", one, volumes=claimed("raw"), restartPolicy="Never")
    assert driver.node.log(await driver.node.until("blocks", phase("Succeeded"))).strip() == str(1 << 20)
    await driver.node.delete("blocks")
    await driver.called("NodeUnstageVolume")


async def test_a_volume_that_has_grown_is_grown_on_the_node_and_the_claim_says_so(driver: Driver) -> None:
    await driver.start()
    await driver.provide("grows", capacity="2Gi")
    await driver.node.create("big", {"volumeMounts": MOUNT}, volumes=claimed("grows"))
    await driver.node.running_pod("big")
    assert [one["capacity_range"]["required_bytes"] for one in driver.calls("NodeExpandVolume")] == [2 << 30]
    claim = await driver.node.client.get(PERSISTENT_VOLUME_CLAIMS, "grows", "default", view=dict)
    assert claim["status"]["capacity"] == {"storage": "2Gi"}
    await driver.node.client.patch(PERSISTENT_VOLUMES, "grows", {"spec": {"capacity": {"storage": "3Gi"}}})
    pending = [{"type": "FileSystemResizePending", "status": "True", "lastTransitionTime": None, "reason": ""}]
    status = {"conditions": pending, "allocatedResourceStatuses": {"storage": "NodeResizePending"}}
    kind = PERSISTENT_VOLUME_CLAIMS
    await driver.node.client.patch(kind, "grows", {"status": status}, "default", subresource="status")
    await driver.tend("big")
    assert driver.calls("NodeExpandVolume")[1]["capacity_range"]["required_bytes"] == 3 << 30
    claim = await driver.node.client.get(PERSISTENT_VOLUME_CLAIMS, "grows", "default", view=dict)
    assert claim["status"] == {"phase": "Bound", "capacity": {"storage": "3Gi"}}
    text = 'MountVolume.NodeExpandVolume succeeded for volume "grows" node-1'

    async def told() -> bool:
        return ("FileSystemResizeSuccessful", text) in await driver.node.events("big")

    assert await eventually(told)
    await driver.node.delete("big")


async def test_a_driver_that_wants_to_publishes_a_running_pods_volume_again(driver: Driver) -> None:
    await driver.start(requiresRepublish=True)
    volumes = [{"name": "v", "csi": {"driver": NAME}}]
    await driver.node.create("fresh", {"volumeMounts": MOUNT}, volumes=volumes)
    await driver.node.running_pod("fresh")
    await driver.tend("fresh")
    first, again = driver.calls("NodePublishVolume")
    assert first == again
    await driver.node.delete("fresh")


async def test_what_the_driver_answers_is_the_reason_that_the_pod_waits(driver: Driver) -> None:
    await driver.node.create("early", {"volumeMounts": MOUNT}, volumes=[{"name": "v", "csi": {"driver": NAME}}])
    events = await eventually(lambda: driver.node.events("early"))
    words = f"driver name {NAME} not found in the list of registered CSI drivers"
    assert events[0][0] == "FailedMount" and events[0][1].endswith(words)
    await driver.node.delete("early")
    await driver.start()
    volume = {"name": "v", "csi": {"driver": NAME, "volumeAttributes": {"fail": "no such disk"}}}
    await driver.node.create("wrong", {"volumeMounts": MOUNT}, volumes=[volume])
    events = await eventually(lambda: driver.node.events("wrong"))
    text = 'MountVolume.SetUp failed for volume "v" : rpc error: code = Internal desc = no such disk'
    assert events[0] == ("FailedMount", text)
    await driver.node.delete("wrong")


async def test_an_agent_that_comes_back_knows_its_volumes_and_undoes_them(driver: Driver) -> None:
    await driver.start()
    await driver.provide("kept")
    await driver.node.create(
        "stays", {"script": "echo x > /v/x; sleep 1000", "volumeMounts": MOUNT}, volumes=claimed("kept")
    )
    before = await driver.node.running_pod("stays")
    await driver.node.stop()
    await driver.node.start()
    assert container(await driver.node.running_pod("stays"))["restartCount"] == container(before)["restartCount"]
    await driver.node.delete("stays")
    assert len(driver.calls("NodePublishVolume")) == len(driver.calls("NodeUnpublishVolume")) == 1
    assert len(driver.calls("NodeUnstageVolume")) == 1
