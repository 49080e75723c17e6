"""Frames of HTTP/2: what they are called, how they are written, and how they are found in the bytes that arrive.

Ref: RFC 9113, 4 and 6
"""

from struct import Struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
ENDS, ACK, COMPLETE, PADDED, WITH_PRIORITY = 0x01, 0x01, 0x04, 0x08, 0x20
TABLE_SIZE, MAY_PUSH, MOST_STREAMS, FIRST_WINDOW, FRAME_SIZE, LIST_SIZE = 1, 2, 3, 4, 5, 6
"""Settings that are sent or heeded."""
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = range(4)
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = range(5, 10)
ENHANCE_YOUR_CALM, HTTP_1_1_REQUIRED = 11, 13
LARGEST: Final = 16384
"""Bytes of a frame that everybody takes, and the most that this side takes and sends: others wait for a frame."""
LAST_NUMBER: Final = (1 << 31) - 1
DEFAULT_WINDOW: Final = 65535
HEAD: Final = Struct(">BHBBL")
"""A frame's length in two parts, its kind, flags and stream."""

Frame = tuple[int, int, int, bytes]
"""Kind, flags, stream, payload."""


class ProtocolError(Exception):
    """The other side broke the rules: it is told so with this code, then the connection ends."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def head(size: int, kind: int, flags: int, number: int) -> bytes:
    """What stands before a payload of so many bytes."""
    return HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, number)


def frame(kind: int, flags: int, number: int, payload: bytes) -> bytes:
    """A whole frame."""
    return head(len(payload), kind, flags, number) + payload


def number(payload: bytes, size: int = 4) -> int:
    """The one number that a payload is. Raises ProtocolError."""
    if len(payload) != size:
        raise ProtocolError(FRAME_SIZE_ERROR, "a frame of the wrong size")
    return int.from_bytes(payload, "big")


def unpadded(flags: int, payload: bytes) -> bytes:
    """A payload without its padding. Raises ProtocolError."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise ProtocolError(PROTOCOL_ERROR, "more padding than there is room for")
    return payload[1 : len(payload) - payload[0]]


def settings(pairs: dict[int, int]) -> bytes:
    """A frame that tells settings."""
    said = b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in pairs.items())
    return frame(SETTINGS, 0, 0, said)


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """What a settings frame tells, in its order. Raises ProtocolError for what must not be."""
    if len(payload) % 6:
        raise ProtocolError(FRAME_SIZE_ERROR, "a setting is cut off")
    said = []
    for at in range(0, len(payload), 6):
        key, value = int.from_bytes(payload[at : at + 2], "big"), int.from_bytes(payload[at + 2 : at + 6], "big")
        if key == FIRST_WINDOW and value > LAST_NUMBER:
            raise ProtocolError(FLOW_CONTROL_ERROR, "a window that is too big")
        if (key == MAY_PUSH and value > 1) or (key == FRAME_SIZE and not LARGEST <= value < 1 << 24):
            raise ProtocolError(PROTOCOL_ERROR, "a setting that cannot be")
        said.append((key, value))
    return said


class Reader:
    """Finds the frames in what arrives; before them the preface, where a client must send one."""

    def __init__(self, *, awaits_preface: bool) -> None:
        self._rest = b""
        self._awaits_preface = awaits_preface

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete now, and of one that breaks the rules no more. Raises ProtocolError."""
        if self._rest:
            data = self._rest + data
        at = 0
        if self._awaits_preface:
            if not PREFACE.startswith(data[: len(PREFACE)]):
                raise ProtocolError(PROTOCOL_ERROR, "the client does not speak HTTP/2")
            if len(data) < len(PREFACE):
                self._rest = data
                return []
            at, self._awaits_preface = len(PREFACE), False
        found: list[Frame] = []
        end, unpack = len(data), HEAD.unpack_from
        while at + HEAD.size <= end:
            high, low, kind, flags, stream = unpack(data, at)
            size = high << 16 | low
            if size > LARGEST:
                raise ProtocolError(FRAME_SIZE_ERROR, f"a frame of {size} bytes")
            start, at = at + HEAD.size, at + HEAD.size + size
            if at > end:
                at = start - HEAD.size
                break
            found.append((kind, flags, stream & LAST_NUMBER, data[start:at]))
        self._rest = data[at:]
        return found
