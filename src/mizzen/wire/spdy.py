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
MAX_FRAME: Final = 16 * 1024 * 1024


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
        match kind:
            case 1:
                stream = struct.unpack_from("!I", body)[0] & 0x7FFFFFFF
                yield StreamOpened(stream, self._headers(body[10:]), bool(flags & _FIN))
            case 3:
                yield StreamReset(struct.unpack_from("!I", body)[0] & 0x7FFFFFFF)
            case 6:
                yield Pinged(_control_frame(_PING, 0, body))
            case 7:
                yield GoneAway()
            case 2 | 8:
                # Nobody answers us, but the compression's state must follow.
                self._headers(body[4:])

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            plain = self._inflate.decompress(block)
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
        pairs = tuple((headers or {}).items())
        plain = struct.pack("!I", len(pairs)) + b"".join(_packed(part) for pair in pairs for part in pair)
        block = self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _control_frame(_SYN_REPLY, 0, struct.pack("!I", stream) + block)


def data(stream: int, payload: bytes, *, end: bool = False) -> bytes:
    """Bytes for a stream; `end`: nothing follows."""
    return struct.pack("!II", stream, (_FIN if end else 0) << 24 | len(payload)) + payload


def reset(stream: int, status: int = 5) -> bytes:
    """Give a stream up; 5 is CANCEL."""
    return _control_frame(_RST_STREAM, 0, struct.pack("!II", stream, status))


def goaway(last_stream: int = 0) -> bytes:
    """The connection ends in good order."""
    return _control_frame(_GOAWAY, 0, struct.pack("!II", last_stream, 0))


def _control_frame(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack("!HHI", 0x8003, kind, flags << 24 | len(body)) + body


def _packed(text: str) -> bytes:
    return struct.pack("!I", len(text.encode())) + text.encode()


def _text(plain: bytes, at: int) -> tuple[str, int]:
    size = struct.unpack_from("!I", plain, at)[0]
    return plain[at + 4 : at + 4 + size].decode("utf-8", "replace"), at + 4 + size
