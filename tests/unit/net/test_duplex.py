"""The raw connection after an upgrade: how its end is noticed, and what HEAD answers."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from mizzen.net import duplex
from mizzen.net.client import Endpoint, SocketTransport
from mizzen.net.server import Listener
from mizzen.wire.message import Duplex, Request, Response

UPGRADE = Request("GET", "/", (), {"connection": "upgrade", "upgrade": "raw"})


class Server:
    """Upgrades every request but HEAD and /long, and hands the connection to the test."""

    def __init__(self) -> None:
        self.upgraded: asyncio.Queue[Duplex] = asyncio.Queue()
        self.lost = asyncio.Event()

    def __call__(self, request: Request) -> Response:
        if request.method == "HEAD" or request.path == "/long":
            return Response(200, {"content-type": "text/plain"}, b"a body of some length")
        return Response(101, {"upgrade": "raw", "connection": "Upgrade"}, upgrade=self._serve)

    async def _serve(self, connection: Duplex) -> None:
        self.upgraded.put_nowait(connection)
        await connection.lost()
        self.lost.set()


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Server, int]]:
    monkeypatch.setattr(duplex, "LOOK_SECONDS", 0.02)
    made = Server()
    listener = Listener(made)
    yield made, await listener.listen("127.0.0.1", 0, None)
    await listener.close()


async def test_a_peer_that_resets_is_noticed_while_nothing_is_read(server: tuple[Server, int]) -> None:
    made, port = server
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: raw\r\n\r\n")
    await made.upgraded.get()
    writer.write(bytes(duplex.BUFFER_LIMIT * 2))
    await asyncio.wait({asyncio.ensure_future(made.lost.wait())}, timeout=0.2)
    assert not made.lost.is_set()
    kept = writer.get_extra_info("socket")
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    await asyncio.wait_for(made.lost.wait(), 5)


async def test_a_peer_that_closes_has_nothing_more_to_read(server: tuple[Server, int]) -> None:
    made, port = server
    _, ours = await SocketTransport(Endpoint("127.0.0.1", port)).upgrade(UPGRADE)
    assert ours is not None
    (await made.upgraded.get()).close()
    assert await asyncio.wait_for(ours.read(), 5) == b""
    ours.close()
    await asyncio.wait_for(ours.lost(), 5)


async def test_head_tells_the_length_and_sends_no_body(server: tuple[Server, int]) -> None:
    _, port = server
    transport = SocketTransport(Endpoint("127.0.0.1", port))
    response = await asyncio.wait_for(transport.call(Request("HEAD", "/")), 5)
    assert (response.headers["content-length"], response.body) == ("21", b"")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    assert (await asyncio.wait_for(reader.read(), 5)).endswith(b"\r\n\r\n")
    writer.close()
    await transport.close()


async def test_an_answer_of_any_length_can_be_opened_as_a_stream(server: tuple[Server, int]) -> None:
    _, port = server
    transport = SocketTransport(Endpoint("127.0.0.1", port))
    response = await transport.open(Request("GET", "/long"))
    assert response.stream is not None
    assert b"".join([chunk async for chunk in response.stream]) == b"a body of some length"
    await transport.close()
