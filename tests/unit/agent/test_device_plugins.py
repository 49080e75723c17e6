"""The node's side of device plugins, with real sockets."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest

from mizzen.agent.devices.plugins import DevicePlugins
from mizzen.agent.devices.registration import Registration
from mizzen.agent.kubeletdir import KubeletDir
from mizzen.api.views.podspec import Pod
from mizzen.base.clock import SystemClock
from mizzen.net.rpc import Channel, Refused
from mizzen.wire import deviceplugin

RESOURCE = "test.io/gpu"


class Plugin:
    """Lists what it is told to, and gives a device by its name alone."""

    def __init__(self) -> None:
        self.lists: asyncio.Queue[tuple[str, ...] | None] = asyncio.Queue()
        self.given: list[list[str]] = []
        self.fails = ""
        self.server = grpc.aio.server()

    async def listen(self, path: Path) -> None:
        handlers = {
            "ListAndWatch": grpc.unary_stream_rpc_method_handler(self.list_and_watch),
            "Allocate": grpc.unary_unary_rpc_method_handler(self.allocate),
        }
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("v1beta1.DevicePlugin", handlers),))
        self.server.add_insecure_port(f"unix:{path}")
        await self.server.start()

    async def list_and_watch(self, _data: bytes, _context: Any) -> AsyncIterator[bytes]:
        while (names := await self.lists.get()) is not None:
            devices = [{"ID": name, "health": "Healthy"} for name in names]
            yield deviceplugin.encode("ListAndWatchResponse", {"devices": devices})

    async def allocate(self, data: bytes, context: Any) -> bytes:
        if self.fails:
            await context.abort(grpc.StatusCode.INTERNAL, self.fails)
        (one,) = deviceplugin.decode("AllocateRequest", data)["container_requests"]
        self.given.append(one["devices_ids"])
        given = {"envs": {"GPUS": ",".join(one["devices_ids"])}}
        return deviceplugin.encode("AllocateResponse", {"container_responses": [given]})


class Ground:
    """A directory as a node's, and who looks at its devices."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "device-plugins").mkdir()
        self.directory = KubeletDir(root)
        self.looks: asyncio.Queue[None] = asyncio.Queue()
        self.plugins = self.new_agent()

    def new_agent(self) -> DevicePlugins:
        """What an agent knows that starts now; nothing is told to the one before it, as if it had been killed."""
        return DevicePlugins(self.directory, SystemClock(), self.changed)

    async def changed(self) -> None:
        self.looks.put_nowait(None)

    async def announce(self, name: str = RESOURCE, version: str = "v1beta1") -> None:
        """Call the node as a plugin does."""
        request = {"version": version, "endpoint": "gpu.sock", "resource_name": name}
        channel = Channel(str(self.root / "device-plugins" / "kubelet.sock"))
        try:
            data = deviceplugin.encode("RegisterRequest", request)
            await channel.call(deviceplugin.REGISTER, data, patience=10, insist=True)
        finally:
            await channel.close()


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    made = Ground(tmp_path)
    yield made
    made.directory.close()


@pytest.fixture
async def plugin(ground: Ground) -> AsyncIterator[Plugin]:
    """A plugin that has registered, and listed two devices."""
    registration = Registration(ground.directory, ground.plugins.announced)
    listening = asyncio.create_task(registration.run())
    made = Plugin()
    while not (ground.root / "device-plugins" / "kubelet.sock").exists():  # noqa: ASYNC110
        await asyncio.sleep(0)
    await made.listen(ground.root / "device-plugins" / "gpu.sock")
    await ground.announce()
    made.lists.put_nowait(("a", "b"))
    await ground.looks.get()
    yield made
    await made.server.stop(None)
    await ground.plugins.close()
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


def pod(uid: str) -> Pod:
    one = {"name": "c", "resources": {"limits": {RESOURCE: "1"}}}
    return msgspec.convert({"metadata": {"uid": uid, "name": uid}, "spec": {"containers": [one]}}, Pod)


async def given(plugins: DevicePlugins, one: Pod) -> dict[str, str]:
    return dict((await plugins.prepared(one, one.spec.containers[0])).env)


async def test_a_plugin_offers_devices_until_it_goes(ground: Ground, plugin: Plugin) -> None:
    assert ground.plugins.amounts() == ({RESOURCE: "2"}, {RESOURCE: "2"})
    plugin.lists.put_nowait(("a",))
    await ground.looks.get()
    assert ground.plugins.amounts() == ({RESOURCE: "1"}, {RESOURCE: "1"})
    plugin.lists.put_nowait(None)
    await ground.looks.get()
    assert ground.plugins.amounts() == ({RESOURCE: "1"}, {RESOURCE: "0"})


async def test_an_agent_that_was_killed_leaves_word_of_who_has_what(ground: Ground, plugin: Plugin) -> None:
    assert await ground.plugins.admit(pod("u1")) is None
    later = ground.new_agent()
    assert later.amounts() == ({RESOURCE: "0"}, {RESOURCE: "0"})
    assert await given(later, pod("u1")) == {"GPUS": "a"}
    assert await later.admit(pod("u1")) is None
    refused = await later.admit(pod("u2"))
    text = (
        f"Pod was rejected: Allocate failed due to can't allocate unregistered device {RESOURCE}, which is unexpected"
    )
    assert refused == ("UnexpectedAdmissionError", text)
    later.release("u1")
    assert ground.new_agent().holders() == set()
    assert plugin.given == [["a"]]


async def test_a_pod_whose_plugin_refuses_holds_nothing(ground: Ground, plugin: Plugin) -> None:
    plugin.fails = "burnt out"
    refused = await ground.plugins.admit(pod("u1"))
    assert refused is not None and "burnt out" in refused[1]
    assert ground.plugins.holders() == set()


async def test_a_container_shows_how_its_devices_are(ground: Ground, plugin: Plugin) -> None:
    await ground.plugins.admit(pod("u1"))
    device = {"resourceID": "a", "health": "Healthy"}
    assert ground.plugins.health("u1", "c") == [{"name": RESOURCE, "resources": [device]}]
    plugin.lists.put_nowait(("b",))
    await ground.looks.get()
    assert ground.plugins.health("u1", "c") == [{"name": RESOURCE, "resources": [{**device, "health": "Unknown"}]}]
    assert ground.plugins.health("u2", "c") == []


@pytest.mark.parametrize(
    ("name", "version", "text"),
    [(RESOURCE, "v1alpha1", "'v1alpha1' is not supported"), ("gpu", "v1beta1", "the ResourceName 'gpu' is invalid")],
)
@pytest.mark.usefixtures("plugin")
async def test_a_plugin_that_cannot_be_used_is_told_so(ground: Ground, name: str, version: str, text: str) -> None:
    with pytest.raises(Refused, match=text):
        await ground.announce(name, version)


async def test_sockets_of_before_are_gone_so_that_plugins_register_anew(ground: Ground) -> None:
    home = ground.root / "device-plugins"
    for name in ("gpu.sock", "kubelet.sock", "kubelet_internal_checkpoint"):
        (home / name).touch()
    listening = asyncio.create_task(Registration(ground.directory, ground.plugins.announced).run())
    await asyncio.sleep(0)
    assert sorted(path.name for path in home.iterdir()) == ["kubelet.sock", "kubelet_internal_checkpoint"]
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
