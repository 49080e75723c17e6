"""What bounds a connection of HTTP/2: time, the end of the server, and clients that make work for nothing."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest
from tests.fakes.http2 import Client
from tests.fakes.http2server import GET, Server, echo, named, opened, served, serving

from mizzen.net.http2 import HELD_BYTES, PARTING_SECONDS, STREAM_LIMIT, TERMS, WRITE_LIMIT
from mizzen.net.limits import IDLE_SWEEPS, REQUEST_SWEEPS, UNREAD_SWEEPS
from mizzen.net.tls import unverified_context
from mizzen.wire import frames
from mizzen.wire.message import Request, Response

_GREETING = frames.PREFACE + frames.settings({})


# Time


async def test_a_connection_on_which_nothing_is_asked_is_closed_in_peace(tls: ssl.SSLContext) -> None:
    async with served(tls, echo) as (server, client):
        await client.ask("GET", "/")
        server.sweep(IDLE_SWEEPS - 1)
        client.h2.ping(b"12345678")
        client.send()
        await client.until(lambda: client.pongs == 1)
        assert client.gone is None
        server.sweep()
        await client.until(lambda: client.closed)
        assert client.gone == (1, frames.NO_ERROR)


async def test_a_stream_that_lasts_keeps_its_connection(tls: ssl.SSLContext) -> None:
    async def quiet() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async with served(tls, lambda _: Response(200, stream=quiet(), hurried=True)) as (server, client):
        number = client.begin("GET", "/")
        await client.until(lambda: bool(client.streams[number].headers))
        server.sweep(3 * IDLE_SWEEPS)
        client.h2.ping(b"12345678")
        client.send()
        await client.until(lambda: client.pongs == 1)
        assert client.gone is None and client.streams[number].reset is None


async def test_a_request_that_does_not_come_to_its_end_is_given_up(tls: ssl.SSLContext) -> None:
    async with served(tls, echo) as (server, client):
        await client.ask("GET", "/")
        number = client.begin("POST", "/", ends=False)
        while not server.link._opening:  # noqa: ASYNC110 - it tells nobody else
            await asyncio.sleep(0.001)
        server.sweep(REQUEST_SWEEPS - 1)
        assert server.link._opening
        server.sweep()
        assert (await client.ended(number)).status == 408


@pytest.mark.parametrize(("hurried", "reset"), [(True, frames.CANCEL), (False, None)])
async def test_an_answer_that_nobody_reads_is_given_up_unless_people_look_at_it(
    tls: ssl.SSLContext, hurried: bool, reset: int | None
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(10_000)

    def answer(request: Request) -> Response:
        return Response(200, stream=endless(), hurried=hurried) if request.path == "/endless" else named(request)

    async with served(tls, answer) as (server, client):
        client.h2.increment_flow_control_window(1 << 20)
        client.unread.add(1)
        number = client.begin("GET", "/endless")
        await client.until(lambda: len(client.streams[number].body) == 65535)
        server.sweep(UNREAD_SWEEPS)
        assert (await client.ask("GET", "/")).status == 200
        assert client.streams[number].reset is None
        server.sweep()
        assert (await client.ask("GET", "/")).status == 200
        assert client.streams[number].reset == reset


async def test_whole_answers_that_wait_behind_closed_windows_are_given_up_one_by_one(tls: ssl.SSLContext) -> None:
    async with served(tls, lambda _: Response(200, {}, bytes(1000)), initial_window_size=0) as (server, client):
        numbers = [client.begin("GET", "/") for _ in range(20)]
        await client.until(lambda: all(client.streams[number].headers for number in numbers))
        server.sweep(UNREAD_SWEEPS + 1)
        await client.until(lambda: all(client.streams[number].reset == frames.CANCEL for number in numbers))
        assert server.link._http2.waiting_bytes == 0


async def test_no_further_answers_are_made_while_much_waits(tls: ssl.SSLContext) -> None:
    body = bytes(HELD_BYTES // 4)
    async with served(tls, lambda _: Response(200, {}, body), initial_window_size=0) as (server, client):
        numbers = [client.begin("GET", "/") for _ in range(9)]
        await client.until(lambda: bool(client.streams[numbers[5]].headers))
        assert len(server.requests) == 6
        for number in numbers[:3]:
            client.h2.reset_stream(number)
        client.send()
        await client.until(lambda: bool(client.streams[numbers[8]].headers))


# The end


async def test_a_server_that_goes_answers_what_it_was_asked_and_ends_watches(tls: ssl.SSLContext) -> None:
    go = asyncio.Event()

    async def quiet() -> AsyncIterator[bytes]:
        yield b"event"
        await asyncio.Event().wait()

    async def answer(request: Request) -> Response:
        if request.path == "/watch":
            return Response(200, stream=quiet(), hurried=True)
        await go.wait()
        return named(request)

    async with served(tls, answer) as (server, client):
        watch, slow = client.begin("GET", "/watch"), client.begin("GET", "/slow")
        await client.until(lambda: client.streams[watch].body == b"event")
        closing = asyncio.create_task(server.listener.close())
        await client.until(lambda: client.gone is not None)
        assert client.gone == (slow, frames.NO_ERROR)
        go.set()
        await closing
        await client.until(lambda: client.closed)
        assert client.streams[watch].ended and client.streams[slow].body == b"/slow"


async def test_a_server_that_goes_waits_for_no_answer_for_long(tls: ssl.SSLContext) -> None:
    async def hang(_: Request) -> Response:
        await asyncio.Event().wait()
        return Response(200)

    async with served(tls, hang) as (server, client):
        client.begin("GET", "/")
        while not server.requests:  # noqa: ASYNC110 - it tells nobody else
            await asyncio.sleep(0.001)
        await asyncio.wait_for(server.listener.close(), PARTING_SECONDS + 5)
        await client.until(lambda: client.closed)


# Abuse


async def _end(port: int, sent: bytes) -> tuple[int, int]:
    """The code with which a client is sent away, and how many bytes it was answered."""
    tls = unverified_context()
    tls.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(sent)
    answered = frames.Reader(awaits_preface=False)
    size = 0
    try:
        async with asyncio.timeout(10):
            while data := await reader.read(65536):
                size += len(data)
                for kind, _, _, payload in answered.feed(data):
                    if kind == frames.GOAWAY:
                        return int.from_bytes(payload[4:8], "big"), size
    finally:
        writer.transport.abort()
    raise AssertionError("the connection ended without a word")


_RST = frames.CANCEL.to_bytes(4, "big")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"".join(opened(2 * n + 1) + frames.frame(frames.RESET, 0, 2 * n + 1, _RST) for n in range(1200)),
         frames.ENHANCE_YOUR_CALM),
        (frames.frame(frames.PING, 0, 0, bytes(8)) * 1200, frames.ENHANCE_YOUR_CALM),
        (frames.settings({}) * 1200, frames.ENHANCE_YOUR_CALM),
        (frames.frame(frames.PRIORITY, 0, 3, bytes(5)) * 1200, frames.ENHANCE_YOUR_CALM),
        (frames.frame(frames.WINDOW, 0, 0, b"\0\0\0\1") * 1200, frames.ENHANCE_YOUR_CALM),
        (frames.frame(99, 0, 0, b"") * 1200, frames.ENHANCE_YOUR_CALM),
        (frames.frame(frames.HEADERS, 0, 1, GET) + frames.frame(frames.CONTINUATION, 0, 1, b"") * 1200,
         frames.ENHANCE_YOUR_CALM),
        (frames.frame(frames.HEADERS, 0, 1, GET) + frames.frame(frames.CONTINUATION, 0, 1, bytes(16384)) * 5,
         frames.ENHANCE_YOUR_CALM),
        (frames.frame(frames.HEADERS, frames.COMPLETE, 1, GET) + frames.frame(frames.DATA, 0, 1, b"") * 1200,
         frames.ENHANCE_YOUR_CALM),
        (frames.frame(frames.HEADERS, frames.COMPLETE, 1, b"\xff\xff\xff\xff\xff"), frames.COMPRESSION_ERROR),
        (frames.frame(frames.WINDOW, 0, 0, b"\x7f\xff\xff\xff") * 2, frames.FLOW_CONTROL_ERROR),
        (frames.frame(frames.DATA, 0, 5, b"x" * 100), frames.PROTOCOL_ERROR),
    ],
)  # fmt: skip
async def test_who_makes_work_for_nothing_is_sent_away(tls: ssl.SSLContext, sent: bytes, code: int) -> None:
    handled = 0

    async def answer(_: Request) -> Response:
        nonlocal handled
        handled += 1
        await asyncio.sleep(0)
        return Response(200)

    async with serving(tls, answer) as server:
        told, size = await _end(server.port, _GREETING + sent)
        assert told == code and size < 40_000
        assert handled <= TERMS.at_once


async def test_streams_that_were_given_up_at_once_are_not_worked_on(tls: ssl.SSLContext) -> None:
    given_up = b"".join(opened(2 * n + 1) + frames.frame(frames.RESET, 0, 2 * n + 1, _RST) for n in range(500))
    async with serving(tls, named) as server:
        reset = frames.frame(frames.DATA, 0, 5000, b"")  # what ends the connection, so that there is an end to see
        assert (await _end(server.port, _GREETING + given_up + reset))[0] == frames.PROTOCOL_ERROR
        assert len(server.requests) == 0


async def test_what_was_given_up_before_its_work_began_leaves_nothing(tls: ssl.SSLContext) -> None:
    async def never(_: Request) -> Response:
        raise AssertionError("nobody waits for it")

    async with serving(tls, never) as server, await Client.connect(server.port) as client:
        await client.until(lambda: client.h2.remote_settings.max_concurrent_streams == TERMS.at_once)
        link = server.link
        link.data_received(opened(1))
        link.data_received(frames.frame(frames.RESET, 0, 1, _RST))
        while link._tasks:  # noqa: ASYNC110 - it tells nobody else
            await asyncio.sleep(0)
        assert len(server.requests) == 1 and link._http2.is_idle


async def test_patience_is_renewed_with_time(tls: ssl.SSLContext) -> None:
    async with served(tls, echo) as (server, client):
        for turn in range(3):
            for _ in range(TERMS.nuisances // 2):
                client.h2.ping(b"12345678")
            client.send()
            await client.until(lambda turn=turn: client.pongs == (turn + 1) * TERMS.nuisances // 2)  # type: ignore[misc]
            server.sweep()
        assert client.gone is None


async def _deaf(server: Server, client: Client, path: str) -> None:
    """Ask for much, and read nothing of it, until the server has noticed."""
    client.h2.increment_flow_control_window(1 << 30)
    await client.stop_reading()
    for _ in range(240):
        client.begin("GET", path)
    while not server.link._flow.blocked:  # noqa: ASYNC110 - it tells nobody else
        await asyncio.sleep(0.001)


async def test_a_client_that_takes_nothing_at_all_holds_little_and_is_left(tls: ssl.SSLContext) -> None:
    async with served(tls, lambda _: Response(200, {}, bytes(200_000)), initial_window_size=1 << 30) as (
        server,
        client,
    ):
        await _deaf(server, client, "/")
        for _ in range(200):
            await asyncio.sleep(0)
        assert len(server.requests) < 240
        assert server.link._transport.get_write_buffer_size() <= 2 * WRITE_LIMIT
        server.sweep(UNREAD_SWEEPS)
        assert server.listener.connections
        server.sweep()
        await asyncio.sleep(0)
        assert not server.listener.connections


async def test_a_client_that_takes_nothing_is_left_also_when_nothing_more_waits(tls: ssl.SSLContext) -> None:
    async with served(tls, lambda _: Response(200, {}, bytes(200_000)), initial_window_size=1 << 30) as (
        server,
        client,
    ):
        await _deaf(server, client, "/")
        for number in list(server.link._http2.unsent()):
            server.link._http2.reset(number)
        server.link._held.clear()
        server.sweep(UNREAD_SWEEPS + 1)
        await asyncio.sleep(0)
        assert not server.listener.connections


async def test_a_client_that_takes_nothing_is_waited_for_when_people_look_at_it(tls: ssl.SSLContext) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(100_000)

    async with served(tls, lambda _: Response(200, stream=endless()), initial_window_size=1 << 30) as (server, client):
        await _deaf(server, client, "/")
        server.sweep(3 * UNREAD_SWEEPS)
        await asyncio.sleep(0)
        link = server.link
        assert len(link._tasks) and not link._is_over
        assert link._http2.waiting_bytes <= 240 * (STREAM_LIMIT + 100_000)
