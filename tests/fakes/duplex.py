"""A connection in memory: two ends, each a Duplex, with the flow control that a socket has."""

import asyncio
from collections import deque


class Half:
    """Bytes one way."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.chunks: deque[bytes] = deque()
        self.ended = False
        self.changed = asyncio.Event()

    @property
    def size(self) -> int:
        return sum(map(len, self.chunks))

    def change(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class MemoryDuplex:
    """One end; `lost` of both ends returns when either is closed."""

    def __init__(self, incoming: Half, outgoing: Half, gone: asyncio.Event) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._gone = gone

    async def read(self) -> bytes:
        while not self._incoming.chunks and not self._incoming.ended:
            await self._incoming.changed.wait()
        data = b"".join(self._incoming.chunks)
        self._incoming.chunks.clear()
        self._incoming.change()
        return data

    async def write(self, data: bytes) -> None:
        if self._outgoing.ended or self._gone.is_set():
            raise ConnectionResetError("the connection is closed")
        self._outgoing.chunks.append(data)
        self._outgoing.change()
        while self._outgoing.size > self._outgoing.limit and not self._gone.is_set():
            await self._outgoing.changed.wait()

    async def lost(self) -> None:
        await self._gone.wait()

    def close(self) -> None:
        for half in (self._incoming, self._outgoing):
            half.ended = True
            half.change()
        self._gone.set()

    def abort(self) -> None:
        self._outgoing.chunks.clear()
        self.close()


def connected(limit: int = 1 << 20) -> tuple[MemoryDuplex, MemoryDuplex]:
    """Both ends of a new connection."""
    there, back, gone = Half(limit), Half(limit), asyncio.Event()
    return MemoryDuplex(back, there, gone), MemoryDuplex(there, back, gone)
