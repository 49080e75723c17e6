"""The node's socket where device plugins announce themselves: `device-plugins/kubelet.sock`."""

from collections.abc import Awaitable, Callable

from mizzen.agent.devices import checkpoint
from mizzen.agent.devices.listener import CallRefused, Listener
from mizzen.agent.kubeletdir import KubeletDir
from mizzen.agent.plugins import PluginRefused
from mizzen.wire import deviceplugin
from mizzen.wire.protobuf import Message


class Registration:
    """Hands what plugins say of themselves to `announced`, which raises PluginRefused."""

    def __init__(self, directory: KubeletDir, announced: Callable[[Message], Awaitable[None]]) -> None:
        self._home = directory.root / "device-plugins"
        self._announced = announced
        self._listener = Listener(directory, self._home / "kubelet.sock", {deviceplugin.REGISTER: self._register})

    async def run(self) -> None:
        """Listen until cancelled. Plugins see by their sockets' end, and by the new one, that they must call again."""
        for path in self._home.iterdir():
            if path.name != checkpoint.NAME and not path.is_dir():
                path.unlink()
        await self._listener.run()

    async def _register(self, data: bytes) -> bytes:
        try:
            await self._announced(deviceplugin.decode("RegisterRequest", data))
        except (PluginRefused, ValueError) as error:
            raise CallRefused(str(error)) from error
        return b""
