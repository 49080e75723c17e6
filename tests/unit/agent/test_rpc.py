"""The agent's gRPC, each side of it against another implementation: grpcio's, or HTTP/2 frames put together here."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import pytest
import uvloop

from mizzen.agent.devices.listener import CallRefused, Listener
from mizzen.agent.kubeletdir import KubeletDir
from mizzen.net.rpc import Channel, Refused

_BIG = 3 << 20


class Peer(grpc.GenericRpcHandler):
    """A server that echoes, fails, hangs or streams."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        self.entered = asyncio.Event()
        self.leave = asyncio.Event()
        self.server = grpc.aio.server(handlers=(self,), options=(("grpc.max_receive_message_length", 2 * _BIG),))

    def service(self, details: Any) -> Any:
        name = details.method.rpartition("/")[2]
        if name == "Stream":
            return grpc.unary_stream_rpc_method_handler(self.stream)
        found = getattr(self, name.lower(), None)
        return grpc.unary_unary_rpc_method_handler(found) if found is not None else None

    async def echo(self, data: bytes, _context: Any) -> bytes:
        return data

    async def fail(self, data: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.NOT_FOUND, data.decode())
        return b""

    async def hang(self, data: bytes, _context: Any) -> bytes:
        self.entered.set()
        try:
            await self.leave.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return data

    async def stream(self, data: bytes, _context: Any) -> AsyncIterator[bytes]:
        for number in range(int(data)):
            yield str(number).encode()

    async def listen(self, path: Path) -> "Peer":
        self.server.add_insecure_port(f"unix:{path}")
        await self.server.start()
        return self


@asynccontextmanager
async def peer(path: Path) -> AsyncIterator[tuple[Peer, Channel]]:
    one, channel = await Peer().listen(path), Channel(str(path))
    try:
        yield one, channel
    finally:
        await channel.close()
        await one.server.stop(None)


async def ask(channel: Channel, name: str, data: bytes = b"", patience: float = 20.0, insist: bool = False) -> bytes:
    return await channel.call(f"/test.Service/{name}", data, patience=patience, insist=insist)


async def test_calls_are_answered_however_big_and_however_many(tmp_path: Path) -> None:
    async with peer(tmp_path / "s") as (_, channel):
        for data in (b"", b"x", bytes(_BIG)):
            assert await ask(channel, "Echo", data) == data
        many = [str(number).encode() * 1000 for number in range(300)]
        assert await asyncio.gather(*(ask(channel, "Echo", one) for one in many)) == many


async def test_an_error_has_its_code_and_its_words(tmp_path: Path) -> None:
    async with peer(tmp_path / "s") as (_, channel):
        with pytest.raises(Refused) as refused:
            await ask(channel, "Fail", "no 100% Ü\nhere".encode())
        assert (refused.value.code, refused.value.message) == ("NOT_FOUND", "no 100% Ü\nhere")
        assert str(refused.value).startswith("rpc error: code = NotFound desc = no 100%")
        with pytest.raises(Refused) as unknown:
            await ask(channel, "Nothing")
        assert unknown.value.code == "UNIMPLEMENTED"


async def test_many_answers_come_one_by_one_and_end(tmp_path: Path) -> None:
    async with peer(tmp_path / "s") as (_, channel):
        found = [one async for one in channel.stream("/test.Service/Stream", b"5")]
        assert found == [b"0", b"1", b"2", b"3", b"4"]


async def test_who_waits_too_long_is_told_and_so_is_the_peer(tmp_path: Path) -> None:
    async with peer(tmp_path / "s") as (one, channel):
        with pytest.raises(Refused) as refused:
            await ask(channel, "Hang", patience=0.05)
        assert refused.value.code == "DEADLINE_EXCEEDED"
        await one.cancelled.wait()
        assert await ask(channel, "Echo", b"still there") == b"still there"


async def test_a_peer_that_is_not_there_is_unavailable_or_waited_for(tmp_path: Path) -> None:
    channel = Channel(str(tmp_path / "s"))
    with pytest.raises(Refused) as refused:
        await ask(channel, "Echo")
    assert refused.value.code == "UNAVAILABLE" and f"dial unix {tmp_path}/s" in refused.value.message
    waiting = asyncio.create_task(ask(channel, "Echo", b"late", insist=True))
    one = await Peer().listen(tmp_path / "s")
    assert await waiting == b"late"
    await channel.close()
    await one.server.stop(None)


