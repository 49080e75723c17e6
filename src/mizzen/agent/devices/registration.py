"""The node's socket where device plugins announce themselves: `device-plugins/kubelet.sock`.

gRPC is loaded when the first plugin calls, as most nodes have none: a plain socket listens, and passes bytes on.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from mizzen.agent.devices import checkpoint
from mizzen.agent.kubeletdir import KubeletDir
from mizzen.agent.plugins import PluginRefused
from mizzen.wire import deviceplugin
from mizzen.wire.protobuf import Message

if TYPE_CHECKING:
    import grpc

_CHUNK = 1 << 16


class Registration:
    """Hands what plugins say of themselves to `announced`, which raises PluginRefused."""

    def __init__(self, directory: KubeletDir, announced: Callable[[Message], Awaitable[None]]) -> None:
        self._home = directory.root / "device-plugins"
        self._announced = announced
        self._outer = directory.address(self._home / "kubelet.sock")
        self._inner = directory.address(self._home / ".grpc.sock")
        self._server: grpc.aio.Server | None = None
        self._starting = asyncio.Lock()

    async def run(self) -> None:
        """Listen until cancelled. Plugins see by their sockets' end, and by the new one, that they must call again."""
        for path in self._home.iterdir():
            if path.name != checkpoint.NAME and not path.is_dir():
                path.unlink()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(self._outer)
        listening.listen()  # at once: plugins see the name
        server = await asyncio.start_unix_server(self._serve, sock=listening)
        try:
            await server.serve_forever()
        finally:
            if self._server is not None:
                await self._server.stop(None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._starting:
            if self._server is None:
                self._server = await _start(self._inner, self._announced)
        inner_reader, inner_writer = await asyncio.open_unix_connection(self._inner)
        await asyncio.gather(_pass(reader, inner_writer), _pass(inner_reader, writer))


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    writer.close()


async def _start(address: str, announced: Callable[[Message], Awaitable[None]]) -> "grpc.aio.Server":
    import grpc  # lazily: see above

    async def register(data: bytes, context: Any) -> bytes:
        try:
            await announced(deviceplugin.decode("RegisterRequest", data))
        except (PluginRefused, ValueError) as error:
            await context.abort(grpc.StatusCode.UNKNOWN, str(error))
        return b""

    service, _, name = deviceplugin.REGISTER.strip("/").partition("/")
    methods = {name: grpc.unary_unary_rpc_method_handler(register)}
    server = grpc.aio.server(handlers=(grpc.method_handlers_generic_handler(service, methods),))
    server.add_insecure_port(f"unix:{address}")
    await server.start()
    return server
