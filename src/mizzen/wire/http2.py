"""One HTTP/2 connection, seen from either end: bytes in and events out, flow control included, no pushes.

Ref: RFC 9113
"""

from dataclasses import dataclass, field
from typing import Final

from mizzen.wire import hpack
from mizzen.wire.hpack import Headers

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _PRIORITY, _RESET, _SETTINGS, _PUSH, _PING, _GOAWAY, _WINDOW, _CONTINUATION = range(10)
_ENDS, _ACK, _COMPLETE, _PADDED, _WITH_PRIORITY = 0x01, 0x01, 0x04, 0x08, 0x20
_MAY_PUSH, _MOST_STREAMS, _FIRST_WINDOW, _FRAME_SIZE = 2, 3, 4, 5
"""Settings that are sent or heeded."""
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = range(4)
FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 6, 7, 8, 9, 11
_HEAD: Final = 9
_LARGEST: Final = 16384
"""Bytes of a frame that this side takes."""
_LARGEST_BLOCK: Final = 256 << 10
_DEFAULT_WINDOW, _WINDOW_LIMIT = 65535, (1 << 31) - 1
_STREAM_WINDOW, _LINK_WINDOW = 4 << 20, 16 << 20
"""Bytes that the other side may send before more are granted."""
_AT_ONCE: Final = 256
"""Streams that a client may have open."""
_LAST_NUMBER: Final = (1 << 31) - 1


class ProtocolError(Exception):
    """The other side broke the rules: what is left in `out` says so, then the connection ends."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class HeadersReceived:
    """The first headers of a stream, or the last."""

    number: int
    fields: Headers


@dataclass(frozen=True, slots=True)
class DataReceived:
    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The other side has said all."""

    number: int


@dataclass(frozen=True, slots=True)
class StreamReset:
    number: int
    code: int


@dataclass(frozen=True, slots=True)
class GoingAway:
    """The other side takes no more streams; of those after `last` it has done nothing."""

    last: int


Event = HeadersReceived | DataReceived | StreamEnded | StreamReset | GoingAway


@dataclass(slots=True)
class _Stream:
    window: int
    """Bytes that may be sent."""
    waiting: bytearray = field(default_factory=bytearray)
    trailers: Headers | None = None
    ends: bool = False
    """What waits is the last."""
    has_ended: bool = False
    """This side has said all."""
    is_heard: bool = False
    """The other side has."""
    ungranted: int = 0
    """Bytes that have arrived since the last grant."""


