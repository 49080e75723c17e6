"""exec and attach as a client sees them, over every protocol, on a connection in memory."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable

import orjson
import pytest
from tests.fakes.commands import FakeExec
from tests.fakes.duplex import MemoryDuplex, connected
from tests.fakes.streaming import SpdyClient, WebSocketClient, masked

from mizzen.agent.runtime.base import RuntimeFailure
from mizzen.agent.streams import commands
from mizzen.wire.message import Request, Response
from mizzen.wire.websocket import Opcode

ALL = (("stdin", "true"), ("stdout", "true"), ("stderr", "true"))


def asked(protocol: str, query: tuple[tuple[str, str], ...] = ALL) -> Request:
    headers = {
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-key": "a",
        "sec-websocket-protocol": protocol,
    }
    return Request("GET", "/exec/default/web/c", query, headers)


def asked_by_spdy(protocols: str, query: tuple[tuple[str, str], ...] = ALL) -> Request:
    headers = {"upgrade": "SPDY/3.1", "connection": "Upgrade", "x-stream-protocol-version": protocols}
    return Request("POST", "/exec/default/web/c", query, headers)


async def eventually(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not claim():  # noqa: ASYNC110 - the loop's next turn is what is waited for
            await asyncio.sleep(0)


class Talk:
    """A client's end of the connection, and the server's task."""

    def __init__(self, response: Response) -> None:
        assert response.status == 101
        assert response.upgrade is not None
        self.web = WebSocketClient()
        self.spdy = SpdyClient()
        self.response = response
        self.end, self.theirs = connected()
        self.serving = asyncio.create_task(self._serve(response.upgrade, self.theirs))

    async def _serve(self, upgrade: Callable[[MemoryDuplex], Awaitable[None]], duplex: MemoryDuplex) -> None:
        try:
            await upgrade(duplex)
        finally:
            duplex.close()

    async def listen(self, client: WebSocketClient | SpdyClient) -> None:
        """Take everything until the server closes."""
        while data := await self.end.read():
            client.feed(data)

    async def finish(self) -> None:
        self.end.close()
        await asyncio.wait_for(asyncio.gather(self.serving, return_exceptions=True), 5)


@pytest.fixture
async def talk() -> AsyncIterator[Callable[[Response], Talk]]:
    talks: list[Talk] = []

    def begin(response: Response) -> Talk:
        talks.append(Talk(response))
        return talks[-1]

    yield begin
    for one in talks:
        await one.finish()


Begin = Callable[[Response], Talk]


def upgraded(request: Request, command: FakeExec, *, attach: bool = False) -> Response:
    async def begin() -> FakeExec:
        return command

    return commands.upgraded(request, begin, attach=attach)


async def test_input_goes_in_and_output_and_the_exit_code_come_out(talk: Begin) -> None:
    command = FakeExec(code=3)
    one = talk(upgraded(asked("v5.channel.k8s.io"), command))
    await one.end.write(masked(Opcode.BINARY, b"\0hello ") + masked(Opcode.BINARY, b"\0world"))
    await one.end.write(masked(Opcode.BINARY, b"\xff\0"))
    await heard(one)
    assert one.web.channel(1) == b"hello world"
    assert orjson.loads(one.web.channel(3))["details"]["causes"][0]["message"] == "3"
    assert one.web.closed == 1000
    assert command.stdin_closed
    assert command.taken == b"hello world"


async def heard(one: Talk) -> None:
    """Everything up to the server's close frame, which is answered."""
    while one.web.closed is None and (data := await asyncio.wait_for(one.end.read(), 5)):
        one.web.feed(data)
    await one.end.write(masked(Opcode.CLOSE, b""))


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("v4.channel.k8s.io, v5.channel.k8s.io", "v5.channel.k8s.io"),
        ("channel.k8s.io", "channel.k8s.io"),
        ("unknown, v4.channel.k8s.io", "v4.channel.k8s.io"),
    ],
)
async def test_the_best_protocol_that_both_know_is_chosen(talk: Begin, offered: str, chosen: str) -> None:
    one = talk(upgraded(asked(offered), FakeExec()))
    assert one.response.headers["sec-websocket-protocol"] == chosen


