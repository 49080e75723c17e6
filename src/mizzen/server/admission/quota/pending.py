"""Reservations whose objects are on their way to the store, or have been there too shortly for counts to have them."""

from typing import Final

from mizzen.base.clock import Clock

SETTLED_SECONDS: Final = 0.25
"""How long a count takes at most, from what it looked at to its being written."""
_MANY: Final = 10_000

Quota = tuple[str, str]
"""Namespace and name."""


class Pending:
    """Per quota, how many reservations are on their way, and when the last one came to its end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[Quota, int] = {}
        self._ended: dict[Quota, float] = {}

    def begin(self, quota: Quota) -> None:
        """Something is about to be reserved."""
        self._open[quota] = self._open.get(quota, 0) + 1

    def end(self, quota: Quota) -> None:
        """What was reserved is stored, or was given up."""
        left = self._open.pop(quota) - 1
        if left:
            self._open[quota] = left
        if len(self._ended) > _MANY:
            self._ended = {known: at for known, at in self._ended.items() if self._is_recent(at)}
        self._ended[quota] = self._clock.monotonic()

    def has(self, quota: Quota) -> bool:
        """Whether a count may lack something that is reserved."""
        ended = self._ended.get(quota)
        return quota in self._open or (ended is not None and self._is_recent(ended))

    def _is_recent(self, ended: float) -> bool:
        return self._clock.monotonic() - ended < SETTLED_SECONDS
