"""Port forwarding against a real listener on loopback, over SPDY, inside a WebSocket, and over plain channels."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from tests.fakes.duplex import MemoryDuplex, connected
from tests.fakes.streaming import SpdyClient, WebSocketClient, masked

from mizzen.agent.streams import ports
from mizzen.wire import spdy
from mizzen.wire.message import Request, Response
from mizzen.wire.websocket import Opcode

SPDY = Request("POST", "/portForward/a/b", (), {"upgrade": "SPDY/3.1", "connection": "Upgrade"})


def websocket(protocol: str, *query: tuple[str, str]) -> Request:
    headers = {
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-key": "a",
        "sec-websocket-protocol": protocol,
    }
    return Request("GET", "/portForward/a/b", query, headers)


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers in capitals, and ends when its client has."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data.upper())
            await writer.drain()
        writer.close()


class Pod:
    """A listener that stands for the pod's port 80; every other port refuses."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def connect(self, port: int) -> ports.Connection:
        if port != 80:
            raise ConnectionRefusedError(111, "Connection refused")
        return await asyncio.open_connection("127.0.0.1", self.port)


@pytest.fixture
async def pod() -> AsyncIterator[Pod]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        yield Pod(server.sockets[0].getsockname()[1])


@contextlib.asynccontextmanager
async def talking(response: Response) -> AsyncIterator[MemoryDuplex]:
    assert response.upgrade is not None
    ours, theirs = connected()
    serving = asyncio.ensure_future(response.upgrade(theirs))
    try:
        yield ours
    finally:
        ours.close()
        await asyncio.wait_for(asyncio.gather(serving, return_exceptions=True), 5)


