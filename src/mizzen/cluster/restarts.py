"""A process that has crashed starts itself anew, in place: same pid, same arguments, a clean slate.

Crashes in quick succession are followed by ever longer pauses.
"""

import os
import sys
import time
from typing import Final, NoReturn

from mizzen.base import log

_COUNT: Final = "MIZZEN_RESTARTS"
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_CALM_SECONDS: Final = 60.0
"""A process that has run this long before it crashed starts counting from nothing."""

_log = log.get("restart")


def pause(crashes: int) -> float:
    """Seconds to wait after so many crashes in a row."""
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(crashes, 10))


def start_anew(ran_seconds: float) -> NoReturn:
    """Replace this process by a fresh one of itself."""
    crashes = 0 if ran_seconds > _CALM_SECONDS else int(os.environ.get(_COUNT, "0"))
    _log.warning("starting anew", crashes=crashes + 1, after=round(ran_seconds, 1))
    time.sleep(pause(crashes))
    os.environ[_COUNT] = str(crashes + 1)
    os.execv(sys.executable, [sys.executable, "-m", "mizzen", *sys.argv[1:]])
