"""Memory that nobody uses any more goes back to the system; the C library keeps what was freed between what is in use.

To look for it takes up to a tenth of a second where much is free, so it is done when there is little else to do.
Ref: malloc_trim(3).
"""

import time
from collections.abc import Callable
from typing import Final

from mizzen.base.clock import Clock

LOOK_SECONDS: Final = 15.0
WORK_SECONDS: Final = 1.0
"""Processor time after which there may be something to give back."""
QUIET_SHARE: Final = 0.1
"""Of one core; a process that uses less does not need at once what it has freed."""


class Trimmer:
    """Gives memory back once a process that has worked is quiet."""

    def __init__(self, used: float, trim: Callable[[], None]) -> None:
        self._trim = trim
        self._trimmed_at = self._looked_at = used

    def look(self, used: float, seconds: float) -> None:
        """`used` is the processor time of the process until now, `seconds` what has passed since the last look."""
        quiet, self._looked_at = used - self._looked_at <= QUIET_SHARE * seconds, used
        if quiet and used - self._trimmed_at >= WORK_SECONDS:
            self._trim()
            self._trimmed_at = used


async def tend(clock: Clock) -> None:
    """Give back the memory of this process, until cancelled; where there is another C library than glibc, none."""
    await clock.sleep(LOOK_SECONDS)
    import ctypes  # lazily: a process that has just begun has nothing to give

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        return
    trimmer = Trimmer(0.0, lambda: trim(0))
    while True:
        trimmer.look(time.process_time(), LOOK_SECONDS)
        await clock.sleep(LOOK_SECONDS)
