"""One HTTP/2 connection, seen from either end: bytes in and events out, flow control included, no pushes.

What is to be sent is pulled by whoever has room for it. Ref: RFC 9113
"""

from collections.abc import Sequence
from typing import Final

from mizzen.wire import frames, hpack
from mizzen.wire.frames import LAST_NUMBER, ProtocolError, frame
from mizzen.wire.hpack import Headers
from mizzen.wire.outflow import Outflow, Sending
from mizzen.wire.streams import (
    DataReceived,
    Event,
    GoingAway,
    HeadersReceived,
    StreamEnded,
    StreamReset,
    Terms,
    TooManyHeaders,
)

_SMALL: Final = 64
"""Bytes of a body in a frame that is not worth its work, unless it is the last."""
_UPDATES: Final = 8
"""Grants that the other side may make for each frame of a body that it was sent: Go's does after four kilobytes."""


class _Stream(Sending):
    __slots__ = ("granted", "is_heard", "left")

    def __init__(self, number: int, window: int, left: int) -> None:
        super().__init__(number, window)
        self.left = left
        """Bytes that may still arrive."""
        self.is_heard = False
        """The other side has said all."""
        self.granted = False


class Connection:  # shape: what a side does, and what each frame means
    """The state of one side."""

    def __init__(self, *, is_client: bool, terms: Terms | None = None) -> None:
        self._is_client = is_client
        self._terms = terms if terms is not None else Terms()
        self._reader = frames.Reader(awaits_preface=not is_client)
        self._headers = hpack.Decoder(self._terms.header_bytes)
        self._streams: dict[int, _Stream] = {}
        self._outflow = Outflow()
        self._wanting: dict[int, None] = {}
        """Streams that wait to be granted more."""
        self._granted = 0
        self._next = 1
        self._last_heard = self._last_taken = 0
        self._knows_settings = False
        self._block: tuple[int, bool, bytearray] | None = None
        """Stream, whether it ends, and what there is of a header block that goes on."""
        self._first_window = frames.DEFAULT_WINDOW
        self._most = LAST_NUMBER
        self._ungranted = 0
        self._patience = self._updates = self._terms.nuisances
        self.is_open = True
        """Whether new streams can be opened."""
        self._begin()

    @property
    def has_room(self) -> bool:
        """Whether the other side takes one more stream by now."""
        return len(self._streams) < self._most

    @property
    def has_output(self) -> bool:
        """Whether there is something to pull."""
        return self._outflow.has_output

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait on all streams."""
        return self._outflow.waiting_bytes

    @property
    def is_idle(self) -> bool:
        """Whether no stream is open."""
        return not self._streams

    def is_live(self, number: int) -> bool:
        """Whether a stream is open, so that something may still be said on it."""
        stream = self._streams.get(number)
        return stream is not None and not stream.has_ended

    def waiting(self, number: int) -> int:
        """Bytes that wait for the other side to take them."""
        stream = self._streams.get(number)
        return stream.size if stream is not None else 0

    def unsent(self) -> dict[int, int]:
        """The streams on which something waits, and how many bytes that is."""
        return {number: stream.size for number, stream in self._streams.items() if stream.size}

    def open(self, headers: Headers, body: bytes) -> int:
        """Send a whole request; answers the number of its stream."""
        number, self._next = self._next, self._next + 2
        self.is_open = self.is_open and self._next < LAST_NUMBER
        self._streams[number] = _Stream(number, self._first_window, self._terms.first_window)
        self.begin(number, hpack.encode(headers), ends=not body)
        if body:
            self.send(number, (body,), ends=True)
        return number

    def answer(self, number: int, headers: Headers, body: bytes, trailers: Headers) -> None:
        """Send a whole answer; one that nobody waits for any more is dropped."""
        if self.is_live(number):
            self.begin(number, hpack.encode(headers), ends=False)
            self._streams[number].trailers = trailers
            self.send(number, (body,), ends=True)

    def begin(self, number: int, block: bytes, *, ends: bool) -> None:
        """Send headers, encoded; `ends`: and nothing else. Of a stream that is not live nothing is sent."""
        if (stream := self._streams.get(number)) is not None and not stream.ends and not stream.has_ended:
            self._outflow.headers(stream, block, ends=ends)
            self._settle()

    def send(self, number: int, pieces: Sequence[bytes], *, ends: bool) -> None:
        """Let these bytes follow, when their turn comes; `ends`: they are the last."""
        if (stream := self._streams.get(number)) is not None and not stream.ends and not stream.has_ended:
            self._outflow.body(stream, pieces, ends=ends)
            self._settle()

    def reset(self, number: int, code: int = frames.CANCEL) -> None:
        """Give up a stream, unless it has ended."""
        if self._forget(number):
            self._frame(frames.RESET, 0, number, code.to_bytes(4, "big"))

    def leave(self, code: int = frames.NO_ERROR) -> None:
        """Take no more streams; those that were taken go on."""
        self.is_open = False
        self._frame(frames.GOAWAY, 0, 0, self._last_taken.to_bytes(4, "big") + code.to_bytes(4, "big"))

    def forgive(self) -> None:
        """Begin anew to count what the other side does without need."""
        self._patience, self._updates = self._terms.nuisances, max(self._updates, self._terms.nuisances)

    def receive(self, data: bytes) -> list[Event]:
        """What these bytes mean. Raises ProtocolError, and nothing more should be received then."""
        events: list[Event] = []
        try:
            for one in self._reader.feed(data):
                self._take(*one, events)
        except ProtocolError as error:
            self.leave(error.code)
            raise
        return events

    def pull(self, most: int = 1 << 62) -> bytes:
        """What is to be sent now, with about so many bytes of bodies; more may be left."""
        outflow = self._outflow
        before = outflow.frames_sent
        data = outflow.pull(most)
        self._updates += (outflow.frames_sent - before) * _UPDATES
        self._settle()
        return data

    # Sending

    def _begin(self) -> None:
        terms, said = self._terms, {frames.FIRST_WINDOW: self._terms.first_window}
        if self._is_client:
            self._outflow.say(frames.PREFACE)
            said[frames.MAY_PUSH] = 0
        else:
            said |= {frames.MOST_STREAMS: terms.at_once, frames.LIST_SIZE: terms.header_bytes}
        self._outflow.say(frames.settings(said))
        self._grant(0, terms.link_window - frames.DEFAULT_WINDOW)

    def _frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        self._outflow.say(frame(kind, flags, number, payload))

    def _grant(self, number: int, size: int) -> None:
        self._frame(frames.WINDOW, 0, number, size.to_bytes(4, "big"))

    def _settle(self) -> None:
        """Do what follows when streams have said all."""
        ended = self._outflow.ended
        while ended:
            number = ended.pop()
            if self._streams[number].is_heard:
                self._forget(number)
            elif not self._is_client:
                self.reset(number, frames.NO_ERROR)  # the rest of the request would change nothing

    def _forget(self, number: int) -> bool:
        """Drop a stream, and let another have what it was granted; answers whether it was there."""
        stream = self._streams.pop(number, None)
        if stream is None:
            return False
        self._outflow.drop(stream)
        if self._wanting:
            self._wanting.pop(number, None)
        if stream.granted:
            self._granted -= 1
            self._grant_next()
        return True

    # Receiving

    def _take(self, kind: int, flags: int, number: int, payload: bytes, events: list[Event]) -> None:
        if not self._knows_settings and (kind != frames.SETTINGS or flags & frames.ACK):
            raise ProtocolError(frames.PROTOCOL_ERROR, "the first frame does not tell settings")
        if (self._block is not None) != (kind == frames.CONTINUATION):
            raise ProtocolError(frames.PROTOCOL_ERROR, "a header block is interrupted")
        if kind < frames.WINDOW and (kind in {frames.SETTINGS, frames.PING, frames.GOAWAY}) == (number != 0):
            raise ProtocolError(frames.PROTOCOL_ERROR, "a frame of no stream, or of one that cannot have it")
        match kind:
            case 0:
                self._take_data(flags, number, payload, events)
            case 1:
                inner = frames.unpadded(flags, payload)
                if flags & frames.WITH_PRIORITY:
                    self._check_priority(number, inner[:5])
                    inner = inner[5:]
                if flags & frames.COMPLETE:
                    self._take_headers(number, bool(flags & frames.ENDS), inner, events)
                else:
                    self._block = (number, bool(flags & frames.ENDS), bytearray(inner))
            case 9:
                self._take_block(flags, number, payload, events)
            case 8:
                self._take_window(number, frames.number(payload) & LAST_NUMBER)
            case 3:
                self._take_reset(number, frames.number(payload), events)
            case 4:
                self._take_settings(flags, payload)
            case 6:
                if len(payload) != 8:
                    raise ProtocolError(frames.FRAME_SIZE_ERROR, "a ping has eight bytes")
                if not flags & frames.ACK:
                    self._bear()
                    self._frame(frames.PING, frames.ACK, 0, payload)
            case 7:
                self._take_farewell(payload, events)
            case 5:
                raise ProtocolError(frames.PROTOCOL_ERROR, "pushes are switched off")
            case 2:
                self._bear()
                self._check_priority(number, payload)
            case _:
                self._bear()  # what is not known may be left alone

    def _bear(self) -> None:
        """Count a frame that makes work and carries nothing. Raises ProtocolError."""
        self._patience -= 1
        if self._patience < 0:
            raise ProtocolError(frames.ENHANCE_YOUR_CALM, "too many frames that carry nothing")

    def _check_priority(self, number: int, payload: bytes) -> None:
        if frames.number(payload, 5) >> 8 & LAST_NUMBER == number:
            raise ProtocolError(frames.PROTOCOL_ERROR, "a stream that depends on itself")

    def _is_idle(self, number: int) -> bool:
        """Whether a stream has not been opened yet."""
        if (number % 2 == 1) == self._is_client:
            return number >= self._next
        return number > self._last_heard

    def _take_data(self, flags: int, number: int, payload: bytes, events: list[Event]) -> None:
        terms, size = self._terms, len(payload)
        if size < _SMALL and not flags & frames.ENDS:
            self._bear()
        self._ungranted += size
        if self._ungranted > terms.link_window:
            raise ProtocolError(frames.FLOW_CONTROL_ERROR, "more bytes than were granted")
        if self._ungranted >= terms.link_window // 2:
            self._grant(0, self._ungranted)
            self._ungranted = 0
        stream = self._streams.get(number)
        data = frames.unpadded(flags, payload)
        if stream is None:
            if self._is_idle(number):
                raise ProtocolError(frames.PROTOCOL_ERROR, "bytes of a stream that was not opened")
            return  # given up meanwhile
        if stream.is_heard:
            self._reset_at_once(number, frames.STREAM_CLOSED, events)
            return
        stream.left -= size
        if stream.left < 0:
            raise ProtocolError(frames.FLOW_CONTROL_ERROR, "more bytes than were granted")
        if not flags & frames.ENDS and stream.left < terms.first_window // 2:
            self._want(number, stream)
        if data:
            events.append(DataReceived(number, data))
        if flags & frames.ENDS:
            self._hear_no_more(number, events)

    def _want(self, number: int, stream: _Stream) -> None:
        """Grant a stream more, now or when others have ended."""
        if stream.granted or self._granted < self._terms.granted_at_once:
            self._granted += not stream.granted
            stream.granted = True
            self._grant(number, self._terms.window - stream.left)
            stream.left = self._terms.window
        else:
            self._wanting[number] = None

    def _grant_next(self) -> None:
        if self._wanting:
            number = next(iter(self._wanting))
            del self._wanting[number]
            self._want(number, self._streams[number])

    def _take_block(self, flags: int, number: int, payload: bytes, events: list[Event]) -> None:
        assert self._block is not None
        begun, ends, block = self._block
        if begun != number:
            raise ProtocolError(frames.PROTOCOL_ERROR, "a header block is interrupted")
        if len(payload) < _SMALL and not flags & frames.COMPLETE:
            self._bear()
        block += payload
        if len(block) > self._terms.header_bytes:
            raise ProtocolError(frames.ENHANCE_YOUR_CALM, "too many headers")
        if flags & frames.COMPLETE:
            self._block = None
            self._take_headers(number, ends, bytes(block), events)

    def _take_headers(self, number: int, ends: bool, block: bytes, events: list[Event]) -> None:
        try:
            fields: Headers | None = self._headers.decode(block)
        except hpack.TooMany:
            fields = None
        except hpack.Undecodable as error:
            raise ProtocolError(frames.COMPRESSION_ERROR, str(error)) from error
        is_new = not self._is_client and number > self._last_heard
        if is_new and not self._accept(number):
            return
        stream = self._streams.get(number)
        if stream is None:
            if self._is_idle(number):
                raise ProtocolError(frames.PROTOCOL_ERROR, "headers of a stream that was not opened")
            self._bear()
        elif stream.is_heard:
            self._reset_at_once(number, frames.STREAM_CLOSED, events)
        elif not (is_new or ends or self._is_client):
            self._reset_at_once(number, frames.PROTOCOL_ERROR, events)
        else:
            events.append(HeadersReceived(number, fields) if fields is not None else TooManyHeaders(number))
            if ends:
                self._hear_no_more(number, events)

    def _accept(self, number: int) -> bool:
        """Begin a stream that a client opens, unless there are too many. Raises ProtocolError."""
        if number % 2 == 0:
            raise ProtocolError(frames.PROTOCOL_ERROR, "streams of clients have odd numbers")
        self._last_heard = number
        if not self.is_open:
            return False  # it has been told which stream is the last that is taken
        if len(self._streams) >= self._terms.at_once:
            self._bear()
            self._frame(frames.RESET, 0, number, frames.REFUSED_STREAM.to_bytes(4, "big"))
            return False
        self._last_taken = number
        self._streams[number] = _Stream(number, self._first_window, self._terms.first_window)
        return True

    def _reset_at_once(self, number: int, code: int, events: list[Event]) -> None:
        """End a stream on which the other side broke a rule."""
        self._bear()
        self.reset(number, code)
        events.append(StreamReset(number, code))

    def _hear_no_more(self, number: int, events: list[Event]) -> None:
        stream = self._streams[number]
        stream.is_heard = True
        self._wanting.pop(number, None)
        if stream.granted:
            stream.granted = False
            self._granted -= 1
            self._grant_next()
        if self._is_client and not stream.has_ended:  # it has its answer, and needs no more of the request
            self.reset(number, frames.NO_ERROR)
        elif stream.has_ended:
            self._forget(number)
        events.append(StreamEnded(number))

    def _take_reset(self, number: int, code: int, events: list[Event]) -> None:
        if self._is_idle(number):
            raise ProtocolError(frames.PROTOCOL_ERROR, "the end of a stream that was not opened")
        self._bear()
        if self._forget(number):
            events.append(StreamReset(number, code))

    def _take_settings(self, flags: int, payload: bytes) -> None:
        self._knows_settings = True
        if flags & frames.ACK:
            if payload:
                raise ProtocolError(frames.FRAME_SIZE_ERROR, "settings in the receipt for settings")
            return
        self._bear()
        for key, value in frames.read_settings(payload):
            if key == frames.MOST_STREAMS:
                self._most = value
            elif key == frames.FIRST_WINDOW:
                for stream in self._streams.values():
                    self._outflow.widen(stream, value - self._first_window)
                self._first_window = value
            elif key == frames.TABLE_SIZE:
                self._outflow.forgo_table()
        self._frame(frames.SETTINGS, frames.ACK, 0, b"")

    def _take_farewell(self, payload: bytes, events: list[Event]) -> None:
        last = frames.number(payload[:4]) & LAST_NUMBER
        self._bear()
        self.is_open = self.is_open and not self._is_client
        for number in [one for one in self._streams if self._is_client and one > last]:
            self._forget(number)
        events.append(GoingAway(last))

    def _take_window(self, number: int, size: int) -> None:
        self._updates -= 1
        if self._updates < 0:
            raise ProtocolError(frames.ENHANCE_YOUR_CALM, "more grants than were needed")
        stream = self._streams.get(number)
        if not size and (number == 0 or stream is not None):
            raise ProtocolError(frames.PROTOCOL_ERROR, "a grant of nothing")
        if number == 0:
            self._outflow.widen_all(size)
        elif stream is not None:
            self._outflow.widen(stream, size)
        elif self._is_idle(number):
            raise ProtocolError(frames.PROTOCOL_ERROR, "a grant to a stream that was not opened")
