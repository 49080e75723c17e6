"""SPDY/3.1 frames as a server sees them: streams with headers, data both ways; no sockets.

Only what remote commands and port forwarding use: SYN_STREAM, SYN_REPLY, DATA, RST_STREAM, PING, GOAWAY.
Ref: https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_WORDS: Final = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie "
    "keep-alive origin"
)
_TAIL: Final = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 "
    "Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 "
    "Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept "
    "Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,"
    "application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset="
    "utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY: Final = (
    b"".join(struct.pack("!I", len(word)) + word.encode() for word in (w.replace("_", " ") for w in _WORDS.split()))
    + _TAIL.encode()
)
"""What both sides prime their header compression with; its Adler-32 is 0xe3c6a7c2."""

_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _HEADERS, _WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
_FIN: Final = 1
_SHORTEST: Final = {_SYN_STREAM: 10, _SYN_REPLY: 4, _RST_STREAM: 8, _PING: 4, _GOAWAY: 4, _HEADERS: 4}
"""The bytes that a control frame must have for its fixed fields."""
MAX_FRAME: Final = 16 * 1024 * 1024
MAX_HEADERS: Final = 64 * 1024
"""How large the headers of one stream may be once they are unpacked."""


class ProtocolError(Exception):
    """The other side does not speak SPDY as it should."""


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The client opened a stream; it must be answered with `Connection.reply`."""

    stream: int
    headers: Mapping[str, str]
    ended: bool


@dataclass(frozen=True, slots=True)
class DataReceived:
    """Bytes on a stream; `ended`: the client sends no more on it."""

    stream: int
    data: bytes
    ended: bool


@dataclass(frozen=True, slots=True)
class StreamReset:
    """The client gave a stream up."""

    stream: int


@dataclass(frozen=True, slots=True)
class Pinged:
    """`answer` must be sent back."""

    answer: bytes


@dataclass(frozen=True, slots=True)
class GoneAway:
    """The client opens no more streams."""


Event = StreamOpened | DataReceived | StreamReset | Pinged | GoneAway


class Connection:
    """Both directions of one connection, with their header compression."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> Iterator[Event]:
        """What has happened. Raises ProtocolError."""
        self._buffer += data
        while len(self._buffer) >= 8:
            first, second = struct.unpack_from("!II", self._buffer)
            size = second & 0xFFFFFF
            if size > MAX_FRAME:
                raise ProtocolError("frame too large")
            if len(self._buffer) < 8 + size:
                return
            body = bytes(self._buffer[8 : 8 + size])
            del self._buffer[: 8 + size]
            flags = second >> 24
            if first >> 31:
                yield from self._control(first & 0xFFFF, flags, body)
            else:
                yield DataReceived(first & 0x7FFFFFFF, body, bool(flags & _FIN))

    def _control(self, kind: int, flags: int, body: bytes) -> Iterator[Event]:
        if len(body) < _SHORTEST.get(kind, 0):
            raise ProtocolError(f"control frame {kind} is too short")
        match kind:
            case 1:
                yield StreamOpened(_stream_of(body), self._headers(body[10:]), bool(flags & _FIN))
            case 3:
                yield StreamReset(_stream_of(body))
            case 6:
                # Clients count in odd numbers: an even one answers a ping of ours.
                if body[3] % 2:
                    yield Pinged(_control_frame(_PING, 0, body))
            case 7:
                yield GoneAway()
            case 2 | 8:
                # Nobody answers us, but the compression's state must follow.
                self._headers(body[4:])

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            plain = self._inflate.decompress(block, MAX_HEADERS)
            if self._inflate.unconsumed_tail:
                raise ProtocolError("headers too large")
            count, at = struct.unpack_from("!I", plain)[0], 4
            headers: dict[str, str] = {}
            for _ in range(count):
                name, at = _text(plain, at)
                value, at = _text(plain, at)
                headers[name.lower()] = value.split("\0")[0]
        except (zlib.error, struct.error) as error:
            raise ProtocolError(f"unreadable headers: {error}") from error
        return headers

    def reply(self, stream: int, headers: Mapping[str, str] | None = None) -> bytes:
        """Accept a stream."""
        return _control_frame(_SYN_REPLY, 0, struct.pack("!I", stream) + self._block(headers or {}))

    def open(self, stream: int, headers: Mapping[str, str]) -> bytes:
        """Open a stream, as a client does; its number is odd and larger than those before."""
        return _control_frame(_SYN_STREAM, 0, struct.pack("!IIH", stream, 0, 0) + self._block(headers))

    def _block(self, headers: Mapping[str, str]) -> bytes:
        pairs = tuple(headers.items())
        plain = struct.pack("!I", len(pairs)) + b"".join(_packed(part) for pair in pairs for part in pair)
        return self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def data(stream: int, payload: bytes, *, end: bool = False) -> bytes:
    """Bytes for a stream; `end`: nothing follows."""
    return struct.pack("!II", stream, (_FIN if end else 0) << 24 | len(payload)) + payload


def reset(stream: int, status: int = 5) -> bytes:
    """Give a stream up; 5 is CANCEL."""
    return _control_frame(_RST_STREAM, 0, struct.pack("!II", stream, status))


def ping() -> bytes:
    """Ask for a sign of life."""
    return _control_frame(_PING, 0, struct.pack("!I", 2))


def goaway(last_stream: int = 0, status: int = 0) -> bytes:
    """The connection ends: in good order, or with status 1 because the other side broke the protocol."""
    return _control_frame(_GOAWAY, 0, struct.pack("!II", last_stream, status))


def _control_frame(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack("!HHI", 0x8003, kind, flags << 24 | len(body)) + body


def _stream_of(body: bytes) -> int:
    number: int = struct.unpack_from("!I", body)[0]
    return number & 0x7FFFFFFF


def _packed(text: str) -> bytes:
    return struct.pack("!I", len(text.encode())) + text.encode()


def _text(plain: bytes, at: int) -> tuple[str, int]:
    size = struct.unpack_from("!I", plain, at)[0]
    if at + 4 + size > len(plain):
        raise ProtocolError("headers are cut off")
    return plain[at + 4 : at + 4 + size].decode("utf-8", "replace"), at + 4 + size
