"""Port forwarding: connections into a pod, over SPDY (also inside a WebSocket) and over plain WebSocket channels.

Both directions of a connection end apart, as TCP's do; the client waits while the pod is behind, and the other way.
Ref: KEP-4006; https://kubernetes.io/docs/tasks/access-application-cluster/port-forward-access-application-cluster/
"""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from mizzen.agent.streams.inbox import PROBE_SECONDS, Inbox
from mizzen.base import log
from mizzen.wire import remotecommand, spdy, websocket
from mizzen.wire.message import Duplex, Request, Response

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[int], Awaitable[Connection]]
"""Opens a connection to a port of the pod. Raises OSError."""
_CHUNK = 65536
_log = log.get("streams")


def upgraded(request: Request, connect: Connect) -> Response:
    """The answer that turns a request into port forwarding; 400 when the client asks for no known protocol."""
    if websocket.is_upgrade(request.headers):
        offered = websocket.offered(request.headers) or ("",)
        if remotecommand.TUNNEL in offered:
            headers = websocket.accept_headers(request.headers, remotecommand.TUNNEL)
            return Response(101, headers, upgrade=lambda duplex: Forwarding(Tunnel(duplex), connect).run())
        chosen = next((one for one in remotecommand.FORWARD_PROTOCOLS if one in offered), None)
        ports = _ports(request)
        if chosen is None or not ports:
            return _refused("no common subprotocol, or no ports")
        headers = websocket.accept_headers(request.headers, chosen)
        return Response(101, headers, upgrade=lambda duplex: Channels(duplex, ports, connect).run())
    if request.headers.get("upgrade", "").lower() == "spdy/3.1":
        headers = {
            "upgrade": "SPDY/3.1",
            "connection": "Upgrade",
            "X-Stream-Protocol-Version": remotecommand.PORT_FORWARD,
        }
        return Response(101, headers, upgrade=lambda duplex: Forwarding(duplex, connect).run())
    return _refused("unable to upgrade: this needs a WebSocket or SPDY/3.1 connection")


def _ports(request: Request) -> tuple[int, ...]:
    """The ports of the query; none at all when one of them is no port."""
    asked = [part for key, value in request.query if key == "ports" for part in value.split(",") if part]
    if not all(part.isdecimal() and 0 < int(part) < 65536 for part in asked):
        return ()
    return tuple(int(part) for part in asked)


def _refused(text: str) -> Response:
    return Response(400, {"content-type": "text/plain"}, text.encode() + b"\n")


class Tunnel:
    """The bytes inside a WebSocket's messages, as a connection of their own."""

    def __init__(self, duplex: Duplex) -> None:
        self._duplex = duplex
        self._reader = websocket.Reader()
        self._ended = False

    async def read(self) -> bytes:
        while not self._ended and (data := await self._duplex.read()):
            if arrived := await self._unwrapped(data):
                return arrived
        return b""

    async def _unwrapped(self, data: bytes) -> bytes:
        parts: list[bytes] = []
        try:
            for message in self._reader.feed(data):
                if message.opcode is websocket.Opcode.CLOSE:
                    self._ended = True
                    break
                if message.opcode is websocket.Opcode.PING:
                    await self._duplex.write(websocket.frame(websocket.Opcode.PONG, message.data))
                elif message.opcode in (websocket.Opcode.BINARY, websocket.Opcode.TEXT):
                    parts.append(message.data)
        except websocket.ProtocolError as error:
            await self._duplex.write(websocket.close_frame(1002, str(error)))
            raise ConnectionResetError(str(error)) from error
        return b"".join(parts)

    async def write(self, data: bytes) -> None:
        await self._duplex.write(websocket.frame(websocket.Opcode.BINARY, data))

    async def lost(self) -> None:
        await self._duplex.lost()

    def close(self) -> None:
        self._duplex.close()

    def abort(self) -> None:
        self._duplex.abort()


@dataclass(slots=True)
class _Pair:
    """The two streams of one forwarded connection; 0 is a stream that was not opened yet."""

    port: int
    error: int = 0
    data: int = 0
    inbox: Inbox = field(default_factory=Inbox)


