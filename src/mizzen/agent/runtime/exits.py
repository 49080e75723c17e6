"""Exit files as they appear: one inotify watch for all containers of the node."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from mizzen.agent.runtime import syscalls

_ID_LENGTH = 64


class Exits:
    """Which containers have ended, and who waits for which; monitors write one file per ended container."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._fresh: asyncio.Queue[str] = asyncio.Queue()
        self._fd = syscalls.inotify_open()
        syscalls.inotify_watch(self._fd, str(directory), syscalls.IN_MOVED_TO | syscalls.IN_CLOSE_WRITE)
        asyncio.get_running_loop().add_reader(self._fd, self._readable)

    async def names(self) -> AsyncIterator[str]:
        """Containers as they end; all that have ended come once more when the kernel has lost count of them."""
        while True:
            yield await self._fresh.get()

    async def wait(self, container: str, patience: float) -> bool:
        """Wait for one container to end; False when it still runs after `patience` seconds."""
        if (self._directory / container).exists():
            return True
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(container, []).append(waiter)
        if (self._directory / container).exists():
            return True
        try:
            await asyncio.wait_for(waiter, patience)
        except TimeoutError:
            return False
        return True

    def forget(self, container: str) -> None:
        """Drop the file of a container that is removed; whoever still waits is let go."""
        (self._directory / container).unlink(missing_ok=True)
        self._wake(container)

    def close(self) -> None:
        """Stop watching."""
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            names, are_all = syscalls.inotify_names(os.read(self._fd, 65536))
            for name in names if are_all else [path.name for path in self._directory.iterdir()]:
                # The monitor writes beside the final name first.
                if len(name) == _ID_LENGTH:
                    self._wake(name)
                    self._fresh.put_nowait(name)

    def _wake(self, container: str) -> None:
        for waiter in self._waiters.pop(container, ()):
            if not waiter.done():
                waiter.set_result(None)
