"""Work on files that another machine serves: it may never answer, and then only whoever asked waits."""

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def aside(work: Callable[[], T]) -> "asyncio.Future[T]":
    """Do the work in a thread of its own, which neither takes others' place nor holds up the end of the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(settle: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(lambda: None if done.done() else settle())

    def run() -> None:
        try:
            result = work()
        except Exception as error:
            tell(functools.partial(done.set_exception, error))
        else:
            tell(functools.partial(done.set_result, result))

    threading.Thread(target=run, name="aside", daemon=True).start()
    return done
