"""A listener for a client of HTTP/2, which remembers what it was asked."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tests.fakes.http2 import Client

from mizzen.net.http2 import Http2
from mizzen.net.server import Listener
from mizzen.wire import frames
from mizzen.wire.message import Request, Response

GET = b"\x82\x87\x84\x41\x01x"
"""The headers of a request for /, encoded."""
Answer = Callable[[Request], Response | Awaitable[Response]]


class Server:
    """A listener, and what was asked there."""

    def __init__(self, answer: Answer) -> None:
        self.requests: list[Request] = []
        self._answer = answer
        self.listener = Listener(self._noted)
        self.port = 0

    def _noted(self, request: Request) -> Response | Awaitable[Response]:
        self.requests.append(request)
        return self._answer(request)

    @property
    def link(self) -> Http2:
        (found,) = self.listener.connections
        assert isinstance(found, Http2)
        return found

    def sweep(self, times: int = 1) -> None:
        for _ in range(times):
            self.listener.sweep()


@asynccontextmanager
async def serving(tls: ssl.SSLContext, answer: Answer) -> AsyncIterator[Server]:
    """A server while it runs."""
    server = Server(answer)
    server.port = await server.listener.listen("127.0.0.1", 0, tls)
    yield server
    await server.listener.close()


@asynccontextmanager
async def served(tls: ssl.SSLContext, answer: Answer, **settings: int) -> AsyncIterator[tuple[Server, Client]]:
    """A server, and a client that is connected to it."""
    async with serving(tls, answer) as server, await Client.connect(server.port, **settings) as client:
        yield server, client


def echo(request: Request) -> Response:
    """An answer that tells what was asked."""
    seen = f"{request.method} {request.path} {list(request.query)} {bytes(request.body)!r}"
    return Response(200, {"content-type": "text/plain", "x-seen": request.headers.get("x-mine", "")}, seen.encode())


def named(request: Request) -> Response:
    """An answer that tells the path."""
    return Response(200, {}, request.path.encode())


def opened(number: int) -> bytes:
    """The frame of a whole request on a stream."""
    return frames.frame(frames.HEADERS, frames.COMPLETE | frames.ENDS, number, GET)
