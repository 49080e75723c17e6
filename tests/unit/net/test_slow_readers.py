"""Clients that do not read what they are answered, or slowly: what they cost, and when they are given up."""

import asyncio
import socket
from collections.abc import AsyncIterator

from mizzen.net.duplex import BUFFER_LIMIT
from mizzen.net.server import UNREAD_SWEEPS, Listener
from mizzen.wire.message import Request, Response


async def _stalled(hurried: bool) -> tuple[Listener, socket.socket, asyncio.Event]:
    """A client that takes nothing of an endless answer, and what tells that the answer was given up."""
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(100_000)
        finally:
            ended.set()

    listener = Listener(lambda _: Response(200, stream=endless(), hurried=hurried))
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", await listener.listen("127.0.0.1", 0, None)))
    await loop.sock_sendall(client, b"GET / HTTP/1.1\r\n\r\n")
    await _waits(listener)
    return listener, client, ended


async def _waits(listener: Listener) -> None:
    """Return when all that the kernel takes for the client has been given to it."""
    while not any(connection._flow.blocked for connection in listener.connections):  # noqa: ASYNC110 - it tells nobody else
        await asyncio.sleep(0)
    for _ in range(100):
        await asyncio.sleep(0)


async def test_an_answer_that_nobody_reads_is_given_up() -> None:
    listener, client, ended = await _stalled(hurried=True)
    for _ in range(UNREAD_SWEEPS):
        listener.sweep()
    assert not ended.is_set()
    listener.sweep()
    await asyncio.wait_for(ended.wait(), 5)
    assert not listener.connections
    client.close()
    await listener.close()


async def test_what_people_look_at_page_by_page_is_kept_for_them() -> None:
    listener, client, ended = await _stalled(hurried=False)
    for _ in range(3 * UNREAD_SWEEPS):
        listener.sweep()
    await asyncio.sleep(0)
    assert not ended.is_set()
    client.close()
    await listener.close()


async def test_a_client_that_reads_slowly_is_waited_for() -> None:
    listener, client, ended = await _stalled(hurried=True)
    loop = asyncio.get_running_loop()
    connection = next(iter(listener.connections))
    for _ in range(2 * UNREAD_SWEEPS):
        before = connection._transport.get_write_buffer_size()
        while connection._transport.get_write_buffer_size() == before:
            await loop.sock_recv(client, 100_000)
        listener.sweep()
    assert not ended.is_set()
    client.close()
    await listener.close()


async def test_of_a_large_answer_no_more_is_copied_than_its_client_takes() -> None:
    pieces = [bytes(100_000)] * 400
    listener = Listener(lambda _: Response(200, {}, pieces))
    reader, writer = await asyncio.open_connection("127.0.0.1", await listener.listen("127.0.0.1", 0, None))
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await _waits(listener)
    assert max(one._transport.get_write_buffer_size() for one in listener.connections) < 2 * BUFFER_LIMIT
    await reader.readuntil(b"\r\n\r\n")
    assert len(await reader.readexactly(40_000_000)) == 40_000_000
    writer.close()
    await listener.close()


async def test_requests_are_not_answered_ahead_of_a_client_that_does_not_read() -> None:
    answered = 0

    def big(_: Request) -> Response:
        nonlocal answered
        answered += 1
        return Response(200, {}, bytes(BUFFER_LIMIT))

    listener = Listener(big)
    port = await listener.listen("127.0.0.1", 0, None)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n" * 30)
    await _waits(listener)
    assert answered < 30
    for _ in range(30):
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(BUFFER_LIMIT)
    assert answered == 30
    writer.close()
    await listener.close()
