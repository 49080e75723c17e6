"""Port forwarding: connections into a pod, over SPDY (also inside a WebSocket) and over plain WebSocket channels.

Ref: KEP-4006; https://kubernetes.io/docs/tasks/access-application-cluster/port-forward-access-application-cluster/
"""

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from mizzen.wire import remotecommand, spdy, websocket
from mizzen.wire.message import Duplex, Request, Response

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[int], Awaitable[Connection]]
"""Opens a connection to a port of the pod. Raises OSError."""
_CHUNK = 65536


def upgraded(request: Request, connect: Connect) -> Response:
    """The answer that turns a request into port forwarding; 400 when the client asks for no known protocol."""
    if websocket.is_upgrade(request.headers):
        offered = websocket.offered(request.headers)
        if remotecommand.TUNNEL in offered:
            headers = websocket.accept_headers(request.headers, remotecommand.TUNNEL)
            return Response(101, headers, upgrade=lambda duplex: _Forwarding(_Tunnel(duplex), connect).run())
        chosen = next(
            (one for one in ("v4.channel.k8s.io", "portforward.k8s.io", "") if one in (offered or ("",))), None
        )
        ports = [int(value) for key, value in request.query if key == "ports" for value in value.split(",") if value]
        if chosen is None or not ports:
            return Response(400, {"content-type": "text/plain"}, b"no common subprotocol, or no ports\n")
        headers = websocket.accept_headers(request.headers, chosen)
        return Response(101, headers, upgrade=lambda duplex: _channels(duplex, ports, connect))
    if request.headers.get("upgrade", "").lower() == "spdy/3.1":
        headers = {
            "upgrade": "SPDY/3.1",
            "connection": "Upgrade",
            "X-Stream-Protocol-Version": remotecommand.PORT_FORWARD,
        }
        return Response(101, headers, upgrade=lambda duplex: _Forwarding(duplex, connect).run())
    return Response(400, {"content-type": "text/plain"}, b"unable to upgrade: this needs WebSocket or SPDY/3.1\n")


class _Tunnel:
    """The bytes inside a WebSocket's binary messages, as a connection of their own."""

    def __init__(self, duplex: Duplex) -> None:
        self._duplex = duplex
        self._reader = websocket.Reader()

    async def read(self) -> bytes:
        while data := await self._duplex.read():
            parts: list[bytes] = []
            for message in self._reader.feed(data):
                if message.opcode is websocket.Opcode.CLOSE:
                    return b"".join(parts)
                if message.opcode is websocket.Opcode.PING:
                    await self._duplex.write(websocket.frame(websocket.Opcode.PONG, message.data))
                elif message.opcode in (websocket.Opcode.BINARY, websocket.Opcode.TEXT):
                    parts.append(message.data)
            if parts:
                return b"".join(parts)
        return b""

    async def write(self, data: bytes) -> None:
        await self._duplex.write(websocket.frame(websocket.Opcode.BINARY, data))

    def close(self) -> None:
        self._duplex.close()


@dataclass(slots=True)
class _Pair:
    """The two streams of one forwarded connection."""

    port: int
    error: int = 0
    data: int = 0
    arrived: "asyncio.Queue[bytes | None]" = field(default_factory=asyncio.Queue)


class _Forwarding:
    """SPDY: for each connection the client opens an `error` and a `data` stream with the same request id."""

    def __init__(self, duplex: Duplex, connect: Connect) -> None:
        self._duplex = duplex
        self._connect = connect
        self._connection = spdy.Connection()
        self._pairs: dict[str, _Pair] = {}
        self._by_data: dict[int, _Pair] = {}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            while data := await self._duplex.read():
                for event in self._connection.feed(data):
                    await self._handle(event, tasks)
            for pair in self._by_data.values():
                pair.arrived.put_nowait(None)

    async def _handle(self, event: spdy.Event, tasks: asyncio.TaskGroup) -> None:
        match event:
            case spdy.StreamOpened(stream, headers, _):
                await self._duplex.write(self._connection.reply(stream))
                self._join(stream, dict(headers), tasks)
            case spdy.DataReceived(stream, data, ended):
                pair = self._by_data.get(stream)
                if pair is not None:
                    if data:
                        pair.arrived.put_nowait(data)
                    if ended:
                        pair.arrived.put_nowait(None)
            case spdy.StreamReset(stream):
                pair = self._by_data.get(stream)
                if pair is not None:
                    pair.arrived.put_nowait(None)
            case spdy.Pinged(answer):
                await self._duplex.write(answer)
            case spdy.GoneAway():
                pass

    def _join(self, stream: int, headers: dict[str, str], tasks: asyncio.TaskGroup) -> None:
        port = int(headers.get("port", "0") or 0)
        key = headers.get("requestid") or str(stream - 2 if headers.get("streamtype") == "data" else stream)
        pair = self._pairs.setdefault(key, _Pair(port))
        if headers.get("streamtype") == "error":
            pair.error = stream
        else:
            pair.data = stream
            self._by_data[stream] = pair
        if pair.error and pair.data:
            del self._pairs[key]
            tasks.create_task(self._forward(pair))

    async def _forward(self, pair: _Pair) -> None:
        try:
            reader, writer = await self._connect(pair.port)
        except OSError as error:
            text = f"error forwarding port {pair.port} to pod: {error}"
            with contextlib.suppress(ConnectionError):
                await self._duplex.write(spdy.data(pair.error, text.encode(), end=True))
                await self._duplex.write(spdy.data(pair.data, b"", end=True))
            return
        finally:
            self._by_data.setdefault(pair.data, pair)
        try:
            await self._pump(pair, reader, writer)
        finally:
            writer.close()
            del self._by_data[pair.data]

    async def _pump(self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inbound = asyncio.create_task(_deliver(pair.arrived, writer))
        try:
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(_CHUNK):
                    await self._duplex.write(spdy.data(pair.data, data))
                await self._duplex.write(spdy.data(pair.data, b"", end=True))
                await self._duplex.write(spdy.data(pair.error, b"", end=True))
        finally:
            inbound.cancel()


async def _deliver(arrived: "asyncio.Queue[bytes | None]", writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while (data := await arrived.get()) is not None:
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def _channels(duplex: Duplex, ports: list[int], connect: Connect) -> None:
    """WebSocket: two channels a port, data and error; the first message on each is the port's number."""

    async def send(channel: int, payload: bytes) -> None:
        await duplex.write(websocket.frame(websocket.Opcode.BINARY, bytes([channel]) + payload))

    queues: list[asyncio.Queue[bytes | None]] = [asyncio.Queue() for _ in ports]

    async def serve(index: int, port: int) -> None:
        for channel in (2 * index, 2 * index + 1):
            await send(channel, struct.pack("<H", port))
        try:
            reader, writer = await connect(port)
        except OSError as error:
            await send(2 * index + 1, f"error forwarding port {port} to pod: {error}".encode())
            return
        inbound = asyncio.create_task(_deliver(queues[index], writer))
        try:
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(_CHUNK):
                    await send(2 * index, data)
        finally:
            inbound.cancel()
            writer.close()

    serving = [asyncio.create_task(serve(index, port)) for index, port in enumerate(ports)]
    incoming = websocket.Reader()
    try:
        while data := await duplex.read():
            for message in incoming.feed(data):
                if message.opcode is websocket.Opcode.CLOSE:
                    return
                if message.opcode is websocket.Opcode.BINARY and message.data and message.data[0] % 2 == 0:
                    queues[message.data[0] // 2].put_nowait(message.data[1:])
    finally:
        for task in serving:
            task.cancel()
