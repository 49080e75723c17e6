"""One remote command's channels over whatever carries them: input and resizes come in, output and a status go out."""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from mizzen.machinery.errors import Object
from mizzen.wire import remotecommand, spdy, websocket
from mizzen.wire.message import Duplex
from mizzen.wire.remotecommand import CLOSE, ERROR, RESIZE, STDERR, STDIN, STDOUT

STREAM_SECONDS: Final = 30.0
"""How long a SPDY client may take to open its streams."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which channels the client asked for."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool


@dataclass(frozen=True, slots=True)
class Input:
    """Where a session puts what the client sends."""

    data: Callable[[bytes], Awaitable[None]]
    end: Callable[[], None]
    resize: Callable[[int, int], None]


class Session(Protocol):
    """One client's channels."""

    async def receive(self, into: Input) -> None:
        """Take what the client sends until it is gone. Raises ConnectionError, also for what makes no sense."""

    async def ping(self) -> None:
        """Send what a client that is gone refuses. Raises ConnectionError."""

    async def lost(self) -> None:
        """Return when the client is gone altogether, even while nothing is received from it."""

    async def ready(self) -> None:
        """Return when every channel is open. Raises ConnectionError when they never are."""

    async def send(self, channel: int, payload: bytes) -> None:
        """Send output. Raises ConnectionError when the client is gone."""

    async def finish(self, status: Object) -> None:
        """Tell how it ended, and say goodbye."""


class WebSocketSession:
    """Each message is one byte of channel and the rest payload, base64 in the older text protocols."""

    def __init__(self, duplex: Duplex, protocol: str) -> None:
        self._duplex = duplex
        self._protocol = protocol
        self._text = "base64" in protocol
        self._reader = websocket.Reader()
        self._has_said_goodbye = False

    async def receive(self, into: Input) -> None:
        try:
            while data := await self._duplex.read():
                for message in self._reader.feed(data):
                    if message.opcode is websocket.Opcode.CLOSE:
                        await self._say_goodbye()
                        return
                    await self._handle(message, into)
        except (websocket.ProtocolError, binascii.Error) as error:
            await self._duplex.write(websocket.close_frame(1002, str(error)))
            raise ConnectionResetError(str(error)) from error

    async def _handle(self, message: websocket.Message, into: Input) -> None:
        if message.opcode is websocket.Opcode.PING:
            await self._duplex.write(websocket.frame(websocket.Opcode.PONG, message.data))
        elif message.opcode in (websocket.Opcode.BINARY, websocket.Opcode.TEXT) and message.data:
            await self._take(message.data, into)

    async def ping(self) -> None:
        await self._duplex.write(websocket.frame(websocket.Opcode.PING, b""))

    async def lost(self) -> None:
        await self._duplex.lost()

    async def ready(self) -> None:
        # An empty message tells the client that the connection stands.
        await self.send(STDOUT, b"")

    async def _take(self, data: bytes, into: Input) -> None:
        channel, payload = (data[0] - 48, base64.b64decode(data[1:])) if self._text else (data[0], data[1:])
        if channel == STDIN and payload:
            await into.data(payload)
        elif channel == RESIZE and (size := remotecommand.window(payload)):
            into.resize(*size)
        elif channel == CLOSE and payload[:1] == bytes([STDIN]):
            into.end()

    async def send(self, channel: int, payload: bytes) -> None:
        if self._text:
            text = b"%d" % channel + base64.b64encode(payload)
            await self._duplex.write(websocket.frame(websocket.Opcode.TEXT, text))
        else:
            await self._duplex.write(websocket.frame(websocket.Opcode.BINARY, bytes([channel]) + payload))

    async def finish(self, status: Object) -> None:
        await self.send(ERROR, remotecommand.encoded_status(status, self._protocol.replace("base64.", "")))
        await self._say_goodbye()

    async def _say_goodbye(self) -> None:
        """Close, or answer that the client does, once."""
        if not self._has_said_goodbye:
            self._has_said_goodbye = True
            await self._duplex.write(websocket.close_frame())


class SpdySession:
    """Each channel is a stream that the client opens and names in the header `streamtype`."""

    _NAMES: Final = {"stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "error": ERROR, "resize": RESIZE}

    def __init__(self, duplex: Duplex, protocol: str, wanted: Wanted) -> None:
        self._duplex = duplex
        self._protocol = protocol
        self._connection = spdy.Connection()
        self._streams: dict[int, int] = {}
        self._numbers: dict[int, int] = {}
        self._opened = asyncio.Event()
        self._needed = {ERROR}
        self._needed |= {STDIN} if wanted.stdin else set()
        self._needed |= {STDOUT} if wanted.stdout else set()
        self._needed |= {STDERR} if wanted.stderr and not wanted.tty else set()

    async def receive(self, into: Input) -> None:
        try:
            while data := await self._duplex.read():
                for event in self._connection.feed(data):
                    await self._handle(event, into)
        except spdy.ProtocolError as error:
            await self._duplex.write(spdy.goaway(status=1))
            raise ConnectionResetError(str(error)) from error
        finally:
            self._opened.set()

    async def _handle(self, event: spdy.Event, into: Input) -> None:
        match event:
            case spdy.StreamOpened(stream, headers, _):
                await self._open(stream, headers)
            case spdy.DataReceived(stream, data, ended):
                channel = self._streams.get(stream)
                if channel == STDIN:
                    if data:
                        await into.data(data)
                    if ended:
                        into.end()
                elif channel == RESIZE and (size := remotecommand.window(data)):
                    into.resize(*size)
            case spdy.Pinged(answer):
                await self._duplex.write(answer)
            case spdy.StreamReset(stream):
                if self._streams.get(stream) == STDIN:
                    into.end()
            case spdy.GoneAway():
                pass

    async def _open(self, stream: int, headers: Mapping[str, str]) -> None:
        channel = self._NAMES.get(headers.get("streamtype", ""))
        if channel is None:
            await self._duplex.write(spdy.reset(stream, 3))
            return
        self._streams[stream] = channel
        self._numbers[channel] = stream
        await self._duplex.write(self._connection.reply(stream))
        if self._needed <= self._numbers.keys():
            self._opened.set()

    async def ping(self) -> None:
        await self._duplex.write(spdy.ping())

    async def lost(self) -> None:
        await self._duplex.lost()

    async def ready(self) -> None:
        try:
            async with asyncio.timeout(STREAM_SECONDS):
                await self._opened.wait()
        except TimeoutError as error:
            raise ConnectionResetError("the client opened too few streams") from error
        if not self._needed <= self._numbers.keys():
            raise ConnectionResetError("the client has left")

    async def send(self, channel: int, payload: bytes) -> None:
        stream = self._numbers.get(channel)
        if stream is not None:
            await self._duplex.write(spdy.data(stream, payload))

    async def finish(self, status: Object) -> None:
        for channel in (STDOUT, STDERR):
            if channel in self._numbers:
                await self._duplex.write(spdy.data(self._numbers[channel], b"", end=True))
        if ERROR in self._numbers:
            payload = remotecommand.encoded_status(status, self._protocol)
            await self._duplex.write(spdy.data(self._numbers[ERROR], payload, end=True))
        await self._duplex.write(spdy.goaway())