async def test_a_peer_that_goes_fails_its_calls_and_another_takes_its_place(tmp_path: Path) -> None:
    async with peer(tmp_path / "s") as (first, channel):
        lost = asyncio.create_task(ask(channel, "Hang"))
        await first.entered.wait()
        await first.server.stop(None)
        with pytest.raises(Refused) as refused:
            await lost
        assert refused.value.code in {"UNAVAILABLE", "CANCELLED"}
        second = await Peer().listen(tmp_path / "s")
        assert await ask(channel, "Echo", b"again") == b"again"
        await second.server.stop(None)


Act = Callable[[h2.connection.H2Connection, int, int], None]
"""What a peer does about a request: its connection, the stream, how many requests there have been before."""


@asynccontextmanager
async def frames(path: Path, act: Act, most: int = 100) -> AsyncIterator[Channel]:
    """A peer that answers requests as it is told, and allows so many at once."""
    seen = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        connection.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: most})
        writer.write(connection.data_to_send())
        while chunk := await reader.read(65536):
            for event in connection.receive_data(chunk):
                if isinstance(event, h2.events.StreamEnded) and event.stream_id is not None:
                    act(connection, event.stream_id, seen)
                    seen += 1
            writer.write(connection.data_to_send())
        writer.close()

    server = await asyncio.start_unix_server(serve, str(path))
    channel = Channel(str(path))
    try:
        yield channel
    finally:
        await channel.close()
        server.close()


def answer(connection: h2.connection.H2Connection, stream: int, _: int = 0) -> None:
    connection.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
    connection.send_data(stream, b"\0\0\0\0\2ok")
    connection.send_headers(stream, [("grpc-status", "0")], end_stream=True)


async def test_what_the_peer_refuses_to_begin_is_sent_once_more(tmp_path: Path) -> None:
    def refuse_the_first(connection: h2.connection.H2Connection, stream: int, before: int) -> None:
        if before:
            answer(connection, stream)
        else:
            connection.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)

    async with frames(tmp_path / "s", refuse_the_first) as channel:
        assert await ask(channel, "Echo") == b"ok"

    def refuse(connection: h2.connection.H2Connection, stream: int, _: int) -> None:
        connection.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)

    async with frames(tmp_path / "t", refuse) as channel:
        with pytest.raises(Refused) as refused:
            await ask(channel, "Echo")
        assert refused.value.code == "UNAVAILABLE"


async def test_a_call_that_the_closing_peer_has_not_seen_goes_to_a_new_connection(tmp_path: Path) -> None:
    def close_at_first(connection: h2.connection.H2Connection, stream: int, before: int) -> None:
        if before:
            answer(connection, stream)
        else:
            connection.close_connection(last_stream_id=0)

    async with frames(tmp_path / "s", close_at_first) as channel:
        assert await ask(channel, "Echo") == b"ok"


async def test_a_peer_that_goes_in_peace_answers_what_it_has_while_others_go_to_a_new_connection(
    tmp_path: Path,
) -> None:
    held: list[Callable[[], None]] = []
    left = asyncio.Event()
    goaway = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\1\0\0\0\0"  # of the streams up to the first, without an error

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        writer.write(connection.data_to_send())

        def reply() -> None:
            answer(connection, 1)
            writer.write(connection.data_to_send())

        while chunk := await reader.read(65536):
            if any(isinstance(event, h2.events.StreamEnded) for event in connection.receive_data(chunk)):
                if held:
                    reply()
                else:
                    held.append(reply)
                    writer.write(goaway)
        left.set()

    server = await asyncio.start_unix_server(serve, str(tmp_path / "s"))
    channel = Channel(str(tmp_path / "s"))
    first = asyncio.create_task(ask(channel, "Echo"))
    while channel._link is None or channel._link.is_open:  # noqa: ASYNC110 - that it goes is told to nobody
        await asyncio.sleep(0)
    assert await ask(channel, "Echo") == b"ok"
    assert not first.done()
    held[0]()
    assert await first == b"ok"
    await left.wait()
    await channel.close()
    server.close()


