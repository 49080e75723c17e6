"""The server over HTTP/2, against a client made of another project's library and against one that breaks the rules."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable
from email.utils import parsedate_to_datetime
from random import Random
from typing import Any

import pytest
from tests.fakes.http2 import Client
from tests.fakes.http2server import echo, named, opened, served, serving

from mizzen.cluster.pki import Pki
from mizzen.net.client import Endpoint, SocketTransport
from mizzen.net.http2 import STREAM_LIMIT, TERMS
from mizzen.net.limits import MAX_BODY
from mizzen.net.tls import unverified_context
from mizzen.wire import frames
from mizzen.wire.message import Request, Response


async def test_a_client_that_knows_http2_is_given_it_and_one_that_does_not_is_not(tls: ssl.SSLContext) -> None:
    async with serving(tls, echo) as server:
        async with await Client.connect(server.port) as client:
            assert (await client.ask("GET", "/")).status == 200
        transport = SocketTransport(Endpoint("127.0.0.1", server.port, unverified_context()))
        assert (await transport.call(Request("GET", "/"))).status == 200
        await transport.close()


async def test_requests_and_answers_are_those_of_http1(tls: ssl.SSLContext) -> None:
    async with served(tls, echo) as (server, client):
        sent = ("x-mine", "yes"), ("cookie", "a=1"), ("cookie", "b=2"), ("x-two", "1"), ("x-two", "2")
        answer = await client.ask("PUT", "/a%20b/%C3%BC?x=1%20&x=2", *sent, body=b"body")
        assert answer.body == "PUT /a b/ü [('x', '1 '), ('x', '2')] b'body'".encode()
        size = str(len(answer.body))
        assert [field for field in answer.headers if field[0] != "date"] == [
            (":status", "200"), ("content-type", "text/plain"), ("x-seen", "yes"), ("content-length", size)
        ]  # fmt: skip
        asked = server.requests[0]
        assert asked.headers["host"] == "127.0.0.1" and asked.remote == "127.0.0.1"
        assert asked.headers["cookie"] == "a=1; b=2" and asked.headers["x-two"] == "1,2"
        head = await client.ask("HEAD", "/")
        assert head.header("content-length") == str(len("HEAD / [] b''")) and not head.body and head.ended


async def test_every_answer_has_one_date(tls: ssl.SSLContext) -> None:
    told = "Sun, 06 Nov 1994 08:49:37 GMT"

    def answer(request: Request) -> Response:
        return Response(200, {"date": told} if request.path == "/told" else {}, b"")

    async with served(tls, answer) as (_, client):
        dates = [[v for k, v in (await client.ask("GET", path)).headers if k == "date"] for path in ("/", "/told")]
    assert abs(parsedate_to_datetime(dates[0][0]).timestamp() - time.time()) < 5
    assert dates[1] == [told]


async def test_the_certificate_of_the_connection_goes_with_each_of_its_requests(tls: ssl.SSLContext, pki: Pki) -> None:
    async with serving(tls, echo) as server:
        pair = pki.client("alice", "alice")
        shown = unverified_context()
        shown.load_cert_chain(pair.certificate, pair.key)
        async with await Client.connect(server.port, shown) as client:
            await client.ask("GET", "/1")
            await client.ask("GET", "/2")
    assert [one.peer_certificate is not None for one in server.requests] == [True, True]


async def test_answers_come_as_they_are_ready_and_not_in_order(tls: ssl.SSLContext) -> None:
    go = asyncio.Event()

    async def waits(request: Request) -> Response:
        if request.path == "/slow":
            await go.wait()
        return Response(200, {}, request.path.encode())

    async with served(tls, waits) as (_, client):
        slow = client.begin("GET", "/slow")
        assert (await client.ask("GET", "/quick")).body == b"/quick"
        assert not client.streams[slow].headers
        go.set()
        assert (await client.ended(slow)).body == b"/slow"


async def test_a_stream_arrives_piece_by_piece_and_ends_on_the_server_with_its_reset(tls: ssl.SSLContext) -> None:
    ended, more = asyncio.Event(), asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            await more.wait()
            yield b"two"
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with served(tls, lambda _: Response(200, stream=pieces())) as (server, client):
        number = client.begin("GET", "/")
        stream = client.streams[number]
        await client.until(lambda: stream.body == b"one")
        more.set()
        await client.until(lambda: stream.body == b"onetwo")
        client.h2.reset_stream(number, frames.CANCEL)
        client.send()
        await asyncio.wait_for(ended.wait(), 5)
        assert server.link._http2.is_idle and not server.link._tasks


async def test_a_client_that_leaves_cancels_all_it_asked_for(tls: ssl.SSLContext) -> None:
    cancelled = 0
    done = asyncio.Event()

    async def hang(_: Request) -> Response:
        nonlocal cancelled
        try:
            await asyncio.Event().wait()
        finally:
            cancelled += 1
            if cancelled == 3:
                done.set()
        return Response(200)

    async with serving(tls, hang) as server:
        async with await Client.connect(server.port) as client:
            for _ in range(3):
                client.begin("GET", "/")
            while len(server.requests) < 3:  # noqa: ASYNC110 - it tells nobody else
                await asyncio.sleep(0.001)
        await asyncio.wait_for(done.wait(), 5)
        assert not server.listener.connections


async def test_a_stream_that_is_not_read_holds_little_and_keeps_nobody_waiting(tls: ssl.SSLContext) -> None:
    made = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal made
        while True:
            made += 10_000
            yield bytes(10_000)

    def answer(request: Request) -> Response:
        return Response(200, stream=endless()) if request.path == "/endless" else named(request)

    async with served(tls, answer) as (server, client):
        client.h2.increment_flow_control_window(1 << 20)
        client.unread.add(1)
        number = client.begin("GET", "/endless")
        for turn in range(50):
            assert (await client.ask("GET", f"/{turn}")).body == f"/{turn}".encode()
        assert made <= 65535 + STREAM_LIMIT + 20_000
        assert server.link._http2.waiting(number) <= STREAM_LIMIT + 10_000
        client.unread.clear()
        client.h2.increment_flow_control_window(1 << 20, number)
        client.send()
        await client.until(lambda: len(client.streams[number].body) > 500_000)


async def test_big_answers_share_a_connection(tls: ssl.SSLContext) -> None:
    size = 3 << 20
    body = tuple(bytes([number]) * (size // 8) for number in range(8))
    async with served(tls, lambda _: Response(200, {}, body), initial_window_size=1 << 20) as (_, client):
        answers = await asyncio.gather(*(client.ask("GET", "/") for _ in range(6)))
        assert {bytes(answer.body) for answer in answers} == {b"".join(body)}


async def test_a_small_answer_overtakes_big_ones(tls: ssl.SSLContext) -> None:
    big = bytes(8 << 20)

    def answer(request: Request) -> Response:
        return Response(200, {}, big if request.path == "/big" else b"small")

    async with served(tls, answer, initial_window_size=1 << 30) as (_, client):
        client.h2.increment_flow_control_window(1 << 30)
        numbers = [client.begin("GET", "/big") for _ in range(4)]
        assert (await client.ask("GET", "/small")).body == b"small"
        assert not any(client.streams[number].ended for number in numbers)


async def test_many_requests_at_once_leave_room_for_other_connections(tls: ssl.SSLContext) -> None:
    turns: list[int] = []

    def answer(request: Request) -> Response:
        asyncio.get_running_loop().call_soon(lambda: turns.append(len(server.requests)))
        return named(request)

    async with served(tls, answer) as (server, client):
        await client.ask("GET", "/first")
        await client.stop_reading()
        turns.clear()
        server.requests.clear()
        server.link.data_received(b"".join(opened(2 * n + 3) for n in range(200)))
        while len(turns) < 200:  # noqa: ASYNC110 - it tells nobody else
            await asyncio.sleep(0)
        assert turns[0] < 50 and len(server.requests) == 200


async def test_bodies_of_many_requests_arrive_though_few_may_be_big_at_a_time(tls: ssl.SSLContext) -> None:
    async with served(tls, lambda request: Response(200, {}, str(len(request.body)).encode())) as (server, client):
        body = bytes(3 << 20)
        answers = await asyncio.gather(*(client.ask("POST", "/", body=body) for _ in range(12)))
        assert {bytes(one.body) for one in answers} == {str(3 << 20).encode()}
        assert server.link._http2._granted == 0 and not server.link._http2._wanting


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_asked_uploaded_and_given_up_in_whatever_order_nothing_is_left(
    tls: ssl.SSLContext, seed: int
) -> None:
    rng = Random(seed)

    async def pieces(size: int) -> AsyncIterator[bytes]:
        for at in range(0, size, 7000):
            await asyncio.sleep(0)
            yield bytes(min(7000, size - at))

    async def slowly(request: Request) -> Response:
        await asyncio.sleep(0)
        return Response(200, {}, bytes(len(request.body)))

    def answer(request: Request) -> Response | Awaitable[Response]:
        size = int(request.path[2:])
        if request.path[1] == "s":
            return Response(200, stream=pieces(size))
        return Response(200, {}, bytes(size)) if request.path[1] == "w" else slowly(request)

    async def one(client: Client) -> None:
        size = rng.choice((0, 1, 100, 16384, 70_000, 400_000))
        number = client.begin("POST", f"/{rng.choice('swu')}{size}", ends=False)
        if rng.random() < 0.3:
            for _ in range(rng.randrange(5)):
                await asyncio.sleep(0)
            if client.streams[number].reset is None and not client.streams[number].ended:
                client.h2.reset_stream(number, frames.CANCEL)
                client.send()
            return
        await client.upload(number, bytes(size))
        stream = await client.ended(number)
        assert stream.ended and len(stream.body) == size

    async with served(tls, answer, initial_window_size=rng.choice((2000, 20_000, 65535, 1 << 20))) as (server, client):
        await client.ask("POST", "/w1", body=b"x")
        for _ in range(3):
            await asyncio.gather(*(one(client) for _ in range(30)))
            server.sweep()
        await client.ask("POST", "/w1", body=b"x")
        link = server.link
        assert link._http2.is_idle and not link._http2.waiting_bytes and not link._http2._granted
        assert not (link._opening or link._held or link._tasks or link._lasting or link._rooms)


async def test_who_asks_whether_to_go_on_is_told_to(tls: ssl.SSLContext) -> None:
    async with served(tls, echo) as (_, client):
        number = client.begin("POST", "/", ("expect", "100-continue"), ends=False)
        await client.until(lambda: bool(client.streams[number].informational))
        await client.upload(number, b"x")
        assert (await client.ended(number)).status == 200


async def test_a_body_too_big_is_refused_before_it_is_read(tls: ssl.SSLContext) -> None:
    async with served(tls, echo) as (server, client):
        number = client.begin("POST", "/", ("content-length", str(MAX_BODY + 1)), ends=False)
        assert (await client.ended(number)).status == 413
        sneaked = client.begin("POST", "/", ends=False)
        await client.upload(sneaked, bytes(MAX_BODY + (1 << 20)))
        assert client.streams[sneaked].status == 413
        assert not server.requests
        assert (await client.ask("GET", "/")).status == 200


async def test_headers_too_big_are_refused_and_the_connection_goes_on(tls: ssl.SSLContext) -> None:
    async with served(tls, echo) as (_, client):
        much = [(f"x-{number}", "y" * 3000) for number in range(21)]
        assert (await client.ask("GET", "/", *much, ("x-more", "z" * 2000))).status == 431
        assert (await client.ask("GET", "/", *much[:20])).status == 200


@pytest.mark.parametrize(
    "more",
    [
        [("content-length", "3")], [("content-length", "x")], [("connection", "close")], [("te", "gzip")],
        [("transfer-encoding", "chunked")], [("X-Upper", "1")], [(":late", "1")], [("x", "a\nb")],
        [("x y", "a")], [("", "a")],
    ],
)  # fmt: skip
async def test_a_malformed_request_ends_its_stream_alone(tls: ssl.SSLContext, more: list[tuple[str, str]]) -> None:
    async with served(tls, echo) as (server, client):
        assert (await client.ask("POST", "/", *more, body=b"four")).reset == frames.PROTOCOL_ERROR
        assert not server.requests
        assert (await client.ask("GET", "/")).status == 200


async def test_trailers_mean_nothing(tls: ssl.SSLContext) -> None:
    async with served(tls, echo) as (_, client):
        number = client.begin("POST", "/", ends=False)
        client.h2.send_data(number, b"body")
        client.h2.send_headers(number, [("x-mine", "late")], end_stream=True)
        client.send()
        answer = await client.ended(number)
        assert answer.body == b"POST / [] b'body'" and answer.header("x-seen") == ""


async def test_pings_are_answered_while_nothing_else_happens(tls: ssl.SSLContext) -> None:
    async with served(tls, echo) as (_, client):
        client.h2.ping(b"12345678")
        client.send()
        await client.until(lambda: client.pongs == 1)


async def test_no_more_streams_are_open_than_were_offered(tls: ssl.SSLContext) -> None:
    async def hang(_: Request) -> Response:
        await asyncio.Event().wait()
        return Response(200)

    async with served(tls, hang) as (_, client):
        await client.until(lambda: client.h2.remote_settings.max_concurrent_streams == TERMS.at_once)
        numbers = [client.begin("GET", "/") for _ in range(TERMS.at_once)]
        client.h2.remote_settings.acknowledge()
        raw = client.h2
        raw.remote_settings[3] = 1000
        raw.remote_settings.acknowledge()
        refused = client.begin("GET", "/")
        assert (await client.ended(refused)).reset == frames.REFUSED_STREAM
        assert not any(client.streams[number].ended for number in numbers)


async def test_an_upgrade_is_asked_for_over_http1(tls: ssl.SSLContext) -> None:
    async def upgraded(_: Any) -> None:
        raise AssertionError("nobody may come here")

    async with served(tls, lambda _: Response(101, upgrade=upgraded)) as (_, client):
        assert (await client.ask("GET", "/")).reset == frames.HTTP_1_1_REQUIRED


async def test_a_defect_of_the_server_ends_its_stream_alone(tls: ssl.SSLContext) -> None:
    async def broken(request: Request) -> Response:
        if request.path == "/broken":
            raise RuntimeError("a bug")
        return named(request)

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    async with served(tls, broken) as (_, client):
        assert (await client.ask("GET", "/broken")).reset == frames.INTERNAL_ERROR
        assert (await client.ask("GET", "/")).status == 200


async def test_headers_of_other_servers_that_http2_does_not_know_are_left_out(tls: ssl.SSLContext) -> None:
    passed_on = {"Connection": "keep-alive", "X-Backend": "1", "transfer-encoding": "chunked"}
    async with served(tls, lambda _: Response(200, dict(passed_on), b"")) as (_, client):
        answer = await client.ask("GET", "/")
        assert answer.headers[:3] == [(":status", "200"), ("x-backend", "1"), ("content-length", "0")]
        assert [name for name, _ in answer.headers[3:]] == ["date"]
