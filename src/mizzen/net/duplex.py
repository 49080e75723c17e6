"""A raw connection in both directions, with flow control: what is left of HTTP after an upgrade."""

import asyncio
import select
from typing import Final

BUFFER_LIMIT: Final = 1024 * 1024
"""How many bytes wait in each direction before the other side is made to wait."""

LOOK_SECONDS: Final = 1.0
"""How often a connection that is not read for now is looked at for its end."""


class Flow:
    """Whether a transport takes more bytes now."""

    def __init__(self) -> None:
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False

    @property
    def blocked(self) -> bool:
        """Whether `writable` would wait or raise."""
        return self._waiter is not None or self._ended

    def pause(self) -> None:
        if self._waiter is None and not self._ended:
            self._waiter = asyncio.get_running_loop().create_future()

    def resume(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def end(self) -> None:
        self._ended = True
        self.resume()

    async def writable(self) -> None:
        """Return when the transport takes bytes again. Raises ConnectionResetError when it is gone."""
        if self._waiter is not None:
            await asyncio.shield(self._waiter)
        if self._ended:
            raise ConnectionResetError("the connection is closed")


class TransportDuplex:
    """`mizzen.wire.message.Duplex` over an asyncio transport; its protocol feeds what arrives."""

    def __init__(self, transport: asyncio.Transport, flow: Flow) -> None:
        self._transport = transport
        self._flow = flow
        self._chunks: list[bytes] = []
        self._size = 0
        self._ended = False
        self._arrived = asyncio.Event()
        self._lost = asyncio.Event()
        self._look: asyncio.TimerHandle | None = None

    def feed(self, data: bytes) -> None:
        self._chunks.append(data)
        self._size += len(data)
        if self._size > BUFFER_LIMIT:
            self._transport.pause_reading()
            self._look_later()
        self._arrived.set()

    def feed_end(self) -> None:
        self._ended = True
        self._arrived.set()

    def feed_lost(self) -> None:
        self.feed_end()
        self._lost.set()
        self._stop_looking()

    async def read(self) -> bytes:
        while not self._chunks:
            if self._ended:
                return b""
            self._arrived.clear()
            await self._arrived.wait()
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        if self._size > BUFFER_LIMIT and not self._transport.is_closing():
            self._transport.resume_reading()
            self._stop_looking()
        self._size = 0
        return data

    async def lost(self) -> None:
        await self._lost.wait()

    def _look_later(self) -> None:
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look_now)

    def _look_now(self) -> None:
        """A transport that does not read hears of no end: ask the socket itself."""
        self._look = None
        if self._transport.is_closing():
            return
        if _has_hung_up(self._transport):
            self._transport.abort()
        else:
            self._look_later()

    def _stop_looking(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None

    async def write(self, data: bytes) -> None:
        if self._transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        self._transport.write(data)
        await self._flow.writable()

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()


def _has_hung_up(transport: asyncio.Transport) -> bool:
    """Whether the other side is gone; under TLS also when it merely sends no more, since that is the same there."""
    socket = transport.get_extra_info("socket")
    if socket is None:
        return False
    poll = select.poll()
    poll.register(socket.fileno(), select.POLLRDHUP if transport.get_extra_info("ssl_object") is not None else 0)
    return bool(poll.poll(0))