async def test_no_more_calls_are_under_way_than_the_peer_takes(tmp_path: Path) -> None:
    most = 0

    def count(connection: h2.connection.H2Connection, stream: int, _: int) -> None:
        nonlocal most
        most = max(most, connection.open_inbound_streams)
        answer(connection, stream)

    async with frames(tmp_path / "s", count, most=2) as channel:
        assert await ask(channel, "Echo") == b"ok"  # by now its settings are known
        assert await asyncio.gather(*(ask(channel, "Echo") for _ in range(20))) == [b"ok"] * 20
        assert most <= 2


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(64), b""])
async def test_a_peer_that_speaks_something_else_is_unavailable(tmp_path: Path, said: bytes) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    server = await asyncio.start_unix_server(serve, str(tmp_path / "s"))
    with pytest.raises(Refused) as refused:
        await ask(Channel(str(tmp_path / "s")), "Echo")
    assert refused.value.code == "UNAVAILABLE"
    server.close()


@asynccontextmanager
async def listening(root: Path, **methods: Callable[[bytes], Awaitable[bytes]]) -> AsyncIterator[Any]:
    directory = KubeletDir(root)
    paths = {f"/test.Service/{name}": method for name, method in methods.items()}
    running = asyncio.create_task(Listener(directory, root / "s", paths).run())
    await asyncio.sleep(0)
    options = (("grpc.max_receive_message_length", 2 * _BIG),)
    async with grpc.aio.insecure_channel(f"unix:{root / 's'}", options=options) as channel:
        yield lambda name, data=b"", **more: channel.unary_unary(f"/test.Service/{name}", _same, _same)(data, **more)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    directory.close()


def _same(data: bytes) -> bytes:
    return data


async def test_who_calls_the_node_is_answered(tmp_path: Path) -> None:
    async def echo(data: bytes) -> bytes:
        return data

    async def fail(data: bytes) -> bytes:
        raise CallRefused(data.decode(), "NOT_FOUND")

    async def crash(_: bytes) -> bytes:
        raise ValueError("a defect")

    async with listening(tmp_path, Echo=echo, Fail=fail, Crash=crash) as call:
        for data in (b"", b"x", bytes(_BIG)):
            assert await call("Echo", data) == data
        many = [str(number).encode() * 1000 for number in range(200)]
        assert [await one for one in [call("Echo", one) for one in many]] == many
        for name, code, words in (
            ("Fail", grpc.StatusCode.NOT_FOUND, "no 100% Ü"),
            ("Crash", grpc.StatusCode.UNKNOWN, "ValueError: a defect"),
            ("Nothing", grpc.StatusCode.UNIMPLEMENTED, "unknown method /test.Service/Nothing"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await call(name, "no 100% Ü".encode())
            assert (failed.value.code(), failed.value.details()) == (code, words)
        with pytest.raises(grpc.aio.AioRpcError) as compressed:
            await call("Echo", b"x" * 1000, compression=grpc.Compression.Gzip)
        assert compressed.value.code() in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED}


async def test_work_for_a_caller_who_has_gone_is_cancelled(tmp_path: Path) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def hang(_: bytes) -> bytes:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return b""

    async with listening(tmp_path, Hang=hang) as call:
        under_way = call("Hang")
        await begun.wait()
        under_way.cancel()
        await cancelled.wait()


def test_both_sides_work_on_the_loop_that_agents_have(tmp_path: Path) -> None:
    async def echo(data: bytes) -> bytes:
        return data

    async def talk() -> bytes:
        directory = KubeletDir(tmp_path)
        running = asyncio.create_task(Listener(directory, tmp_path / "s", {"/test.Service/Echo": echo}).run())
        channel = Channel(str(tmp_path / "s"))
        answer = await ask(channel, "Echo", bytes(_BIG), insist=True)
        await channel.close()
        running.cancel()
        directory.close()
        return answer

    assert uvloop.run(talk()) == bytes(_BIG)
