"""Cron schedules: five fields, names, steps, `@hourly` and friends, in any time zone.

Ref: https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-syntax
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from mizzen.machinery.times import parse_duration

_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = {
    name: n
    for n, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)
}
_DAYS = {name: n for n, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, _MONTHS),
    (0, 7, _DAYS),
)
_HORIZON_DAYS = 5 * 366


@dataclass(frozen=True, slots=True)
class Schedule:
    """The minutes, hours, days, months and weekdays that match; a day matches by either day field if both are set."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool
    every: float = 0.0
    """`@every 90s`: seconds between runs; the fields then mean nothing."""

    def next(self, after: float, zone: str | None = None) -> float | None:
        """The first time later than `after`, in seconds since the epoch; None when there is none for years."""
        if self.every:
            return after + self.every - after % 1
        place: tzinfo = ZoneInfo(zone) if zone else UTC
        start = datetime.fromtimestamp(after, place)
        day = start.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        earliest = start.hour - 1  # one more, for clocks that are set back
        for _ in range(_HORIZON_DAYS):
            if self._matches_day(day):
                for moment in self._moments(day, place, earliest):
                    if moment > after:
                        return moment
            day += timedelta(days=1)
            earliest = 0
        return None

    def _matches_day(self, day: datetime) -> bool:
        if day.month not in self.months:
            return False
        by_day = day.day in self.days
        by_weekday = day.isoweekday() % 7 in self.weekdays
        return (by_day and by_weekday) if self.any_day or self.any_weekday else (by_day or by_weekday)

    def _moments(self, day: datetime, place: tzinfo, earliest: int) -> Iterator[float]:
        """The matching moments of a day in order: a clock change skips some, or makes them happen twice."""
        here, there = (one.replace(tzinfo=place).utcoffset() for one in (day, day + timedelta(days=1)))
        if here != there:
            hours = self.hours  # of a day whose clocks change all moments are put in order
            yield from sorted({one for hour in hours for one in self._of_hour(day, place, hour)})
            return
        for hour in sorted(hour for hour in self.hours if hour >= earliest):
            yield from self._of_hour(day, place, hour)

    def _of_hour(self, day: datetime, place: tzinfo, hour: int) -> Iterator[float]:
        for minute in sorted(self.minutes):
            local = day.replace(hour=hour, minute=minute, tzinfo=place)
            for moment in dict.fromkeys((local.timestamp(), local.replace(fold=1).timestamp())):
                back = datetime.fromtimestamp(moment, place)
                if (back.hour, back.minute) == (hour, minute):
                    yield moment


@lru_cache(maxsize=1024)
def parse(text: str) -> Schedule:
    """Raises: ValueError."""
    if text.startswith("@every "):
        return _every(text.removeprefix("@every "))
    fields = _ALIASES.get(text, text).split()
    if len(fields) != 5:
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
    minutes, hours, days, months, weekdays = (
        _field(one, low, high, names) for one, (low, high, names) in zip(fields, _FIELDS, strict=True)
    )
    folded = frozenset(day % 7 for day in weekdays)
    starred = [one[0] in "*?" for one in fields]
    return Schedule(minutes, hours, days, months, folded, starred[2], starred[4])


def _every(text: str) -> Schedule:

    nothing: frozenset[int] = frozenset()
    return Schedule(nothing, nothing, nothing, nothing, nothing, True, True, max(1.0, parse_duration(text)))


def _field(text: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if step and (not step.isdecimal() or int(step) == 0):
            raise ValueError(f"step of range should be a positive number: {part}")
        if span in ("*", "?"):
            first, last = low, min(high, 6) if high == 7 else high
        else:
            start, _, end = span.partition("-")
            first = _number(start, names)
            last = _number(end, names) if end else (high if step else first)
        if not low <= first <= last <= high:
            raise ValueError(f"value out of range ({low} - {high}): {part}")
        found.update(range(first, last + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, names: dict[str, int]) -> int:
    known = names.get(text.lower())
    if known is not None:
        return known
    if not text.isdecimal():
        raise ValueError(f"failed to parse int from {text}")
    return int(text)