class Forwarding:
    """SPDY: for each connection the client opens an `error` and a `data` stream with the same request id."""

    def __init__(self, duplex: Duplex, connect: Connect) -> None:
        self._duplex = duplex
        self._connect = connect
        self._connection = spdy.Connection()
        self._waiting: dict[str, _Pair] = {}
        self._by_data: dict[int, _Pair] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Forward until the client has left; its connections into the pod end with it."""
        receiving = asyncio.create_task(self._receive())
        lost = asyncio.create_task(self._duplex.lost())
        try:
            while not receiving.done() and not lost.done():
                await asyncio.wait({receiving, lost}, timeout=PROBE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if any(pair.inbox.is_full for pair in self._by_data.values()):
                    await self._duplex.write(spdy.ping())
        finally:
            await _cancelled({receiving, lost, *self._tasks})

    async def _receive(self) -> None:
        try:
            while data := await self._duplex.read():
                for event in self._connection.feed(data):
                    await self._handle(event)
        except spdy.ProtocolError as error:
            _log.debug("client lost", error=str(error))
            await self._duplex.write(spdy.goaway(status=1))

    async def _handle(self, event: spdy.Event) -> None:
        match event:
            case spdy.StreamOpened(stream, headers, ended):
                await self._open(stream, dict(headers), ended=ended)
            case spdy.DataReceived(stream, data, ended):
                pair = self._by_data.get(stream)
                if pair is not None:
                    if data:
                        await pair.inbox.put(data)
                    if ended:
                        pair.inbox.end()
            case spdy.StreamReset(stream):
                pair = self._by_data.get(stream)
                if pair is not None:
                    pair.inbox.end()
            case spdy.Pinged(answer):
                await self._duplex.write(answer)
            case spdy.GoneAway():
                pass

    async def _open(self, stream: int, headers: dict[str, str], *, ended: bool) -> None:
        port, kind = headers.get("port", ""), headers.get("streamtype", "")
        if kind not in ("error", "data") or not port.isdecimal() or not 0 < int(port) < 65536:
            await self._duplex.write(spdy.reset(stream, 1))
            return
        await self._duplex.write(self._connection.reply(stream))
        # Clients of old send no request id: there the error stream comes first, and the data stream is the next one.
        key = headers.get("requestid") or str(stream - 2 if kind == "data" else stream)
        pair = self._waiting.setdefault(key, _Pair(int(port)))
        if kind == "error":
            pair.error = stream
        else:
            pair.data = stream
            self._by_data[stream] = pair
            if ended:
                pair.inbox.end()
        if pair.error and pair.data:
            del self._waiting[key]
            task = asyncio.create_task(self._forward(pair))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(self, pair: _Pair) -> None:
        try:
            try:
                reader, writer = await self._connect(pair.port)
            except OSError as error:
                pair.inbox.discard()
                await self._end(pair, f"error forwarding port {pair.port} to pod: {error}")
                return
            await _exchange(reader, writer, pair.inbox, lambda data: self._send(pair, data), lambda: self._end(pair))
        except ConnectionError:
            _log.debug("client lost", port=pair.port)
        finally:
            self._by_data.pop(pair.data, None)

    async def _send(self, pair: _Pair, data: bytes) -> None:
        await self._duplex.write(spdy.data(pair.data, data))

    async def _end(self, pair: _Pair, error: str = "") -> None:
        """Nothing more comes from the pod; clients wait for the end of both streams."""
        await self._duplex.write(spdy.data(pair.error, error.encode(), end=True))
        await self._duplex.write(spdy.data(pair.data, b"", end=True))


class Channels:
    """WebSocket: two channels a port, data and error; the first message on each is the port's number."""

    def __init__(self, duplex: Duplex, ports: tuple[int, ...], connect: Connect) -> None:
        self._duplex = duplex
        self._ports = ports
        self._connect = connect
        self._inboxes = tuple(Inbox() for _ in ports)

    async def run(self) -> None:
        """Forward until the client has left, or every connection has ended."""
        receiving = asyncio.create_task(self._receive())
        lost = asyncio.create_task(self._duplex.lost())
        serving = {asyncio.create_task(self._serve(index, port)) for index, port in enumerate(self._ports)}
        everything: asyncio.Future[Any] = asyncio.gather(*serving)
        waited: tuple[asyncio.Future[Any], ...] = (receiving, lost, everything)
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if everything.done():
                await self._duplex.write(websocket.close_frame())
        finally:
            await _cancelled({receiving, lost, *serving})
            await asyncio.gather(everything, return_exceptions=True)

    async def _receive(self) -> None:
        reader = websocket.Reader()
        try:
            while data := await self._duplex.read():
                for message in reader.feed(data):
                    if message.opcode is websocket.Opcode.CLOSE:
                        return
                    await self._take(message)
        except websocket.ProtocolError as error:
            _log.debug("client lost", error=str(error))
            with contextlib.suppress(ConnectionError):
                await self._duplex.write(websocket.close_frame(1002, str(error)))

    async def _take(self, message: websocket.Message) -> None:
        if message.opcode is websocket.Opcode.PING:
            await self._duplex.write(websocket.frame(websocket.Opcode.PONG, message.data))
        elif message.opcode is websocket.Opcode.BINARY and len(message.data) > 1:
            index, is_error = divmod(message.data[0], 2)
            if not is_error and index < len(self._inboxes):
                await self._inboxes[index].put(message.data[1:])

    async def _serve(self, index: int, port: int) -> None:
        inbox = self._inboxes[index]
        data_channel, error_channel = 2 * index, 2 * index + 1
        try:
            for channel in (data_channel, error_channel):
                await self._send(channel, struct.pack("<H", port))
            try:
                reader, writer = await self._connect(port)
            except OSError as error:
                inbox.discard()
                await self._send(error_channel, f"error forwarding port {port} to pod: {error}".encode())
                return

            async def ended() -> None:
                inbox.end()  # these channels cannot end one by one: the client will not say so itself

            await _exchange(reader, writer, inbox, lambda data: self._send(data_channel, data), ended)
        except ConnectionError:
            _log.debug("client lost", port=port)

    async def _send(self, channel: int, payload: bytes) -> None:
        await self._duplex.write(websocket.frame(websocket.Opcode.BINARY, bytes([channel]) + payload))


async def _exchange(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    inbox: Inbox,
    send: Callable[[bytes], Awaitable[None]],
    ended: Callable[[], Awaitable[None]],
) -> None:
    """Move bytes between a pod's connection and a client until both directions have ended."""
    delivering = asyncio.create_task(_deliver(inbox, writer))
    try:
        async for data in _arriving(reader):
            await send(data)
        await ended()
        await delivering
    finally:
        inbox.discard()
        await _cancelled({delivering})
        writer.close()


async def _arriving(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """What a pod sends until it ends the connection, in whatever way."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            yield data


async def _deliver(inbox: Inbox, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await inbox.get():
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        inbox.discard()  # the pod takes no more


async def _cancelled(tasks: "set[asyncio.Task[None]]") -> None:
    ending = tuple(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
