"""The bytes of an HTTP/2 connection, moved for gRPC on either side of it."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol, assert_never, cast

from mizzen.wire import frames, http2, streams
from mizzen.wire.hpack import Headers

_RESETS = {
    frames.CANCEL: "CANCELLED",
    frames.REFUSED_STREAM: "UNAVAILABLE",
    frames.ENHANCE_YOUR_CALM: "RESOURCE_EXHAUSTED",
}
"""What the end of a stream means to a call; all else is INTERNAL."""


class Receiver(Protocol):
    """What takes in one stream; after `ended` or `broken` nothing more comes."""

    def headers(self, fields: Mapping[str, str]) -> None:
        """The first headers, or the last."""

    def data(self, chunk: bytes) -> None:
        """Bytes of the body."""

    def ended(self) -> None:
        """The other side has said all."""

    def broken(self, code: str, why: str, *, untouched: bool) -> None:
        """Nothing more is to be expected, with gRPC's name of the reason; `untouched`: nobody has worked on it."""


class Link(asyncio.Protocol):  # shape: the callbacks of a protocol, and what its streams do
    """One connection. `accept` makes the receiver of a stream that the other side opens; None: the client's end."""

    def __init__(self, accept: Callable[["Link", int], Receiver] | None = None) -> None:
        self._accept = accept
        self._http2 = http2.Connection(is_client=accept is None)
        self._transport: asyncio.Transport | None = None
        self._receivers: dict[int, Receiver] = {}
        self._room: list[asyncio.Future[None]] = []

    @property
    def is_open(self) -> bool:
        """Whether new streams can be opened."""
        return self._http2.is_open

    # The transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are not subclasses
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            events = self._http2.receive(data)
        except frames.ProtocolError as error:
            self._flush()
            self._end(f"the peer does not speak HTTP/2: {error}")
            return
        for event in events:
            self._take(event)
        self._make_room()
        self._flush()
        if not self.is_open and not self._receivers:
            self._end("the connection was closed")  # the other side has said that it goes, and nothing is left to do

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"error reading from server: {exc or 'EOF'}")

    # What streams do

    async def room(self) -> None:
        """Return when one more stream may be opened, or never can be."""
        while self.is_open and not self._http2.has_room:
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._room.append(waiting)
            await waiting

    def open(self, headers: Headers, body: bytes, receiver: Receiver) -> int:
        """Send a whole request; answers the number of its stream."""
        number = self._http2.open(headers, body)
        self._receivers[number] = receiver
        self._flush()
        return number

    def answer(self, number: int, headers: Headers, body: bytes, trailers: Headers) -> None:
        """Send a whole answer; one that nobody waits for any more is dropped."""
        self._receivers.pop(number, None)
        self._http2.answer(number, headers, body, trailers)
        self._flush()

    def give_up(self, number: int) -> None:
        """Nobody waits for a stream any more, if it has not ended."""
        if self._receivers.pop(number, None) is not None:
            self._http2.reset(number)
            self._make_room()
            self._flush()

    def close(self) -> None:
        """End the connection."""
        self._end("the connection was closed")

    # Inside

    def _take(self, event: streams.Event) -> None:
        match event:
            case streams.HeadersReceived(number, fields):
                if number not in self._receivers and self._accept is not None:
                    self._receivers[number] = self._accept(self, number)
                if (known := self._receivers.get(number)) is not None:
                    known.headers(dict(fields))
            case streams.DataReceived(number, data):
                if (known := self._receivers.get(number)) is not None:
                    known.data(data)
            case streams.StreamEnded(number):
                known = self._receivers.get(number)
                if self._accept is None:  # a server's side still has to answer
                    self._receivers.pop(number, None)
                if known is not None:
                    known.ended()
            case streams.TooManyHeaders(number):
                self._http2.reset(number, frames.ENHANCE_YOUR_CALM)
                self._break(number, "RESOURCE_EXHAUSTED", "more headers than are taken", untouched=False)
            case streams.StreamReset(number, code):
                why = f"stream terminated by RST_STREAM with error code: {code}"
                self._break(number, _RESETS.get(code, "INTERNAL"), why, untouched=code == frames.REFUSED_STREAM)
            case streams.GoingAway(last):
                if self._accept is None:
                    for number in [one for one in self._receivers if one > last]:
                        self._break(number, "UNAVAILABLE", "the server is closing the connection", untouched=True)
            case _:
                assert_never(event)

    def _break(self, number: int, code: str, why: str, *, untouched: bool) -> None:
        if (known := self._receivers.pop(number, None)) is not None:
            known.broken(code, why, untouched=untouched)

    def _make_room(self) -> None:
        if self.is_open and not self._http2.has_room:
            return
        waiting, self._room = self._room, []
        for one in waiting:
            if not one.done():
                one.set_result(None)

    def _end(self, why: str) -> None:
        self._http2.is_open = False
        if self._transport is not None:
            self._transport.close()
        for number in list(self._receivers):
            self._break(number, "UNAVAILABLE", why, untouched=False)
        self._make_room()

    def _flush(self) -> None:
        while self._http2.has_output:
            out = self._http2.pull()
            if self._transport is not None and not self._transport.is_closing():
                self._transport.write(out)
