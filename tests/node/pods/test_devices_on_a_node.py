"""Devices of a plugin, and claims of a driver of dynamic resources, which run in pods as their DaemonSets would."""

import os
import stat
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.node.pods import devicedriver
from tests.node.pods.conftest import Node, container, eventually, is_ready, phase
from tests.node.pods.devicedriver import DRIVER, RESOURCE

from mizzen.client.resources import NODES, PODS, RESOURCE_CLAIMS
from mizzen.net.rpc import Channel
from mizzen.wire import podresources

CODE = Path(__file__).parents[3]
ONE = {"limits": {RESOURCE: "1"}}
SHOW = "echo got $DEVICES$CLAIM; cat /shared/file; test -c /dev/mine -o -c /dev/claimed && echo node; sleep 1000"
Object = dict[str, Any]


class Driver:
    """A driver's pod, and what it was asked."""

    def __init__(self, node: Node, store: Path) -> None:
        self.node = node
        self.store = store
        self.cdi = node.config.cdi or store / "cdi"
        for part in (store / "shared", store / "cdi"):
            part.mkdir(parents=True)
        (store / "nodes").mkdir()
        os.mknod(store / "nodes" / "one", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        (store / "shared" / "file").write_text("shared\n")

    async def run(self, kind: str) -> None:
        """Create the pod, with the mounts that drivers have."""
        paths = {"usr": "/usr", "lib": "/lib", "lib64": "/lib64", "code": str(CODE), "store": str(self.store)}
        paths["cdi"] = str(self.cdi) if self.node.config.runtime == "cri" else "/var/run/cdi"
        paths["plugins"] = "/var/lib/kubelet/device-plugins"
        mounts = [{"name": name, "mountPath": path if name != "cdi" else "/cdi"} for name, path in paths.items()]
        mounts += [{"name": "registry", "mountPath": "/registration"}, {"name": "own", "mountPath": "/own"}]
        one = {
            "name": "c",
            "image": "local/busybox:1",
            "imagePullPolicy": "IfNotPresent",
            "command": [sys.executable, str(Path(devicedriver.__file__)), kind, str(self.store)],
            "env": [{"name": "PYTHONPATH", "value": f"{CODE}/src"}, {"name": "PATH", "value": "/usr/sbin:/usr/bin"}],
            "volumeMounts": mounts,
            "securityContext": {"privileged": True},
        }
        volumes: list[Object] = [{"name": name, "hostPath": {"path": path}} for name, path in paths.items()]
        volumes.append({"name": "registry", "hostPath": {"path": "/var/lib/kubelet/plugins_registry"}})
        own = {"path": f"/var/lib/kubelet/plugins/{DRIVER}", "type": "DirectoryOrCreate"}
        volumes.append({"name": "own", "hostPath": own})
        await self.node.create("driver", one, volumes=volumes)

    def tell(self, name: str, text: str) -> None:
        """Write one of the files that the driver goes by."""
        (self.store / f"{name}.new").write_text(text)
        (self.store / f"{name}.new").rename(self.store / name)

    def calls(self, name: str) -> list[Object]:
        """The requests of one call, the first first."""
        path = self.store / "calls"
        lines = path.read_bytes().splitlines() if path.exists() else []
        return [request for call, request in map(orjson.loads, lines) if call == name]

    async def called(self, name: str) -> None:
        """Return once a call has been made."""

        async def is_called() -> bool:
            return bool(self.calls(name))

        await eventually(is_called)

    async def offers(self, capacity: str, allocatable: str) -> None:
        """Return once the node has so many devices."""

        async def has() -> bool:
            status = (await self.node.client.get(NODES, "node-1", view=dict))["status"]
            return (status["capacity"].get(RESOURCE), status["allocatable"].get(RESOURCE)) == (capacity, allocatable)

        await eventually(has)

    async def claim(self, name: str, *pods: Object) -> None:
        """A claim that has a device of the driver, and is reserved for pods."""
        requests = [{"name": "r", "exactly": {"deviceClassName": "any"}}]
        meta = {"name": name}
        body = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": meta,
                "spec": {"devices": {"requests": requests}}}  # fmt: skip
        await self.node.client.create(RESOURCE_CLAIMS, body, "default")
        results = [{"request": "r", "driver": DRIVER, "pool": "p", "device": "d"}]
        reserved = [
            {"resource": "pods", "name": one["metadata"]["name"], "uid": one["metadata"]["uid"]} for one in pods
        ]
        status = {"status": {"allocation": {"devices": {"results": results}}, "reservedFor": reserved}}
        await self.node.client.patch(RESOURCE_CLAIMS, name, status, "default", subresource="status")


async def restarted(driver: Driver) -> None:
    """Start another agent; the containers go on."""
    await driver.node.stop()
    await driver.node.start()


async def accounted(node: Node, name: str) -> Object:
    """What the first container of a pod has, by the node's account."""
    channel = Channel(str(node.config.kubelet / "pod-resources" / "kubelet.sock"))
    request = podresources.encode("GetPodResourcesRequest", {"pod_name": name, "pod_namespace": "default"})
    try:
        answer = await channel.call(podresources.GET, request, patience=10)
        listed = podresources.decode(
            "ListPodResourcesResponse", await channel.call(podresources.LIST, b"", patience=10)
        )
    finally:
        await channel.close()
    found = podresources.decode("GetPodResourcesResponse", answer)["pod_resources"]
    assert found in listed["pod_resources"]
    one: Object = found["containers"][0]
    return one


