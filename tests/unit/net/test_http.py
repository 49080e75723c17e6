"""The server and the client of mizzen.net against each other, and against raw bytes, on loopback."""

import asyncio
import gc
import socket
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import parsedate_to_datetime

import pytest

from mizzen.net.client import IDLE_CONNECTIONS, Endpoint, SocketTransport
from mizzen.net.dates import http_date
from mizzen.net.server import IDLE_SWEEPS, REQUEST_SWEEPS, Connection, Listener
from mizzen.wire.message import Duplex, Request, Response

Start = Callable[[Callable[[Request], Response | Awaitable[Response]]], Awaitable[int]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    listeners: list[Listener] = []

    async def begin(dispatch: Callable[[Request], Response | Awaitable[Response]]) -> int:
        listener = Listener(dispatch)
        listeners.append(listener)
        return await listener.listen("127.0.0.1", 0, None)

    yield begin
    for listener in listeners:
        await listener.close()


def _transport(port: int) -> SocketTransport:
    return SocketTransport(Endpoint("127.0.0.1", port))


def _echo(request: Request) -> Response:
    seen = f"{request.method} {request.path} {list(request.query)} {bytes(request.body)!r}"
    return Response(200, {"content-type": "text/plain", "x-seen": request.headers.get("x-mine", "")}, seen.encode())


async def _raw(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answer


async def test_method_path_query_headers_and_body_arrive(start: Start) -> None:
    transport = _transport(await start(_echo))
    request = Request("PUT", "/a b/ü", (("x", "1 &"), ("x", "2")), {"x-mine": "yes"}, b"body")
    response = await transport.call(request)
    assert response.body == "PUT /a b/ü [('x', '1 &'), ('x', '2')] b'body'".encode()
    assert response.headers["x-seen"] == "yes"
    await transport.close()


async def test_headers_that_stand_several_times_are_told_line_by_line(start: Start) -> None:
    transport = _transport(await start(lambda request: Response(200, {}, repr(request.lines("x-mine")).encode())))
    request = Request("GET", "/", repeated=(("x-mine", "a,b"), ("x-mine", ",c")))
    assert (await transport.call(request)).body == b"['a,b', ',c']"
    assert (await transport.call(Request("GET", "/", headers={"x-mine": "a,b"}))).body == b"('a,b',)"
    await transport.close()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_every_answer_has_a_date(start: Start, method: str) -> None:
    before = int(time.time())
    transport = _transport(await start(_echo))
    response = await transport.call(Request(method, "/"))
    assert before <= parsedate_to_datetime(response.headers["date"]).timestamp() <= time.time()
    await transport.close()


async def test_a_refusal_and_a_stream_have_a_date(start: Start) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"

    port = await start(lambda request: Response(200, {}, b"", stream=pieces()))
    assert b"\r\ndate: " in await _raw(port, b"nonsense\r\n\r\n")
    assert b"\r\ndate: " in await _raw(port, b"GET / HTTP/1.0\r\n\r\n")


async def test_an_answer_that_another_server_has_dated_keeps_its_date(start: Start) -> None:
    told = "Sun, 06 Nov 1994 08:49:37 GMT"
    port = await start(lambda request: Response(200, {"date": told}, b""))
    said = await _raw(port, b"GET / HTTP/1.0\r\n\r\n")
    assert said.count(b"date: ") == 1 and told.encode() in said


def test_the_date_is_written_as_http_has_it() -> None:
    assert http_date(784111777) == b"Sun, 06 Nov 1994 08:49:37 GMT"


async def test_a_connection_that_ended_leaves_nothing_for_the_garbage_collector(start: Start) -> None:
    gone = asyncio.Event()
    listener = Listener(_echo)
    transport = _transport(await listener.listen("127.0.0.1", 0, None))
    gc.collect()
    gc.disable()
    try:
        assert (await transport.call(Request("GET", "/"))).status == 200
        ours = next(one for one in gc.get_objects() if type(one).__name__ == "_Connection")
        left = [weakref.ref(one, lambda _: gone.set()) for one in (*listener.connections, ours)]
        del ours
        await transport.close()
        while any(one() is not None for one in left):
            gone.clear()
            await asyncio.wait_for(gone.wait(), 5)
    finally:
        gc.enable()
        await listener.close()


@pytest.mark.parametrize("answer", [b"", b"body"])
async def test_one_connection_serves_many_requests(start: Start, answer: bytes) -> None:
    served: set[Connection] = set()

    def note(request: Request) -> Response:
        served.update(listener.connections)
        return Response(200, {}, answer)

    listener = Listener(note)
    transport = _transport(await listener.listen("127.0.0.1", 0, None))
    for _ in range(5):
        assert (await transport.call(Request("GET", "/"))).body == answer
    assert len(served) == 1
    await transport.close()
    await listener.close()


async def test_a_burst_of_calls_shares_few_connections(start: Start) -> None:
    most = 0

    async def counted(request: Request) -> Response:
        nonlocal most
        await asyncio.sleep(0)
        most = max(most, len(listener.connections))
        return Response(200, {}, request.path.encode())

    listener = Listener(counted)
    port = await listener.listen("127.0.0.1", 0, None)
    transport = _transport(port)
    answers = await asyncio.gather(*(transport.call(Request("GET", f"/{number}")) for number in range(200)))
    assert [answer.body for answer in answers] == [f"/{number}".encode() for number in range(200)]
    assert most < 40
    await transport.close()
    await listener.close()


async def test_slow_answers_to_a_burst_make_no_more_connections_than_are_kept(start: Start) -> None:
    greeted: set[Connection] = set()

    async def slow(request: Request) -> Response:
        greeted.update(listener.connections)
        for _ in range(30):
            await asyncio.sleep(0)
        return Response(200)

    listener = Listener(slow)
    transport = _transport(await listener.listen("127.0.0.1", 0, None))
    for _ in range(3):
        await asyncio.gather(*(transport.call(Request("GET", "/")) for _ in range(100)))
    assert len(greeted) <= IDLE_CONNECTIONS
    await transport.close()
    await listener.close()


async def test_calls_that_all_wait_get_a_connection_each(start: Start) -> None:
    arrived, go = asyncio.Semaphore(0), asyncio.Event()

    async def held(request: Request) -> Response:
        arrived.release()
        await go.wait()
        return Response(200)

    transport = _transport(await start(held))
    calls = [asyncio.create_task(transport.call(Request("GET", "/"))) for _ in range(50)]
    async with asyncio.timeout(5):
        for _ in calls:
            await arrived.acquire()
        go.set()
        await asyncio.gather(*calls)
    await transport.close()


async def test_calls_given_up_leave_their_turn_to_the_next(start: Start) -> None:
    go = asyncio.Event()

    async def held(request: Request) -> Response:
        if request.path == "/held":
            await go.wait()
        return Response(200)

    transport = _transport(await start(held))
    given_up = [asyncio.create_task(transport.call(Request("GET", "/held"))) for _ in range(10)]
    await asyncio.sleep(0)
    others = [asyncio.create_task(transport.call(Request("GET", "/"))) for _ in range(10)]
    for _ in range(5):
        await asyncio.sleep(0)
    for task in given_up:
        task.cancel()
    async with asyncio.timeout(5):
        assert [answer.status for answer in await asyncio.gather(*others)] == [200] * 10
    await transport.close()


async def test_whoever_waits_for_a_server_that_is_gone_hears_so_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    transport = _transport(port)
    async with asyncio.timeout(5):
        answers = await asyncio.gather(
            *(transport.call(Request("GET", "/")) for _ in range(50)), return_exceptions=True
        )
    assert all(isinstance(answer, ConnectionError) for answer in answers)


async def test_pipelined_requests_are_answered_in_order(start: Start) -> None:
    async def slow_first(request: Request) -> Response:
        if request.path == "/1":
            await asyncio.sleep(0.02)
        return Response(200, {}, request.path.encode())

    port = await start(slow_first)
    pipeline = b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\nConnection: close\r\n\r\n"
    answer = await _raw(port, pipeline)
    assert [answer.index(path) for path in (b"/1", b"/2", b"/3")] == sorted(
        answer.index(path) for path in (b"/1", b"/2", b"/3")
    )


async def test_a_stream_arrives_piece_by_piece_and_its_loss_ends_it_on_the_server(start: Start) -> None:
    ended = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            for number in range(1_000_000):
                yield b"%d\n" % number
                await asyncio.sleep(0.001)
        finally:
            ended.set()

    port = await start(lambda request: Response(200, {}, stream=pieces()))
    transport = _transport(port)
    response = await transport.call(Request("GET", "/", (("watch", "1"),)))
    assert response.stream is not None
    assert await anext(response.stream) == b"0\n"
    await transport.close()
    await asyncio.wait_for(ended.wait(), 5)


async def test_a_client_that_leaves_cancels_its_request(start: Start) -> None:
    entered, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(request: Request) -> Response:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return Response(200)

    port = await start(wait)
    call = asyncio.create_task(_transport(port).call(Request("GET", "/")))
    await entered.wait()
    call.cancel()
    await asyncio.wait_for(cancelled.wait(), 5)


async def test_an_upgraded_connection_carries_raw_bytes_both_ways(start: Start) -> None:
    async def shout(duplex: Duplex) -> None:
        while data := await duplex.read():
            await duplex.write(data.upper())

    async def upgrade(request: Request) -> Response:
        return Response(101, {"upgrade": "shout", "connection": "Upgrade"}, upgrade=shout)

    transport = _transport(await start(upgrade))
    request = Request("GET", "/", (), {"connection": "Upgrade", "upgrade": "shout"})
    response, duplex = await transport.upgrade(request)
    assert (response.status, response.headers["upgrade"]) == (101, "shout")
    assert duplex is not None
    await duplex.write(b"hello")
    assert await duplex.read() == b"HELLO"
    duplex.close()


async def test_a_refused_upgrade_gives_the_whole_answer(start: Start) -> None:
    transport = _transport(await start(lambda request: Response(403, {}, b"no")))
    response, duplex = await transport.upgrade(Request("GET", "/", (), {"connection": "Upgrade", "upgrade": "x"}))
    assert (response.status, response.body, duplex) == (403, b"no", None)


async def test_a_connection_that_died_in_the_pool_is_replaced(start: Start) -> None:
    listener = Listener(_echo)
    port = await listener.listen("127.0.0.1", 0, None)
    transport = _transport(port)
    await transport.call(Request("GET", "/"))
    for connection in tuple(listener.connections):
        connection.abort()
    assert (await transport.call(Request("GET", "/again"))).status == 200
    await transport.close()
    await listener.close()


async def test_a_write_whose_answer_is_lost_is_not_sent_again(start: Start) -> None:
    written = 0

    def lose(request: Request) -> Response:
        nonlocal written
        if request.method == "POST":
            written += 1
            for connection in tuple(listener.connections):
                connection.abort()
        return Response(200)

    listener = Listener(lose)
    transport = _transport(await listener.listen("127.0.0.1", 0, None))
    await transport.call(Request("GET", "/"))
    with pytest.raises(ConnectionError):
        await transport.call(Request("POST", "/"))
    assert written == 1
    assert (await transport.call(Request("GET", "/"))).status == 200
    await transport.close()
    await listener.close()


async def test_nothing_listening_is_a_connection_error(start: Start) -> None:
    listener = Listener(_echo)
    port = await listener.listen("127.0.0.1", 0, None)
    await listener.close()
    with pytest.raises(ConnectionError):
        await _transport(port).call(Request("GET", "/"))


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"BREW /pot HTTP/1.1\r\nhost: x\r\n\r\n", b"405"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", b"431"),
        (b"PUT / HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n" + b"z" * 9_000_000, b"413"),
    ],
)
async def test_requests_that_cannot_be_served_are_refused(start: Start, sent: bytes, status: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", await start(_echo))
    writer.write(sent)
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert answer.split(b" ", 2)[1] == status
    writer.close()


async def test_a_large_answer_waits_for_a_slow_reader(start: Start) -> None:
    body = b"x" * 20_000_000
    port = await start(lambda request: Response(200, {}, [body, body]))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    received = 0
    while chunk := await reader.read(1_000_000):
        received += len(chunk)
    assert received == 40_000_000
    writer.close()


async def test_a_defect_of_the_server_is_not_called_a_bad_request(start: Start) -> None:
    def broken(request: Request) -> Response:
        raise RuntimeError("a defect")

    reader, writer = await asyncio.open_connection("127.0.0.1", await start(broken))
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 500 ")
    writer.close()


@pytest.mark.parametrize(
    ("sent", "sweeps", "answer"),
    [(b"", IDLE_SWEEPS, b""), (b"GET / HTTP/1.1\r\nx-slow: ", REQUEST_SWEEPS, b"HTTP/1.1 408 ")],
)
async def test_connections_on_which_no_request_comes_to_its_end_are_closed(
    sent: bytes, sweeps: int, answer: bytes
) -> None:
    listener = Listener(_echo)
    reader, writer = await asyncio.open_connection("127.0.0.1", await listener.listen("127.0.0.1", 0, None))
    writer.write(b"GET /first HTTP/1.1\r\n\r\n" + sent)
    await reader.readuntil(b"/first [] b''")
    for _ in range(sweeps - 1):
        listener.sweep()
    assert not reader.at_eof()
    listener.sweep()
    assert (await asyncio.wait_for(reader.read(1000), 5)).startswith(answer)
    writer.close()
    await listener.close()


async def test_a_connection_that_waits_for_its_answer_is_left_alone_however_long_that_takes() -> None:
    asked, done = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Response:
        asked.set()
        await done.wait()
        return Response(200)

    listener = Listener(slow)
    reader, writer = await asyncio.open_connection("127.0.0.1", await listener.listen("127.0.0.1", 0, None))
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await asked.wait()
    for _ in range(2 * IDLE_SWEEPS):
        listener.sweep()
    done.set()
    assert await reader.readuntil(b"\r\n") == b"HTTP/1.1 200 OK\r\n"
    writer.close()
    await listener.close()
