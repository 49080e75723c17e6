"""The drivers of a node, with a real API server in memory and a real plugin."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from mizzen.agent.plugins import PluginRefused
from mizzen.agent.volumes.csi.drivers import Drivers
from mizzen.agent.volumes.kinds import VolumeFailure
from mizzen.base.clock import SystemClock
from mizzen.client.client import Client
from mizzen.client.inprocess import InProcessTransport
from mizzen.client.resources import CSI_DRIVERS, CSI_NODES, NODES
from mizzen.machinery.identity import MASTERS, Identity
from mizzen.server.server import Server
from mizzen.store.memory import MemoryStore
from mizzen.wire import csi


class Hurried:
    """A clock on which ten seconds pass whenever somebody looks."""

    def __init__(self) -> None:
        self._at = 0.0

    def now(self) -> float:
        return self._at

    def monotonic(self) -> float:
        self._at += 10.0
        return self._at

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class Plugin(grpc.GenericRpcHandler):
    """A node service that knows its node by a name and has a limit."""

    def __init__(self) -> None:
        self.node_id = "mine"
        self.limit = 3

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        name = details.method.rpartition("/")[2]

        async def answer(_data: bytes, _context: object) -> bytes:
            message = {"node_id": self.node_id, "max_volumes_per_node": self.limit}
            return csi.encode(f"{name}Response", message if name == "NodeGetInfo" else {})

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    server = Server(MemoryStore(), SystemClock())
    await server.start()
    found = Client(InProcessTransport(server.handle, Identity("kubelet", groups=(MASTERS,))))
    await found.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
    yield found
    await server.close()


@pytest.fixture
async def plugin(tmp_path: Path) -> AsyncIterator[tuple[Plugin, str]]:
    one = Plugin()
    server = grpc.aio.server(handlers=(one,))
    server.add_insecure_port(f"unix:{tmp_path}/csi.sock")
    await server.start()
    yield one, f"{tmp_path}/csi.sock"
    await server.stop(None)


async def entries(client: Client) -> list[dict[str, object]]:
    return (await client.get(CSI_NODES, "n", view=dict))["spec"].get("drivers") or []


async def test_a_driver_that_calls_the_node_otherwise_is_entered_anew(
    client: Client, plugin: tuple[Plugin, str]
) -> None:
    drivers = Drivers(client, SystemClock(), "n")
    await drivers.register("disk", plugin[1], ["v1.0.0"])
    assert await entries(client) == [
        {"name": "disk", "nodeID": "mine", "topologyKeys": None, "allocatable": {"count": 3}}
    ]
    plugin[0].node_id = "other"
    await drivers.register("disk", plugin[1], ["1.2"])
    assert [one["nodeID"] for one in await entries(client)] == ["other"]
    await drivers.deregister("disk")
    assert await entries(client) == []
    with pytest.raises(VolumeFailure, match="driver name disk not found"):
        drivers.get("disk")
    await drivers.close()


async def test_a_driver_of_another_version_is_refused(client: Client, plugin: tuple[Plugin, str]) -> None:
    with pytest.raises(PluginRefused, match="none of the supported versions"):
        await Drivers(client, SystemClock(), "n").register("disk", plugin[1], ["0.3.0"])


async def test_the_limit_of_volumes_is_asked_for_as_often_as_the_driver_wants(
    client: Client, plugin: tuple[Plugin, str]
) -> None:
    spec = {"nodeAllocatableUpdatePeriodSeconds": 15}
    await client.create(CSI_DRIVERS, {"metadata": {"name": "disk"}, "spec": spec})
    drivers = Drivers(client, Hurried(), "n")
    await drivers.register("disk", plugin[1], ["1.0.0"])
    plugin[0].limit = 9
    following = asyncio.create_task(drivers.follow_limits())
    async with asyncio.timeout(5):
        async for event in client.watch(CSI_NODES, view=dict, initial=True):
            if event.object and event.object["spec"]["drivers"][0]["allocatable"] == {"count": 9}:
                break
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await drivers.close()