async def until(end: MemoryDuplex, feed: Callable[[bytes], None], claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not claim():
            feed(await end.read())


def opened(client: SpdyClient, request: str, first: int, port: str = "80") -> bytes:
    head = {"port": port, "requestid": request}
    error = client.syn(first, {**head, "streamtype": "error"}, end=True)
    return error + client.syn(first + 2, {**head, "streamtype": "data"})


async def test_connections_go_side_by_side_and_end_apart(pod: Pod) -> None:
    client = SpdyClient()
    async with talking(ports.upgraded(SPDY, pod.connect)) as end:
        await end.write(opened(client, "0", 1) + opened(client, "1", 5))
        await end.write(spdy.data(3, b"one") + spdy.data(7, b"two"))
        await until(end, client.feed, lambda: client.received.get(3) == b"ONE" and client.received.get(7) == b"TWO")
        await end.write(spdy.data(3, b"", end=True))
        await until(end, client.feed, lambda: client.ended >= {1, 3})
        assert 7 not in client.ended
        await end.write(spdy.data(7, b" more"))
        await until(end, client.feed, lambda: client.received[7] == b"TWO MORE")


async def test_what_is_sent_before_the_connection_stands_is_not_lost(pod: Pod) -> None:
    client = SpdyClient()
    gate = asyncio.Event()

    async def slowly(port: int) -> ports.Connection:
        await gate.wait()
        return await pod.connect(port)

    async with talking(ports.upgraded(SPDY, slowly)) as end:
        await end.write(opened(client, "0", 1) + spdy.data(3, b"early", end=True))
        gate.set()
        await until(end, client.feed, lambda: 3 in client.ended)
        assert client.received[3] == b"EARLY"


async def test_much_data_passes_whole_both_ways(pod: Pod) -> None:
    client = SpdyClient()
    sent = b"abcdefgh" * (1 << 19)

    async def send(end: MemoryDuplex) -> None:
        for at in range(0, len(sent), 1 << 16):
            await end.write(spdy.data(3, sent[at : at + (1 << 16)]))
        await end.write(spdy.data(3, b"", end=True))

    async with talking(ports.upgraded(SPDY, pod.connect)) as end:
        await end.write(opened(client, "0", 1))
        sending = asyncio.create_task(send(end))
        await until(end, client.feed, lambda: 3 in client.ended)
        await sending
    assert client.received[3] == sent.upper()


async def test_a_port_that_refuses_tells_so_on_the_error_stream_alone(pod: Pod) -> None:
    client = SpdyClient()
    async with talking(ports.upgraded(SPDY, pod.connect)) as end:
        await end.write(opened(client, "0", 1, port="81") + opened(client, "1", 5))
        await until(end, client.feed, lambda: client.ended >= {1, 3})
        assert b"error forwarding port 81 to pod" in client.received[1]
        await end.write(spdy.data(7, b"still"))
        await until(end, client.feed, lambda: client.received.get(7) == b"STILL")


@pytest.mark.parametrize("headers", [{"streamtype": "data"}, {"streamtype": "data", "port": "0"}, {"port": "80"}])
async def test_streams_that_make_no_sense_are_reset(pod: Pod, headers: dict[str, str]) -> None:
    client = SpdyClient()
    async with talking(ports.upgraded(SPDY, pod.connect)) as end:
        await end.write(client.syn(1, headers))
        await until(end, client.feed, lambda: client.reset == [1])


async def test_clients_without_request_ids_pair_streams_by_their_numbers(pod: Pod) -> None:
    client = SpdyClient()
    async with talking(ports.upgraded(SPDY, pod.connect)) as end:
        await end.write(client.syn(1, {"streamtype": "error", "port": "80"}))
        await end.write(client.syn(3, {"streamtype": "data", "port": "80"}) + spdy.data(3, b"old"))
        await until(end, client.feed, lambda: client.received.get(3) == b"OLD")


async def test_spdy_goes_inside_a_websocket(pod: Pod) -> None:
    client, outer = SpdyClient(), WebSocketClient()
    response = ports.upgraded(websocket("SPDY/3.1+portforward.k8s.io"), pod.connect)
    assert response.headers["sec-websocket-protocol"] == "SPDY/3.1+portforward.k8s.io"

    def feed(data: bytes) -> None:
        outer.feed(data)
        client.feed(b"".join(bytes([first]) + rest for first, rest in outer.messages))
        outer.messages.clear()

    async with talking(response) as end:
        inner = opened(client, "0", 1) + spdy.data(3, b"wrapped")
        for at in range(0, len(inner), 7):
            await end.write(masked(Opcode.BINARY, inner[at : at + 7]))
        await until(end, feed, lambda: client.received.get(3) == b"WRAPPED")
        await end.write(masked(Opcode.CLOSE, b""))


async def test_channels_begin_with_their_port_and_carry_data(pod: Pod) -> None:
    client = WebSocketClient()
    response = ports.upgraded(websocket("v4.channel.k8s.io", ("ports", "80"), ("ports", "81")), pod.connect)
    async with talking(response) as end:
        await end.write(masked(Opcode.BINARY, b"\0plain") + masked(Opcode.BINARY, b"\x09no such channel"))
        await until(end, client.feed, lambda: client.channel(0) == struct.pack("<H", 80) + b"PLAIN")
        await until(end, client.feed, lambda: b"error forwarding port 81" in client.channel(3))
        assert client.channel(1) == struct.pack("<H", 80)
        assert client.channel(2) == struct.pack("<H", 81)


async def test_channels_close_when_every_connection_has_ended(pod: Pod) -> None:
    client = WebSocketClient()
    async with talking(ports.upgraded(websocket("v4.channel.k8s.io", ("ports", "81")), pod.connect)) as end:
        await until(end, client.feed, lambda: client.closed is not None)
        assert client.closed == 1000


@pytest.mark.parametrize("query", [(), (("ports", "none"),), (("ports", "70000"),)])
def test_channels_need_ports(pod: Pod, query: tuple[tuple[str, str], ...]) -> None:
    assert ports.upgraded(websocket("v4.channel.k8s.io", *query), pod.connect).status == 400


async def test_a_client_that_leaves_closes_its_connections_into_the_pod() -> None:
    left = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"welcome")
        await reader.read()
        left.set()
        writer.close()

    server = await asyncio.start_server(wait, "127.0.0.1", 0)
    client = SpdyClient()
    async with server:
        pod = Pod(server.sockets[0].getsockname()[1])
        async with talking(ports.upgraded(SPDY, pod.connect)) as end:
            await end.write(opened(client, "0", 1))
            await until(end, client.feed, lambda: client.received.get(3) == b"welcome")
        await asyncio.wait_for(left.wait(), 5)


async def test_a_pod_that_sends_no_more_may_still_be_sent_to() -> None:
    taken = asyncio.get_running_loop().create_future()

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.write_eof()
        taken.set_result(await reader.read())
        writer.close()

    server = await asyncio.start_server(half, "127.0.0.1", 0)
    client = SpdyClient()
    async with server:
        pod = Pod(server.sockets[0].getsockname()[1])
        async with talking(ports.upgraded(SPDY, pod.connect)) as end:
            await end.write(opened(client, "0", 1))
            await until(end, client.feed, lambda: 3 in client.ended)
            await end.write(spdy.data(3, b"last words", end=True))
            assert await asyncio.wait_for(taken, 5) == b"last words"
