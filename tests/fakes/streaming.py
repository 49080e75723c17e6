"""The client's side of WebSocket and SPDY, enough to talk to the node as kubectl does."""

import os
import struct
import zlib
from collections.abc import Mapping

from mizzen.wire import spdy, websocket
from mizzen.wire.websocket import Opcode


def masked(opcode: Opcode, data: bytes, *, final: bool = True, mask: bytes | None = None) -> bytes:
    """A frame as clients send it."""
    key = os.urandom(4) if mask is None else mask
    plain = websocket.frame(opcode, data)
    head_size = len(plain) - len(data)
    head = bytes([plain[0] & 0x7F | (0x80 if final else 0), plain[1] | 0x80]) + plain[2:head_size]
    return head + key + _mixed(data, key)


def _mixed(data: bytes, key: bytes) -> bytes:
    size = len(data)
    repeated = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")


class WebSocketClient:
    """Collects what a server sends: messages by channel, and the code it closes with."""

    def __init__(self) -> None:
        self._buffer = b""
        self.messages: list[tuple[int, bytes]] = []
        self.closed: int | None = None
        self.pings = 0
        self.pongs: list[bytes] = []

    def feed(self, data: bytes) -> None:
        self._buffer += data
        while (found := self._frame()) is not None:
            opcode, payload = found
            if opcode == Opcode.CLOSE:
                self.closed = struct.unpack("!H", payload[:2])[0] if payload else 1005
            elif opcode == Opcode.PING:
                self.pings += 1
            elif opcode == Opcode.PONG:
                self.pongs.append(payload)
            else:
                self.messages.append((payload[0], payload[1:]))

    def channel(self, number: int) -> bytes:
        return b"".join(payload for channel, payload in self.messages if channel == number)

    def _frame(self) -> tuple[int, bytes] | None:
        if len(self._buffer) < 2:
            return None
        size, at = self._buffer[1], 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(self._buffer[2 : 2 + width], "big"), 2 + width
        if len(self._buffer) < at + size:
            return None
        opcode, payload = self._buffer[0] & 15, self._buffer[at : at + size]
        self._buffer = self._buffer[at + size :]
        return opcode, payload


class SpdyClient:
    """Opens streams and collects what comes on them."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=spdy.DICTIONARY)
        self._inflate = zlib.decompressobj(zdict=spdy.DICTIONARY)
        self._buffer = b""
        self.replied: list[int] = []
        self.received: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.reset: list[int] = []
        self.pings = 0
        self.gone = False

    def syn(self, stream: int, headers: Mapping[str, str], *, end: bool = False) -> bytes:
        """The frame that opens a stream."""
        parts = [struct.pack("!I", len(headers))]
        for text in (part for pair in headers.items() for part in pair):
            parts.append(struct.pack("!I", len(text.encode())) + text.encode())
        block = self._deflate.compress(b"".join(parts)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return control(1, struct.pack("!IIH", stream, 0, 0) + block, flags=1 if end else 0)

    def feed(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 8:
            first, second = struct.unpack_from("!II", self._buffer)
            size, ends = second & 0xFFFFFF, bool(second >> 24 & 1)
            if len(self._buffer) < 8 + size:
                return
            body, self._buffer = self._buffer[8 : 8 + size], self._buffer[8 + size :]
            if not first >> 31:
                self.received[first] = self.received.get(first, b"") + body
                if ends:
                    self.ended.add(first)
                continue
            self._control(first & 0xFFFF, body)

    def _control(self, kind: int, body: bytes) -> None:
        if kind == 2:
            self.replied.append(struct.unpack_from("!I", body)[0])
            self._inflate.decompress(body[4:])
        elif kind == 3:
            self.reset.append(struct.unpack_from("!I", body)[0])
        elif kind == 6:
            self.pings += 1
        elif kind == 7:
            self.gone = True


def control(kind: int, body: bytes, *, flags: int = 0) -> bytes:
    """A control frame."""
    return struct.pack("!HHI", 0x8003, kind, flags << 24 | len(body)) + body
