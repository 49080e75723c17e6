"""A coroutine on a loop of its own, in a thread that lives in another network namespace."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mizzen.agent.network.netlink import inside


def settled(work: Callable[[], object], wanted: object) -> None:
    """Retry until what runs in the background has caught up: within milliseconds, or never."""
    seen: object = None
    for _ in range(300):
        try:
            seen = work()
        except OSError as error:
            seen = error
        if seen == wanted:
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"still {seen!r}, not {wanted!r}")


class Background:
    """`with Background(netns, work):` runs `work()` meanwhile, and cancels it at the end."""

    def __init__(self, netns: Path, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._started = threading.Event()
        self._work = work
        self._thread = threading.Thread(target=lambda: inside(netns, lambda: asyncio.run(self._main())), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(5)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.call(self._task.cancel)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def call(self, work: Callable[[], Any]) -> None:
        """Run something on the loop."""
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (work(), done.set()))
        assert done.wait(5)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._work())
        await asyncio.sleep(0)
        self._started.set()
        await asyncio.gather(self._task, return_exceptions=True)
