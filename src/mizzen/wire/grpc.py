"""What gRPC adds to HTTP/2: the headers of a call, messages with their lengths, and how a call has ended.

Ref: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

import math
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote

from mizzen.wire.hpack import Headers

CODES: Final = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
"""Names of the status codes, by their numbers."""
LIMIT: Final = 64 << 20
"""Bytes that a message may have."""
_HTTP: Final = {
    "400": "INTERNAL", "401": "UNAUTHENTICATED", "403": "PERMISSION_DENIED", "404": "UNIMPLEMENTED",
    "429": "UNAVAILABLE", "502": "UNAVAILABLE", "503": "UNAVAILABLE", "504": "UNAVAILABLE",
}  # fmt: skip
_PREFIX: Final = 5
_MOST_DIGITS: Final = 10**8
_READABLE: Final = " !\"#$&'()*+,/:;<=>?@[\\]^`{|}~"
"""What stands for itself in a status message, beside letters, digits and `-._`."""


class Malformed(Exception):
    """What arrived is no message; `code` is what a caller is told."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def request(path: str, authority: str, timeout: float | None) -> Headers:
    """The headers that open a call; `timeout` in seconds, if any."""
    limit = [("grpc-timeout", _timeout(timeout))] if timeout is not None else []
    return [
        (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", authority),
        ("te", "trailers"), ("content-type", "application/grpc"), ("user-agent", "mizzen"), *limit,
    ]  # fmt: skip


def _timeout(seconds: float) -> str:
    milliseconds = max(1, math.ceil(seconds * 1000))
    return f"{milliseconds}m" if milliseconds < _MOST_DIGITS else f"{min(math.ceil(seconds), _MOST_DIGITS - 1)}S"


def response() -> Headers:
    """The headers that begin an answer."""
    return [(":status", "200"), ("content-type", "application/grpc")]


def trailers(code: str = "OK", message: str = "") -> Headers:
    """The headers that end an answer."""
    shown = [("grpc-message", quote(message, safe=_READABLE))] if message else []
    return [("grpc-status", str(CODES.index(code))), *shown]


def outcome(headers: Mapping[str, str]) -> tuple[str, str]:
    """Code and message of a call that has ended, by all the headers that were seen of its answer."""
    number = headers.get("grpc-status", "")
    if number.isdigit():
        code = CODES[int(number)] if int(number) < len(CODES) else "UNKNOWN"
        return code, unquote(headers.get("grpc-message", ""))
    status = headers.get(":status", "")
    if status and status != "200":
        return _HTTP.get(status, "UNKNOWN"), f"unexpected HTTP status code received from server: {status}"
    return "INTERNAL", "server closed the stream without sending trailers"


def framed(message: bytes) -> bytes:
    """A message with its length, uncompressed."""
    return b"\0" + len(message).to_bytes(4, "big") + message


class Messages:
    """Takes messages out of the bytes of a stream."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete now. Raises Malformed."""
        buffer = self._buffer
        buffer += data
        found = []
        while len(buffer) >= _PREFIX:
            size = int.from_bytes(buffer[1:_PREFIX], "big")
            if buffer[0]:
                raise Malformed("UNIMPLEMENTED", "compressed messages are not supported")
            if size > LIMIT:
                raise Malformed("RESOURCE_EXHAUSTED", f"received message larger than max ({size} vs. {LIMIT})")
            if len(buffer) < _PREFIX + size:
                break
            found.append(bytes(buffer[_PREFIX : _PREFIX + size]))
            del buffer[: _PREFIX + size]
        return found
