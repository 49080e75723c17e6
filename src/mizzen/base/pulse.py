"""Notices time that passed without this process: it hung, the machine slept, or somebody set the clock."""

from collections.abc import Callable
from typing import Final

from mizzen.base import log
from mizzen.base.clock import Clock

BEAT: Final = 10.0
"""Seconds between two looks; shorter absences harm nobody, for every deadline of silence is much longer."""
_LATE: Final = 5.0
"""Seconds that a look may be late, and that the two clocks of a machine may part, before it means something."""
_log = log.get("pulse")


class Pulse:
    """Watches one clock. `jumped` is called when the time of day has jumped against the time that has passed."""

    def __init__(self, clock: Clock) -> None:
        self.jumped: list[Callable[[], None]] = []
        self._clock = clock
        self._beat = self._since = clock.monotonic()
        self._ahead = clock.now() - self._beat

    def awake(self) -> tuple[float, float]:
        """What time it is and since when this process has been there without a break, both monotonic seconds."""
        now = self._clock.monotonic()
        if now - self._beat > BEAT + _LATE:
            _log.warning("was away", seconds=round(now - self._beat, 1))
            self._since = now
        self._beat = now
        return now, self._since

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            now, _ = self.awake()
            ahead = self._clock.now() - now
            if abs(ahead - self._ahead) > _LATE:
                _log.warning("the time of day has jumped", seconds=round(ahead - self._ahead, 1))
                for call in self.jumped:
                    call()
            self._ahead = ahead
            await self._clock.sleep(BEAT)