def test_unknown_protocols_and_plain_requests_are_refused() -> None:
    assert upgraded(asked("v9.channel.k8s.io"), FakeExec()).status == 400
    assert upgraded(Request("POST", "/exec/a/b/c"), FakeExec()).status == 400


async def test_the_text_protocol_carries_base64(talk: Begin) -> None:
    one = talk(upgraded(asked("base64.channel.k8s.io"), command := FakeExec()))
    await one.end.write(masked(Opcode.TEXT, b"0" + base64.b64encode(b"typed")))
    await eventually(lambda: command.taken == b"typed")
    await command.end(0)
    await heard(one)
    texts = [base64.b64decode(payload) for channel, payload in one.web.messages if channel == ord("1")]
    assert b"".join(texts) == b"typed"


async def test_noise_in_the_text_protocol_ends_the_session(talk: Begin) -> None:
    one = talk(upgraded(asked("base64.channel.k8s.io"), command := FakeExec()))
    await one.end.write(masked(Opcode.TEXT, b"0a"))
    await heard(one)
    assert one.web.closed == 1002
    await eventually(lambda: command.closed)


async def test_sizes_reach_the_terminal_also_those_sent_before_it_exists(talk: Begin) -> None:
    gate = asyncio.Event()
    command = FakeExec()

    async def begin() -> FakeExec:
        await gate.wait()
        return command

    one = talk(commands.upgraded(asked("v4.channel.k8s.io", (*ALL, ("tty", "true"))), begin, attach=False))
    await one.end.write(masked(Opcode.BINARY, b'\4{"Width":80,"Height":24}'))
    await one.end.write(masked(Opcode.BINARY, b"\4nonsense"))
    gate.set()
    await eventually(lambda: command.sizes == [(80, 24)])
    await one.end.write(masked(Opcode.BINARY, b'\4{"Width":100,"Height":30}'))
    await eventually(lambda: command.sizes == [(80, 24), (100, 30)])


async def test_a_ping_is_answered(talk: Begin) -> None:
    one = talk(upgraded(asked("v5.channel.k8s.io"), FakeExec()))
    await one.end.write(masked(Opcode.PING, b"beat"))
    while not one.web.pongs:
        one.web.feed(await asyncio.wait_for(one.end.read(), 5))
    assert one.web.pongs == [b"beat"]


async def test_a_command_that_cannot_start_tells_why(talk: Begin) -> None:
    async def begin() -> FakeExec:
        raise RuntimeFailure("ExecFailed", "no such program")

    one = talk(commands.upgraded(asked("v5.channel.k8s.io"), begin, attach=False))
    await heard(one)
    status = orjson.loads(one.web.channel(3))
    assert (status["status"], status["message"]) == ("Failure", "no such program")


async def test_attaching_succeeds_whatever_the_container_ends_with(talk: Begin) -> None:
    command = FakeExec(code=9)
    one = talk(upgraded(asked("v5.channel.k8s.io"), command, attach=True))
    await command.end(9)
    await heard(one)
    assert orjson.loads(one.web.channel(3))["status"] == "Success"


async def test_a_client_that_leaves_ends_its_command(talk: Begin) -> None:
    command = FakeExec()
    one = talk(upgraded(asked("v5.channel.k8s.io"), command))
    await command.print(b"started")
    one.web.feed(await one.end.read())
    one.end.close()
    await eventually(lambda: command.closed)


async def test_what_a_client_has_sent_before_it_left_reaches_the_command_and_ends_it(talk: Begin) -> None:
    # The Python client's way to copy files: it sends an archive to tar and closes at once.
    command = FakeExec()
    one = talk(upgraded(asked("v4.channel.k8s.io"), command))
    one.web.feed(await one.end.read())
    archive = b"".join(masked(Opcode.BINARY, b"\0" + bytes(100_000)) for _ in range(3))
    await one.end.write(archive + masked(Opcode.CLOSE, b"\x03\xe8"))
    await heard(one)
    assert one.web.closed == 1000
    await eventually(lambda: command.closed)
    assert (len(command.taken), command.stdin_closed, command.code) == (300_000, True, 0)


