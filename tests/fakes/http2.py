"""A client of HTTP/2 made of another project's library, which tests can also make misbehave."""

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import h2.config
import h2.connection
import h2.events
import h2.settings
from h2.settings import SettingCodes

from mizzen.wire import frames

Pairs = list[tuple[str, str]]
PATIENCE = 10.0


@dataclass
class Stream:
    """What has come of one request so far."""

    headers: Pairs = field(default_factory=list)
    informational: Pairs = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        return int(dict(self.headers)[":status"])

    def header(self, name: str) -> str:
        return dict(self.headers).get(name, "")


class Client:
    """One connection. Windows are given back at once, but for the streams in `unread`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, **settings: int) -> None:
        self.reader, self.writer = reader, writer
        config = h2.config.H2Configuration(client_side=True, header_encoding="latin-1", validate_outbound_headers=False,
                                           normalize_outbound_headers=False)  # fmt: skip
        self.h2 = h2.connection.H2Connection(config)
        self.streams: defaultdict[int, Stream] = defaultdict(Stream)
        self.unread: set[int] = set()
        self.gone: tuple[int, int] | None = None
        """The last stream that the server has taken, and why it goes."""
        self.pongs = 0
        self.closed = False
        self._news = asyncio.Condition()
        self._frames = frames.Reader(awaits_preface=False)
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings({SettingCodes[name.upper()]: value for name, value in settings.items()})
        self.send()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, port: int, tls: ssl.SSLContext | None = None, **settings: int) -> Self:
        if tls is None:
            tls = ssl.create_default_context()
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        tls.set_alpn_protocols(["h2", "http/1.1"])
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        return cls(reader, writer, **settings)

    async def __aenter__(self) -> Self:
        return self

    async def stop_reading(self) -> None:
        """Take nothing more of what the server sends."""
        self._reading.cancel()
        await asyncio.wait([self._reading])
        assert isinstance(self.writer.transport, asyncio.Transport)
        self.writer.transport.pause_reading()

    async def __aexit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading
        self.writer.transport.abort()

    def send(self) -> None:
        """Send what the library has to say."""
        if data := self.h2.data_to_send():
            self.writer.write(data)

    def begin(self, method: str, path: str, *more: tuple[str, str], ends: bool = True) -> int:
        """Send the headers of a request; answers the number of its stream."""
        number = self.h2.get_next_available_stream_id()
        first = [(":method", method), (":scheme", "https"), (":authority", "127.0.0.1"), (":path", path)]
        self.h2.send_headers(number, [*first, *more], end_stream=ends)
        self.send()
        return number

    async def ask(self, method: str, path: str, *more: tuple[str, str], body: bytes | None = None) -> Stream:
        """A whole request, and its whole answer."""
        number = self.begin(method, path, *more, ends=body is None)
        if body is not None:
            await self.upload(number, body)
        return await self.ended(number)

    async def upload(self, number: int, body: bytes) -> None:
        """Send a body as fast as it is allowed to be, its end included."""
        while body and self.streams[number].reset is None:
            room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size)
            if room > 0:
                self.h2.send_data(number, body[:room])
                self.send()
                body = body[room:]
            else:
                await self.until(lambda: self._may_send(number) or self.streams[number].reset is not None)
        if self.streams[number].reset is None:
            self.h2.end_stream(number)
            self.send()

    def _may_send(self, number: int) -> bool:
        return self.h2.local_flow_control_window(number) > 0

    async def ended(self, number: int) -> Stream:
        """A stream that has come to its end, one way or another."""
        stream = self.streams[number]
        await self.until(lambda: stream.ended or stream.reset is not None or self.closed)
        return stream

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when something holds that depends on what arrives. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(holds)

    async def _read(self) -> None:
        with suppress(ConnectionError):
            while data := await self.reader.read(65536):
                for kind, flags, number, payload in self._frames.feed(data):
                    if kind == frames.GOAWAY:  # after it the library reads no more
                        self.gone = int.from_bytes(payload[:4], "big"), int.from_bytes(payload[4:8], "big")
                        continue
                    for event in self.h2.receive_data(frames.frame(kind, flags, number, payload)):
                        self._take(event)
                self.send()
                async with self._news:
                    self._news.notify_all()
        self.closed = True
        async with self._news:
            self._news.notify_all()

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.InformationalResponseReceived():
                self.streams[event.stream_id].informational = list(event.headers)
            case h2.events.ResponseReceived():
                self.streams[event.stream_id].headers = list(event.headers)
            case h2.events.DataReceived():
                self.streams[event.stream_id].body += event.data
                if event.stream_id not in self.unread:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                self.streams[event.stream_id].ended = True
            case h2.events.StreamReset():
                self.streams[event.stream_id].reset = int(event.error_code)
            case h2.events.PingAckReceived():
                self.pongs += 1