class Connection:  # shape: what a side does, and what each frame means
    """The state of one side. `out` is what must be sent; whoever sends it clears it."""

    def __init__(self, *, is_client: bool) -> None:
        self._is_client = is_client
        self._buffer = bytearray()
        self._headers = hpack.Decoder()
        self._streams: dict[int, _Stream] = {}
        self._next = 1
        self._last_heard = 0
        self._awaits_preface = not is_client
        self._knows_settings = False
        self._block: tuple[int, bool, bytearray] | None = None
        """Stream, whether it ends, and what there is of a header block that goes on."""
        self._window = self._first_window = _DEFAULT_WINDOW
        self._frame_size = _LARGEST
        self._most = _LAST_NUMBER
        self._ungranted = 0
        self.is_open = True
        """Whether new streams can be opened."""
        self.out = bytearray()
        self._begin()

    @property
    def has_room(self) -> bool:
        """Whether the other side takes one more stream by now."""
        return len(self._streams) < self._most

    def open(self, headers: Headers, body: bytes) -> int:
        """Send a whole request; answers the number of its stream."""
        number, self._next = self._next, self._next + 2
        self.is_open = self.is_open and self._next < _LAST_NUMBER
        self._streams[number] = _Stream(self._first_window, bytearray(body), ends=True)
        self._send_headers(number, headers, ends=not body)
        self._pump(number)
        return number

    def answer(self, number: int, headers: Headers, body: bytes, trailers: Headers) -> None:
        """Send a whole answer; one that nobody waits for any more is dropped."""
        if (stream := self._streams.get(number)) is not None and stream.trailers is None:
            self._send_headers(number, headers, ends=False)
            stream.waiting += body
            stream.trailers, stream.ends = trailers, True
            self._pump(number)

    def reset(self, number: int, code: int = CANCEL) -> None:
        """Give up a stream, unless it has ended."""
        if self._streams.pop(number, None) is not None:
            self._frame(_RESET, 0, number, code.to_bytes(4, "big"))

    def receive(self, data: bytes) -> list[Event]:
        """What these bytes mean. Raises ProtocolError."""
        self._buffer += data
        events: list[Event] = []
        try:
            while (frame := self._next_frame()) is not None:
                self._take(*frame, events)
        except ProtocolError as error:
            self.is_open = False
            self._frame(_GOAWAY, 0, 0, self._last_heard.to_bytes(4, "big") + error.code.to_bytes(4, "big"))
            raise
        return events

    # Sending

    def _begin(self) -> None:
        settings = {_FIRST_WINDOW: _STREAM_WINDOW, **({_MAY_PUSH: 0} if self._is_client else {_MOST_STREAMS: _AT_ONCE})}
        if self._is_client:
            self.out += PREFACE
        said = b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in settings.items())
        self._frame(_SETTINGS, 0, 0, said)
        self._grant(0, _LINK_WINDOW - _DEFAULT_WINDOW)

    def _frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        self.out += len(payload).to_bytes(3, "big") + bytes((kind, flags)) + number.to_bytes(4, "big") + payload

    def _grant(self, number: int, size: int) -> None:
        self._frame(_WINDOW, 0, number, size.to_bytes(4, "big"))

    def _send_headers(self, number: int, headers: Headers, *, ends: bool) -> None:
        block = hpack.encode(headers)
        kind, flags = _HEADERS, _ENDS if ends else 0
        while len(block) > self._frame_size:
            self._frame(kind, flags, number, block[: self._frame_size])
            block, kind, flags = block[self._frame_size :], _CONTINUATION, 0
        self._frame(kind, flags | _COMPLETE, number, block)
        if ends:
            self._say_no_more(number)

    def _pump(self, number: int) -> None:
        """Send what the other side has room for."""
        stream = self._streams.get(number)
        if stream is None or stream.has_ended:
            return
        while stream.waiting:
            size = min(len(stream.waiting), self._frame_size, self._window, stream.window)
            if size <= 0:
                return
            chunk = bytes(stream.waiting[:size])
            del stream.waiting[:size]
            self._window -= size
            stream.window -= size
            ends = stream.ends and not stream.waiting and stream.trailers is None
            self._frame(_DATA, _ENDS if ends else 0, number, chunk)
            if ends:
                self._say_no_more(number)
        if stream.trailers is not None:
            self._send_headers(number, stream.trailers, ends=True)

    def _say_no_more(self, number: int) -> None:
        stream = self._streams[number]
        stream.has_ended = True
        if stream.is_heard:
            del self._streams[number]

    # Receiving

    def _next_frame(self) -> tuple[int, int, int, bytes] | None:
        buffer = self._buffer
        if self._awaits_preface:
            if not PREFACE.startswith(buffer[: len(PREFACE)]):
                raise ProtocolError(PROTOCOL_ERROR, "the client does not speak HTTP/2")
            if len(buffer) < len(PREFACE):
                return None
            del buffer[: len(PREFACE)]
            self._awaits_preface = False
        if len(buffer) < _HEAD:
            return None
        size = int.from_bytes(buffer[:3], "big")
        if size > _LARGEST:
            raise ProtocolError(FRAME_SIZE_ERROR, f"a frame of {size} bytes")
        if len(buffer) < _HEAD + size:
            return None
        kind, flags, number = buffer[3], buffer[4], int.from_bytes(buffer[5:_HEAD], "big") & _LAST_NUMBER
        payload = bytes(buffer[_HEAD : _HEAD + size])
        del buffer[: _HEAD + size]
        return kind, flags, number, payload

    def _take(self, kind: int, flags: int, number: int, payload: bytes, events: list[Event]) -> None:
        if not self._knows_settings and (kind != _SETTINGS or flags & _ACK):
            raise ProtocolError(PROTOCOL_ERROR, "the first frame does not tell settings")
        if (self._block is not None) != (kind == _CONTINUATION):
            raise ProtocolError(PROTOCOL_ERROR, "a header block is interrupted")
        if (kind in {_DATA, _HEADERS, _RESET, _CONTINUATION}) > (number != 0):
            raise ProtocolError(PROTOCOL_ERROR, "a frame of no stream")
        match kind:
            case 0:
                self._take_data(flags, number, payload, events)
            case 1:
                inner = _unpadded(flags, payload)
                if flags & _WITH_PRIORITY:
                    inner = inner[5:]
                self._block = (number, bool(flags & _ENDS), bytearray(inner))
                self._take_block(flags, number, b"", events)
            case 9:
                self._take_block(flags, number, payload, events)
            case 3:
                if self._streams.pop(number, None) is not None:
                    events.append(StreamReset(number, _number(payload, 4)))
            case 4:
                self._take_settings(flags, payload)
            case 6:
                if len(payload) != 8:
                    raise ProtocolError(FRAME_SIZE_ERROR, "a ping has eight bytes")
                if not flags & _ACK:
                    self._frame(_PING, _ACK, 0, payload)
            case 7:
                self._take_farewell(payload, events)
            case 8:
                self._take_window(number, _number(payload, 4) & _LAST_NUMBER)
            case 5:
                raise ProtocolError(PROTOCOL_ERROR, "pushes are switched off")
            case _:
                pass  # priorities, and what is not known

    def _take_data(self, flags: int, number: int, payload: bytes, events: list[Event]) -> None:
        self._ungranted += len(payload)
        if self._ungranted > _LINK_WINDOW:
            raise ProtocolError(FLOW_CONTROL_ERROR, "more bytes than were granted")
        if self._ungranted >= _LINK_WINDOW // 2:
            self._grant(0, self._ungranted)
            self._ungranted = 0
        stream = self._streams.get(number)
        if stream is None or stream.is_heard:
            return  # given up meanwhile
        stream.ungranted += len(payload)
        if stream.ungranted > _STREAM_WINDOW:
            raise ProtocolError(FLOW_CONTROL_ERROR, "more bytes than were granted")
        if stream.ungranted >= _STREAM_WINDOW // 2 and not flags & _ENDS:
            self._grant(number, stream.ungranted)
            stream.ungranted = 0
        if data := _unpadded(flags, payload):
            events.append(DataReceived(number, data))
        if flags & _ENDS:
            self._hear_no_more(number, events)

    def _take_block(self, flags: int, number: int, payload: bytes, events: list[Event]) -> None:
        assert self._block is not None
        begun, ends, block = self._block
        block += payload
        if begun != number:
            raise ProtocolError(PROTOCOL_ERROR, "a header block is interrupted")
        if len(block) > _LARGEST_BLOCK:
            raise ProtocolError(ENHANCE_YOUR_CALM, "too many headers")
        if not flags & _COMPLETE:
            return
        self._block = None
        try:
            fields = self._headers.decode(bytes(block))
        except hpack.Undecodable as error:
            raise ProtocolError(COMPRESSION_ERROR, str(error)) from error
        if not self._is_client and number > self._last_heard:
            self._last_heard = number
            if number % 2 == 0:
                raise ProtocolError(PROTOCOL_ERROR, "streams of clients have odd numbers")
            if len(self._streams) >= _AT_ONCE:
                self._frame(_RESET, 0, number, REFUSED_STREAM.to_bytes(4, "big"))
                return
            self._streams[number] = _Stream(self._first_window)
        if (stream := self._streams.get(number)) is not None and not stream.is_heard:
            events.append(HeadersReceived(number, fields))
            if ends:
                self._hear_no_more(number, events)

    def _hear_no_more(self, number: int, events: list[Event]) -> None:
        stream = self._streams[number]
        stream.is_heard = True
        if self._is_client and not stream.has_ended:  # it has its answer, and needs no more of the request
            self.reset(number, NO_ERROR)
        elif stream.has_ended:
            del self._streams[number]
        events.append(StreamEnded(number))

    def _take_settings(self, flags: int, payload: bytes) -> None:
        self._knows_settings = True
        if flags & _ACK:
            return
        if len(payload) % 6:
            raise ProtocolError(FRAME_SIZE_ERROR, "a setting is cut off")
        for at in range(0, len(payload), 6):
            key, value = int.from_bytes(payload[at : at + 2], "big"), int.from_bytes(payload[at + 2 : at + 6], "big")
            if key == _MOST_STREAMS:
                self._most = value
            elif key == _FRAME_SIZE:
                self._frame_size = min(max(value, _LARGEST), (1 << 24) - 1)
            elif key == _FIRST_WINDOW:
                if value > _WINDOW_LIMIT:
                    raise ProtocolError(FLOW_CONTROL_ERROR, "a window that is too big")
                for stream in self._streams.values():
                    stream.window += value - self._first_window
                self._first_window = value
        self._frame(_SETTINGS, _ACK, 0, b"")
        self._pump_all()

    def _take_farewell(self, payload: bytes, events: list[Event]) -> None:
        last = _number(payload[:4], 4) & _LAST_NUMBER
        self.is_open = False
        for number in [one for one in self._streams if self._is_client and one > last]:
            del self._streams[number]
        events.append(GoingAway(last))

    def _take_window(self, number: int, size: int) -> None:
        if number == 0:
            self._window += size
            if self._window > _WINDOW_LIMIT or not size:
                raise ProtocolError(FLOW_CONTROL_ERROR, "a window that is too big")
            self._pump_all()
        elif (stream := self._streams.get(number)) is not None:
            stream.window += size
            self._pump(number)

    def _pump_all(self) -> None:
        for number in list(self._streams):
            self._pump(number)


def _number(payload: bytes, size: int) -> int:
    if len(payload) != size:
        raise ProtocolError(FRAME_SIZE_ERROR, "a frame of the wrong size")
    return int.from_bytes(payload, "big")


def _unpadded(flags: int, payload: bytes) -> bytes:
    if not flags & _PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise ProtocolError(PROTOCOL_ERROR, "more padding than there is room for")
    return payload[1 : len(payload) - payload[0]]
