"""Sockets where others call the node by gRPC.

gRPC is loaded at the first call, as most nodes have none: a plain socket listens, and passes bytes on.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mizzen.agent.kubeletdir import KubeletDir

if TYPE_CHECKING:
    import grpc

_CHUNK = 1 << 16
Method = Callable[[bytes], Awaitable[bytes]]
"""What a call is answered with. Raises CallRefused."""


class CallRefused(Exception):
    """A call that is answered with an error; `code` is gRPC's name of the reason."""

    def __init__(self, message: str, code: str = "UNKNOWN") -> None:
        super().__init__(message)
        self.code = code


class Listener:
    """One socket, and what is answered there by the path of the call, such as `/v1beta1.Registration/Register`."""

    def __init__(self, directory: KubeletDir, path: Path, methods: Mapping[str, Method]) -> None:
        self._outer = directory.address(path)
        self._inner = directory.address(path.with_name(f".{path.name}"))
        self._paths = (path, path.with_name(f".{path.name}"))
        self._methods = methods
        self._server: grpc.aio.Server | None = None
        self._starting = asyncio.Lock()

    async def run(self) -> None:
        """Listen until cancelled. Raises OSError."""
        for path in self._paths:
            path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(self._outer)
        listening.listen()  # at once: others see the name
        server = await asyncio.start_unix_server(self._serve, sock=listening)
        try:
            await server.serve_forever()
        finally:
            if self._server is not None:
                await self._server.stop(None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._starting:
            if self._server is None:
                self._server = await _start(self._inner, self._methods)
        inner_reader, inner_writer = await asyncio.open_unix_connection(self._inner)
        await asyncio.gather(_pass(reader, inner_writer), _pass(inner_reader, writer))


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    writer.close()


async def _start(address: str, methods: Mapping[str, Method]) -> "grpc.aio.Server":
    import grpc  # lazily: see above

    def handler(method: Method) -> "grpc.RpcMethodHandler[bytes, bytes]":
        async def serve(data: bytes, context: Any) -> bytes:
            try:
                return await method(data)
            except CallRefused as error:
                await context.abort(grpc.StatusCode[error.code], str(error))
            return b""

        return grpc.unary_unary_rpc_method_handler(serve)

    services: dict[str, dict[str, Any]] = {}
    for path, method in methods.items():
        service, _, name = path.strip("/").partition("/")
        services.setdefault(service, {})[name] = handler(method)
    handlers = tuple(grpc.method_handlers_generic_handler(service, named) for service, named in services.items())
    server = grpc.aio.server(handlers=handlers)
    server.add_insecure_port(f"unix:{address}")
    await server.start()
    return server
