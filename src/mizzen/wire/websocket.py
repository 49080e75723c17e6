"""WebSocket frames as a server sees them: bytes in, messages out; no sockets.

Ref: RFC 6455
"""

import base64
import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_MESSAGE: Final = 16 * 1024 * 1024
PROTOCOLS: Final = "sec-websocket-protocol"
TOKEN_PREFIX: Final = "base64url.bearer.authorization.k8s.io."
"""Before the token of a browser's client, which can send it in no other header than that of the subprotocols."""


class Opcode(IntEnum):
    """What a frame carries."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class ProtocolError(Exception):
    """The other side does not speak WebSocket as it should."""


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message, its fragments joined."""

    opcode: Opcode
    data: bytes


def is_upgrade(headers: Mapping[str, str]) -> bool:
    """Whether a request asks to become a WebSocket."""
    return headers.get("upgrade", "").lower() == "websocket" and "upgrade" in headers.get("connection", "").lower()


def offered(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The subprotocols that the client offers, best first; without its token."""
    names = (one.strip() for one in headers.get(PROTOCOLS, "").split(","))
    return tuple(name for name in names if name and not name.startswith(TOKEN_PREFIX))


def accept_headers(headers: Mapping[str, str], protocol: str) -> dict[str, str]:
    """The headers of the 101 answer."""
    key = headers.get("sec-websocket-key", "")
    digest = hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()
    answer = {
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-accept": base64.b64encode(digest).decode(),
    }
    if protocol:
        answer[PROTOCOLS] = protocol
    return answer


def frame(opcode: Opcode, data: bytes) -> bytes:
    """One unfragmented, unmasked frame, as servers send them."""
    size = len(data)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, size)
    elif size < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 127, size)
    return head + data


def close_frame(code: int = 1000, reason: str = "") -> bytes:
    return frame(Opcode.CLOSE, struct.pack("!H", code) + reason.encode()[:123])


def close_code(message: Message) -> int:
    """The code that a CLOSE message gives; 1005 when it gives none."""
    return int.from_bytes(message.data[:2], "big") if len(message.data) >= 2 else 1005


class Reader:
    """Joins bytes to frames and frames to messages; clients must mask theirs."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._parts: list[bytes] = []
        self._size = 0
        self._opcode: Opcode | None = None

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are complete now. Raises ProtocolError."""
        self._buffer += data
        while (found := self._frame()) is not None:
            final, opcode, payload = found
            if opcode >= Opcode.CLOSE:
                yield Message(opcode, payload)
                continue
            if (opcode is Opcode.CONTINUATION) != (self._opcode is not None):
                raise ProtocolError("a message begins inside another, or goes on without a beginning")
            first = opcode if self._opcode is None else self._opcode
            self._parts.append(payload)
            self._size += len(payload)
            if self._size > MAX_MESSAGE:
                raise ProtocolError("message too large")
            if final:
                whole = b"".join(self._parts) if len(self._parts) > 1 else payload
                self._parts, self._size, self._opcode = [], 0, None
                yield Message(first, whole)
            else:
                self._opcode = first

    def _frame(self) -> tuple[bool, Opcode, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        final, opcode = _checked_head(buffer[0], buffer[1])
        size, at = buffer[1] & 0x7F, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(buffer) < at + width:
                return None
            size, at = int.from_bytes(buffer[at : at + width], "big"), at + width
        if size > MAX_MESSAGE:
            raise ProtocolError("frame too large")
        end = at + 4 + size
        if len(buffer) < end:
            return None
        payload = _unmasked(bytes(buffer[at + 4 : end]), bytes(buffer[at : at + 4]))
        del buffer[:end]
        return final, opcode, payload


def _checked_head(first: int, second: int) -> tuple[bool, Opcode]:
    """Whether a frame ends its message, and what it carries. Raises ProtocolError."""
    try:
        opcode = Opcode(first & 0x0F)
    except ValueError as error:
        raise ProtocolError(f"unknown opcode {first & 0x0F}") from error
    final = bool(first & 0x80)
    if first & 0x70:
        raise ProtocolError("extensions were not agreed on")
    if not second & 0x80:
        raise ProtocolError("a client's frame is not masked")
    if opcode >= Opcode.CLOSE and (not final or second & 0x7F > 125):
        raise ProtocolError("a control frame is too long or fragmented")
    return final, opcode


def _unmasked(data: bytes, mask: bytes) -> bytes:
    """XOR with the repeated mask, as one big number: the fastest way without an extension."""
    size = len(data)
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(repeated, "little")).to_bytes(size, "little")
