"""Sockets where others call the node by gRPC."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakSet

from mizzen.agent.kubeletdir import KubeletDir
from mizzen.base import log
from mizzen.wire import grpc

if TYPE_CHECKING:
    from mizzen.net.rpclink import Link

_log = log.get("agent")
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
        self._address = directory.address(path)
        self._path = path
        self._methods = methods
        self._links: WeakSet[Link] = WeakSet()

    async def run(self) -> None:
        """Listen until cancelled. Raises OSError."""
        self._path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(self._address)
        listening.listen()  # at once: others see the name
        server = await asyncio.get_running_loop().create_unix_server(self._linked, sock=listening)
        try:
            await server.serve_forever()
        finally:
            for link in list(self._links):
                link.close()

    def _linked(self) -> "Link":
        from mizzen.net.rpclink import Link  # lazily: most nodes are called by nobody

        link = Link(lambda here, number: _Asked(here, number, self._methods))
        self._links.add(link)
        return link


class _Asked:
    """One call that is answered."""

    def __init__(self, link: "Link", number: int, methods: Mapping[str, Method]) -> None:
        self._link = link
        self._number = number
        self._methods = methods
        self._path = ""
        self._messages = grpc.Messages()
        self._requests: list[bytes] = []
        self._work: asyncio.Task[None] | None = None

    def headers(self, fields: Mapping[str, str]) -> None:
        self._path = fields.get(":path", self._path)

    def data(self, chunk: bytes) -> None:
        with contextlib.suppress(grpc.Malformed):  # then there is no request, and the answer says so
            self._requests += self._messages.feed(chunk)

    def ended(self) -> None:
        self._work = asyncio.create_task(self._serve())

    def broken(self, code: str, why: str, *, untouched: bool) -> None:
        if self._work is not None:
            self._work.cancel()

    async def _serve(self) -> None:
        body, code, message = b"", "OK", ""
        try:
            body = grpc.framed(await self._answer())
        except CallRefused as error:
            code, message = error.code, str(error)
        except Exception as error:  # one call must not end the others
            _log.error("call failed", method=self._path, error=f"{type(error).__name__}: {error}")
            code, message = "UNKNOWN", f"{type(error).__name__}: {error}"
        self._link.answer(self._number, grpc.response(), body, grpc.trailers(code, message))

    async def _answer(self) -> bytes:
        method = self._methods.get(self._path)
        if method is None:
            raise CallRefused(f"unknown method {self._path}", "UNIMPLEMENTED")
        if len(self._requests) != 1:
            raise CallRefused("one uncompressed request was expected", "INVALID_ARGUMENT")
        return await method(self._requests[0])
