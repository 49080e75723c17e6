"""The registry of plugins, with real sockets."""

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path

import grpc

from mizzen.agent.kubeletdir import KubeletDir
from mizzen.agent.plugins import PluginRefused, Plugins
from mizzen.wire import csi


class Users:
    """Takes in every plugin but the one named `bad`."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, ...]] = []

    async def register(self, name: str, socket: str, versions: Sequence[str]) -> None:
        if name == "bad":
            raise PluginRefused("not this one")
        self.seen.append(("registered", name, Path(socket).name, *versions))

    async def deregister(self, name: str) -> None:
        self.seen.append(("gone", name))


class Plugin(grpc.GenericRpcHandler):
    """Answers registration."""

    def __init__(self, name: str, kind: str = "CSIPlugin") -> None:
        self.info = {
            "type": kind, "name": name, "endpoint": f"/var/lib/kubelet/plugins/{name}/csi.sock",
            "supported_versions": ["1.0.0"],
        }  # fmt: skip
        self.told: list[tuple[int, str]] = []
        self.server = grpc.aio.server(handlers=(self,))

    async def listen(self, path: Path) -> None:
        self.server.add_insecure_port(f"unix:{path}")
        await self.server.start()

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        async def info(_data: bytes, _context: object) -> bytes:
            return csi.encode("PluginInfo", self.info)

        async def notify(data: bytes, _context: object) -> bytes:
            status = csi.decode("RegistrationStatus", data)
            self.told.append((status["plugin_registered"], status["error"]))
            return b""

        return grpc.unary_unary_rpc_method_handler(info if details.method == csi.INFO else notify)


async def test_a_plugin_comes_with_its_socket_and_goes_with_it(tmp_path: Path) -> None:
    registry = tmp_path / "plugins_registry"
    registry.mkdir()
    users, plugin = Users(), Plugin("disk")
    plugins = Plugins(KubeletDir(tmp_path), {"CSIPlugin": users}, lambda: users.seen.append(("came",)))
    await plugin.listen(registry / "disk-reg.sock")
    await plugins.look()
    await plugins.look()
    assert users.seen == [("registered", "disk", "csi.sock", "1.0.0"), ("came",)] and plugin.told == [(1, "")]
    (registry / "disk-reg.sock").unlink()
    await plugins.look()
    assert users.seen[2:] == [("gone", "disk")]
    await plugin.server.stop(None)


class Looking(Plugins):
    """Tells when it has looked."""

    def __init__(self, directory: KubeletDir) -> None:
        super().__init__(directory, {"CSIPlugin": Users()}, lambda: None)
        self.has_looked = asyncio.Event()

    async def look(self) -> bool:
        have_answered = await super().look()
        self.has_looked.set()
        return have_answered


async def test_a_plugin_whose_socket_is_there_before_it_listens_is_soon_tried_again(tmp_path: Path) -> None:
    registry = tmp_path / "plugins_registry"
    registry.mkdir()
    plugins = Looking(KubeletDir(tmp_path))
    with socket.socket(socket.AF_UNIX) as early:
        early.bind(str(registry / "disk-reg.sock"))
        early.setblocking(False)
        following = asyncio.create_task(plugins.run())
        await plugins.has_looked.wait()
        early.listen()
        connection, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_accept(early), 2.0)
        connection.close()
        following.cancel()


async def test_a_plugin_is_told_why_it_is_not_used(tmp_path: Path) -> None:
    registry = tmp_path / "plugins_registry"
    registry.mkdir()
    bad, other = Plugin("bad"), Plugin("gpu", "DevicePlugin")
    plugins = Plugins(KubeletDir(tmp_path), {"CSIPlugin": Users()}, lambda: None)
    await bad.listen(registry / "bad.sock")
    await other.listen(registry / "gpu.sock")
    await plugins.look()
    assert bad.told == [(0, "not this one")]
    assert other.told[0][1].startswith("no handler registered for plugin type: DevicePlugin")
    for plugin in (bad, other):
        await plugin.server.stop(None)