@pytest.fixture
async def driver(node: Node, tmp_path: Path) -> Driver:
    """A driver that is not started yet, on a node that reads its CDI files, with each of the runtimes."""
    made = Driver(node, tmp_path / "store")
    await node.stop()
    node.config = replace(node.config, cdi_directories=(made.store / "cdi",))  # of all, a CRI runtime's machine
    await node.start()
    return made


async def test_a_container_has_its_device_for_itself_whoever_starts_the_agent_anew(driver: Driver) -> None:
    node = driver.node
    driver.tell("devices", "a b ill!")
    await driver.run("device")
    await driver.offers("3", "2")
    await node.client.patch(NODES, "node-1", {"status": {"capacity": {"other.io/x": "4"}}}, subresource="status")
    await node.create("one", {"script": SHOW, "resources": ONE})
    assert (await node.logged(await node.running_pod("one"), "node")).split() == ["got", "b", "shared", "node"]
    devices = [{"resource_name": RESOURCE, "device_ids": ["b"]}]
    assert (await accounted(node, "one"))["devices"] == devices
    assert driver.calls("PreStartContainer") == [{"devices_ids": ["b"]}]
    assert await node.run("one", "sh", "-c", "test -c /dev/many/one && echo node") == "node\n"
    driver.tell("devices", "a b! ill!")
    shown = [{"name": RESOURCE, "resources": [{"resourceID": "b", "health": "Unhealthy"}]}]
    await node.until("one", lambda pod: container(pod).get("allocatedResourcesStatus") == shown)
    driver.tell("devices", "a b ill!")
    await restarted(driver)
    await driver.offers("3", "2")
    await node.create("two", {"script": SHOW, "resources": ONE})
    assert "got a\n" in await node.logged(await node.running_pod("two"), "node")
    await node.create("three", {"resources": ONE})
    refused = (await node.until("three", phase("Failed")))["status"]
    text = f"requested number of devices unavailable for {RESOURCE}. Requested: 1, Available: 0, which is unexpected"
    assert refused["reason"] == "UnexpectedAdmissionError"
    assert refused["message"] == f"Pod was rejected: Allocate failed due to {text}"
    await node.delete("one")
    await node.create("four", {"script": SHOW, "resources": ONE})
    assert "got b\n" in await node.logged(await node.running_pod("four"), "node")
    await node.delete("driver")
    await driver.offers("3", "0")
    assert (await node.client.get(NODES, "node-1", view=dict))["status"]["capacity"]["other.io/x"] == "4"


async def test_claims_are_prepared_before_containers_start_and_undone_with_the_last_pod(driver: Driver) -> None:
    node = driver.node
    driver.tell("fail", "GetInfo not yet")
    await driver.run("dra")
    asks = {"resourceClaims": [{"name": "mine", "resourceClaimName": "ours"}]}
    one = {"script": SHOW, "resources": {"claims": [{"name": "mine", "request": "r"}]}}
    made = [await node.create(name, one, schedulingGates=[], **asks) for name in ("one", "two")]
    await driver.claim("ours", *made)

    async def is_told(text: str) -> bool:
        return any(
            reason == "FailedPrepareDynamicResources" and text in said for reason, said in await node.events("one")
        )

    assert await eventually(lambda: is_told(f"DRA driver {DRIVER} is not registered"))
    driver.tell("fail", "")
    for name in ("one", "two"):
        text = await node.logged(await node.until(name, is_ready, 40), "node")
        assert text.split() == ["got", "ours", "shared", "node"]
    (prepared,) = driver.calls("NodePrepareResources")
    (claim,) = (await accounted(node, "one"))["dynamic_resources"]
    assert (claim["claim_name"], claim["claim_resources"][0]["driver_name"]) == ("ours", DRIVER)
    assert [claim["name"] for claim in prepared["claims"]] == ["ours"]
    await restarted(driver)
    await node.delete("one")
    assert not driver.calls("NodeUnprepareResources")
    await node.delete("two")
    assert driver.calls("NodeUnprepareResources") == [prepared]
    assert not list(driver.cdi.iterdir())


async def test_claims_of_pods_that_went_while_no_agent_ran_are_undone_once_the_driver_can(
    crun_node: Node, tmp_path: Path
) -> None:
    node, driver = crun_node, Driver(crun_node, tmp_path / "store")
    await driver.run("dra")
    asks = {"resourceClaims": [{"name": "mine", "resourceClaimName": "ours"}]}
    one = {"script": SHOW, "resources": {"claims": [{"name": "mine"}]}}
    await driver.claim("ours", await node.create("one", one, **asks))
    await node.logged(await node.until("one", is_ready, 40), "node")
    driver.tell("fail", "NodeUnprepareResources busy")
    await node.stop()
    await node.client.delete(PODS, "one", "default", grace_seconds=0)
    await node.start()
    driver.tell("fail", "")
    assert node.running is not None
    await node.running.pods.release_devices()
    assert len(driver.calls("NodeUnprepareResources")) == 2
    assert not list(driver.cdi.iterdir())
    assert not node.running.tools.devices.holders()
