"""What one side of an HTTP/2 connection has to send, and when it may: windows, and bodies that take turns.

Bodies wait by reference until somebody with room for them pulls. Ref: RFC 9113, 5.2
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from mizzen.wire import frames, hpack
from mizzen.wire.frames import LARGEST, ProtocolError, frame, head
from mizzen.wire.hpack import Headers

_TURN: Final = 64 << 10
"""Bytes that a body may send before the next one's turn."""


class Sending:
    """What is sent on one stream."""

    __slots__ = ("ends", "has_ended", "is_queued", "number", "size", "trailers", "waiting", "window")

    def __init__(self, number: int, window: int) -> None:
        self.number = number
        self.window = window
        """Bytes that may be sent."""
        self.waiting: deque[bytes | memoryview] = deque()
        self.size = 0
        """Bytes that wait."""
        self.trailers: Headers | None = None
        self.ends = False
        """What waits is the last."""
        self.has_ended = False
        """All has been said, or nothing more is to be."""
        self.is_queued = False


class Outflow:
    """All that waits to be sent. `ended` are the streams that have said all; whoever looks there empties it."""

    def __init__(self) -> None:
        self._out: list[bytes | memoryview] = []
        self._turns: deque[Sending] = deque()
        """Streams with something to send, and a window for it."""
        self._window = frames.DEFAULT_WINDOW
        self._before_block = b""
        self.waiting_bytes = 0
        """Bytes that wait on all streams."""
        self.frames_sent = 0
        """Frames of bodies."""
        self.ended: list[int] = []

    @property
    def has_output(self) -> bool:
        """Whether a pull would find something."""
        return bool(self._out) or (bool(self._turns) and self._window > 0)

    def say(self, data: bytes) -> None:
        """Send frames that need no window."""
        self._out.append(data)

    def headers(self, stream: Sending, block: bytes, *, ends: bool) -> None:
        """Send headers, encoded; `ends`: and nothing else."""
        if self._before_block:
            block, self._before_block = self._before_block + block, b""
        kind, flags = frames.HEADERS, frames.ENDS if ends else 0
        while len(block) > LARGEST:
            self._out.append(frame(kind, flags, stream.number, block[:LARGEST]))
            block, kind, flags = block[LARGEST:], frames.CONTINUATION, 0
        self._out.append(head(len(block), kind, flags | frames.COMPLETE, stream.number) + block)
        if ends:
            self._say_no_more(stream)

    def body(self, stream: Sending, pieces: Sequence[bytes], *, ends: bool) -> None:
        """Let these bytes follow, when their turn comes; `ends`: they are the last, but for trailers."""
        size = sum(map(len, pieces))
        if size:
            stream.waiting += pieces
            stream.size += size
            self.waiting_bytes += size
        stream.ends = ends
        if stream.size:
            self._queue(stream)
        elif ends:
            self._end(stream)

    def drop(self, stream: Sending) -> None:
        """Send nothing more on a stream."""
        self.waiting_bytes -= stream.size
        stream.waiting.clear()
        stream.size = 0
        stream.has_ended = True

    def forgo_table(self) -> None:
        """Tell the other side with the next headers that the table, which is not used, has no bytes from now on."""
        self._before_block = b"\x20"

    def widen_all(self, size: int) -> None:
        """So many more bytes may be sent on all streams together. Raises ProtocolError."""
        self._window = _widened(self._window, size)

    def widen(self, stream: Sending, size: int) -> None:
        """So many more bytes, or fewer, may be sent on a stream. Raises ProtocolError."""
        stream.window = _widened(stream.window, size)
        if stream.size:
            self._queue(stream)

    def pull(self, most: int) -> bytes:
        """What is to be sent now: what needs no window, and of bodies about as many bytes as are asked for."""
        out, turns = self._out, self._turns
        while turns and most > 0 and self._window > 0:
            stream = turns.popleft()
            most -= self._send_some(stream, min(_TURN, most))
            if stream.size and stream.window > 0:
                turns.append(stream)
            else:
                stream.is_queued = False
        data = b"".join(out)
        out.clear()
        return data

    def _queue(self, stream: Sending) -> None:
        """Let a stream have its turn, if it may send anything."""
        if stream.window > 0 and not stream.is_queued:
            stream.is_queued = True
            self._turns.append(stream)

    def _send_some(self, stream: Sending, most: int) -> int:
        """Frames of a body that come to about so many bytes; answers how many they are."""
        sent = 0
        while stream.size and sent < most:
            size = min(stream.size, LARGEST, self._window, stream.window)
            if size <= 0:
                break
            ends = stream.ends and size == stream.size and stream.trailers is None
            self._out.append(head(size, frames.DATA, frames.ENDS if ends else 0, stream.number))
            self._move(stream.waiting, size)
            self._window -= size
            stream.window -= size
            stream.size -= size
            self.waiting_bytes -= size
            self.frames_sent += 1
            sent += size
            if ends:
                self._say_no_more(stream)
        if stream.ends and not stream.size and not stream.has_ended:
            self._end(stream)
        return sent

    def _move(self, waiting: deque[bytes | memoryview], size: int) -> None:
        """Take so many bytes out of those that wait."""
        while size:
            piece = waiting.popleft()
            if len(piece) > size:
                view = memoryview(piece)
                waiting.appendleft(view[size:])
                piece = view[:size]
            self._out.append(piece)
            size -= len(piece)

    def _end(self, stream: Sending) -> None:
        """Say that nothing more comes, once all has been sent."""
        if stream.trailers is not None:
            self.headers(stream, hpack.encode(stream.trailers), ends=True)
        else:
            self._out.append(head(0, frames.DATA, frames.ENDS, stream.number))
            self._say_no_more(stream)

    def _say_no_more(self, stream: Sending) -> None:
        stream.has_ended = True
        self.ended.append(stream.number)


def _widened(window: int, size: int) -> int:
    if window + size > frames.LAST_NUMBER:
        raise ProtocolError(frames.FLOW_CONTROL_ERROR, "a window that is too big")
    return window + size
