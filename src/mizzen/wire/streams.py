"""What happens on the streams of an HTTP/2 connection, and on what terms."""

from dataclasses import dataclass

import msgspec

from mizzen.wire.hpack import Headers


@dataclass(frozen=True, slots=True)
class Terms:
    """What one side lets the other do."""

    at_once: int = 256
    """Streams that a client may have open."""
    first_window: int = 4 << 20
    """Bytes that may be sent on every stream before more are granted."""
    window: int = 4 << 20
    """Bytes that may be on their way on a stream that was granted more."""
    granted_at_once: int = 256
    """Streams that are granted more at a time; the others wait for their turn."""
    link_window: int = 16 << 20
    """Bytes that may be on their way on all streams together."""
    header_bytes: int = 256 << 10
    """Bytes that the headers of a request may come to."""
    nuisances: int = 1 << 60
    """Frames that make work and carry nothing: how many are borne between two calls of `forgive`."""


class HeadersReceived(msgspec.Struct, frozen=True):
    """The first headers of a stream, or the last."""

    number: int
    fields: Headers


class TooManyHeaders(msgspec.Struct, frozen=True):
    """The first headers of a stream were more than the terms allow."""

    number: int


class DataReceived(msgspec.Struct, frozen=True):
    """Bytes of a body."""

    number: int
    data: bytes


class StreamEnded(msgspec.Struct, frozen=True):
    """The other side has said all."""

    number: int


class StreamReset(msgspec.Struct, frozen=True):
    """Nothing more is to be done for a stream."""

    number: int
    code: int


class GoingAway(msgspec.Struct, frozen=True):
    """The other side takes no more streams; of those after `last` it has done nothing."""

    last: int


Event = HeadersReceived | TooManyHeaders | DataReceived | StreamEnded | StreamReset | GoingAway
