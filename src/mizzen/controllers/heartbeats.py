"""How long nodes have been silent, by this process's own time: a node's clock may be wrong, and any may be set anew.

Time in which this process was not there itself does not count: nobody could have been heard.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_LIMIT: Final = 20_000
"""Nodes that are remembered; past it all are heard of anew."""

Awake = Callable[[], tuple[float, float]]
"""What time it is, and since when this process has been there without a break; both monotonic seconds."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """A node's latest sign of life as it is stamped, when that came, and when it was last looked for."""

    stamp: float
    at: float
    looked: float


class Heartbeats:
    """What has been heard of each node."""

    def __init__(self, awake: Awake) -> None:
        self._awake = awake
        self._heard: dict[str, _Heard] = {}

    def silence(self, name: str, stamp: float, now: float) -> float:
        """Seconds since a node was heard of, whose latest sign of life is stamped so; `now` is the time of day."""
        passed, since = self._awake()
        known = self._heard.get(name)
        if known is None:
            at = passed
        elif known.stamp == stamp:
            at = known.at
        else:  # it came since the last look: when, the stamp tells, as far as it can be true
            at = passed - min(max(0.0, now - stamp), passed - known.looked)
        if len(self._heard) >= _LIMIT:
            self._heard.clear()
        found = self._heard[name] = _Heard(stamp, max(at, since), passed)
        return passed - found.at
