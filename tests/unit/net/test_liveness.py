"""Connections find out that their peer is gone, on both sides, with and without TLS."""

import asyncio
import socket
import time

import pytest

from mizzen.cluster.pki import Pki
from mizzen.net import liveness
from mizzen.net.client import Endpoint, SocketTransport
from mizzen.net.server import Listener
from mizzen.net.tls import client_context, server_context
from mizzen.wire.message import Duplex, Request, Response

Options = tuple[int, int, int]


def options_of(transport: asyncio.BaseTransport) -> Options:
    """Whether a silent peer is asked, after how many seconds, and after how many milliseconds it is given up."""
    found = transport.get_extra_info("socket")
    asked = found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    idle = found.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
    return asked, idle, found.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)


@pytest.mark.parametrize("secure", [False, True])
async def test_both_sides_of_a_connection_ask_a_silent_peer_and_the_caller_gives_a_lost_one_up(
    secure: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def upgraded(duplex: Duplex) -> None:
        await duplex.read()

    def answer(request: Request) -> Response:
        return Response(101, {"upgrade": "x"}, upgrade=upgraded) if request.path == "/up" else Response(200)

    pki = Pki(tmp_path_factory.mktemp("pki"), time.time()) if secure else None
    serving = pki.serving(("127.0.0.1",), "10.0.0.1") if pki else None
    listener = Listener(answer)
    tls = server_context(serving.certificate, serving.key) if serving else None
    port = await listener.listen("127.0.0.1", 0, tls)
    asking = client_context(pki.ca().certificate) if pki else None
    transport = SocketTransport(Endpoint("127.0.0.1", port, asking))
    await transport.call(Request("GET", "/"))
    idle = liveness.IDLE_SECONDS
    [calling], [answering] = transport._open, listener.connections
    assert options_of(calling._transport) == (1, idle, liveness.UNHEARD_SECONDS * 1000)
    assert options_of(answering._transport) == (1, idle, 0)
    _, duplex = await transport.upgrade(Request("GET", "/up", headers={"connection": "upgrade", "upgrade": "x"}))
    assert duplex is not None
    assert options_of(duplex._transport) == (1, idle, 0)  # type: ignore[attr-defined]
    duplex.close()
    await transport.close()
    await listener.close()
