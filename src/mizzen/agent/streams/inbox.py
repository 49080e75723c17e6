"""Bytes from a client on their way to a command or a connection; the client waits while too many are on it."""

import asyncio
from collections import deque
from typing import Final

LIMIT: Final = 1 << 20
PROBE_SECONDS: Final = 5.0
"""How often a client that is made to wait is probed: nothing else tells that it is gone, for its end is stuck behind
what it sent."""


class Inbox:
    """A queue of bytes with an end."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._discarding = False
        self._changed = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Whether the client is made to wait."""
        return self._size > self._limit

    async def put(self, data: bytes) -> None:
        """Add bytes, then wait while more than the limit are on their way."""
        if self._ended or self._discarding:
            return
        self._chunks.append(data)
        self._size += len(data)
        self._changed.set()
        while self.is_full and not self._discarding:
            self._changed.clear()
            await self._changed.wait()

    def end(self) -> None:
        """Nothing follows."""
        self._ended = True
        self._changed.set()

    def discard(self) -> None:
        """Nobody takes anything any more."""
        self._discarding = True
        self._chunks.clear()
        self._size = 0
        self._changed.set()

    async def get(self) -> bytes:
        """What has arrived; empty at the end."""
        while not self._chunks and not self._ended and not self._discarding:
            self._changed.clear()
            await self._changed.wait()
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        self._changed.set()
        return data
