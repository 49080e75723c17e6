"""What the user sees while waiting: one line that says what is being waited for, plain lines where nobody watches."""

import sys
import time
from types import TracebackType
from typing import Any, Self


class Progress:
    """A spinner with the current step on a terminal; elsewhere each step on a line with the seconds so far."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._last = ""
        self._status: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console  # lazily: 90 ms that scripts need not pay

            self._status = Console(stderr=True).status("starting")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def say(self, step: str) -> None:
        """Show what is being waited for now."""
        if step == self._last:
            return
        self._last = step
        if self._status is not None:
            self._status.update(step)
        else:
            print(f"[{time.monotonic() - self._started:5.1f} s] {step}", file=sys.stderr, flush=True)
