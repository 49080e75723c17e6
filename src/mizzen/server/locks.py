"""One writer at a time per key, so that writers of the same object wait for each other instead of colliding."""

import asyncio
from collections import deque
from types import TracebackType


class KeyLocks:
    """`async with locks.hold(key)`; a key that nobody wants costs nothing."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}

    def hold(self, key: str) -> "Hold":
        """Wait for a key and keep it for the block."""
        return Hold(self, key)

    async def acquire(self, key: str) -> None:
        queue = self._queues.get(key)
        if queue is None:
            self._queues[key] = deque()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(key)
            raise

    def release(self, key: str) -> None:
        queue = self._queues[key]
        while queue:
            turn = queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._queues[key]


class Hold:
    """The block during which a key is held."""

    __slots__ = ("_key", "_locks")

    def __init__(self, locks: KeyLocks, key: str) -> None:
        self._locks = locks
        self._key = key

    async def __aenter__(self) -> None:
        await self._locks.acquire(self._key)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._locks.release(self._key)
