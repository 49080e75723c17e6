"""A command that does what a test tells it to, as an Exec: the same contract as the real ones."""

import asyncio
from collections import deque
from typing import Literal


class FakeExec:
    """Echoes its input until that ends, unless told otherwise; `limit` bytes of input fit before the writer waits."""

    def __init__(self, *, code: int = 0, echo: bool = True, limit: int = 1 << 20) -> None:
        self.code = code
        self.echo = echo
        self.limit = limit
        self.taken = b""
        self.sizes: list[tuple[int, int]] = []
        self.stdin_closed = False
        self.closed = False
        self.waiting = asyncio.Event()
        self.ended = asyncio.Event()
        self._outputs: dict[str, deque[bytes]] = {"stdout": deque(), "stderr": deque()}
        self._ended = False
        self._changed = asyncio.Condition()

    async def print(self, data: bytes, stream: Literal["stdout", "stderr"] = "stdout") -> None:
        """Let it write something."""
        async with self._changed:
            self._outputs[stream].append(data)
            self._changed.notify_all()

    async def end(self, code: int) -> None:
        """Let it end by itself."""
        async with self._changed:
            self.code, self._ended = code, True
            self.ended.set()
            self._changed.notify_all()

    async def read(self, stream: Literal["stdout", "stderr"]) -> bytes:
        async with self._changed:
            await self._changed.wait_for(lambda: self._outputs[stream] or self._ended)
            return self._outputs[stream].popleft() if self._outputs[stream] else b""

    async def write(self, data: bytes) -> None:
        if self._ended:
            raise BrokenPipeError
        async with self._changed:
            if len(self.taken) + len(data) > self.limit:
                self.waiting.set()
            await self._changed.wait_for(lambda: len(self.taken) + len(data) <= self.limit or self._ended)
            if self._ended:
                raise BrokenPipeError
            self.taken += data
            if self.echo:
                self._outputs["stdout"].append(data)
            self._changed.notify_all()

    def close_stdin(self) -> None:
        self.stdin_closed = True
        self._ended = self.echo
        asyncio.get_running_loop().create_task(self._tell())

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def resize(self, columns: int, rows: int) -> None:
        self.sizes.append((columns, rows))

    async def wait(self) -> int:
        async with self._changed:
            await self._changed.wait_for(lambda: self._ended)
        return self.code

    async def close(self) -> None:
        self.closed = True
        await self.end(137 if not self._ended else self.code)