async def test_a_command_that_goes_on_without_input_ends_soon_after_its_client(
    talk: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "LEAVING_SECONDS", 0.05)
    command = FakeExec(echo=False)
    one = talk(upgraded(asked("v4.channel.k8s.io"), command))
    await one.end.write(masked(Opcode.BINARY, b"\0some") + masked(Opcode.CLOSE, b"\x03\xe8"))
    await asyncio.wait_for(command.ended.wait(), 5)
    assert (command.taken, command.stdin_closed, command.code) == (b"some", True, 137)


async def test_a_client_that_leaves_while_its_input_waits_ends_its_command(
    talk: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "LEAVING_SECONDS", 0.05)
    command = FakeExec(echo=False, limit=0)
    one = talk(upgraded(asked("v5.channel.k8s.io"), command))
    flood = b"".join(masked(Opcode.BINARY, bytes(1 << 20)) for _ in range(6))
    flooding = asyncio.gather(one.end.write(flood), return_exceptions=True)
    await asyncio.wait_for(command.waiting.wait(), 5)
    one.end.close()
    await asyncio.wait_for(command.ended.wait(), 5)
    await flooding


async def test_input_that_nobody_reads_does_not_hold_the_end_back(talk: Begin) -> None:
    command = FakeExec(echo=False, limit=10)
    one = talk(upgraded(asked("v5.channel.k8s.io"), command))
    flood = b"".join(masked(Opcode.BINARY, b"\0" + bytes(1 << 20)) for _ in range(4))
    flooding = asyncio.ensure_future(one.end.write(flood))
    await command.end(5)
    await heard(one)
    assert b'"5"' in one.web.channel(3)
    await asyncio.wait_for(flooding, 5)


async def test_output_that_was_not_asked_for_does_not_block_the_command(talk: Begin) -> None:
    command = FakeExec()
    one = talk(upgraded(asked("v5.channel.k8s.io", (("stdout", "true"),)), command))
    await command.print(b"complaint", "stderr")
    await command.print(b"result")
    await command.end(0)
    await heard(one)
    assert one.web.channel(2) == b""
    assert one.web.channel(1) == b"result"


async def test_spdy_waits_for_all_streams_and_ends_them_all(talk: Begin) -> None:
    command = FakeExec(code=4)
    one = talk(upgraded(asked_by_spdy("v4.channel.k8s.io, v3.channel.k8s.io"), command))
    assert one.response.headers["X-Stream-Protocol-Version"] == "v4.channel.k8s.io"
    for stream, name in ((1, "error"), (3, "stdin"), (5, "stdout"), (7, "stderr"), (9, "resize")):
        await one.end.write(one.spdy.syn(stream, {"streamtype": name}))
    await one.end.write(
        spdy_data(3, b"over spdy") + spdy_data(9, b'{"Width":9,"Height":8}') + spdy_data(3, b"", end=True)
    )
    while not one.spdy.gone:
        one.spdy.feed(await asyncio.wait_for(one.end.read(), 5))
    assert one.spdy.replied == [1, 3, 5, 7, 9]
    assert one.spdy.received[5] == b"over spdy"
    assert one.spdy.ended >= {1, 5, 7}
    assert orjson.loads(one.spdy.received[1])["details"]["causes"][0]["message"] == "4"
    assert command.sizes == [(9, 8)]


async def test_spdy_refuses_streams_of_unknown_kinds(talk: Begin) -> None:
    one = talk(upgraded(asked_by_spdy("v4.channel.k8s.io"), FakeExec()))
    await one.end.write(one.spdy.syn(1, {"streamtype": "gossip"}))
    while not one.spdy.reset:
        one.spdy.feed(await asyncio.wait_for(one.end.read(), 5))
    assert one.spdy.reset == [1]


async def test_broken_spdy_ends_the_session(talk: Begin) -> None:
    one = talk(upgraded(asked_by_spdy("v4.channel.k8s.io"), FakeExec()))
    await one.end.write(b"\x80\x03\x00\x01\x00\x00\x00\x02xx")
    await asyncio.wait_for(asyncio.gather(one.serving, return_exceptions=True), 5)
    one.spdy.feed(await one.end.read())
    assert one.spdy.gone


def spdy_data(stream: int, payload: bytes, *, end: bool = False) -> bytes:
    return stream.to_bytes(4, "big") + ((1 if end else 0) << 24 | len(payload)).to_bytes(4, "big") + payload
