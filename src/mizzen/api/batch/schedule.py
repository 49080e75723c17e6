"""Cron schedules: what is wrong with one. When it is due is the controller's business.

Ref: https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-syntax
"""

import re
from functools import lru_cache

from mizzen.machinery import times

_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: i for i, name in enumerate(_MONTH_NAMES, 1)}
_DAYS = {name: i for i, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)
_DESCRIPTORS = frozenset(("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"))
_EVERY = "@every "
_zone_prefix = re.compile(r"(?:TZ|CRON_TZ)=(\S*)(?:\s+(.*))?", re.DOTALL).fullmatch
_zone_name = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*").fullmatch


class ScheduleError(ValueError):
    """A schedule that cannot be understood."""


def problem(schedule: str) -> str:
    """What is wrong with a schedule, the first thing only; nothing when it is fine."""
    try:
        _check(schedule)
    except ScheduleError as error:
        return str(error)
    return ""


def _check(schedule: str) -> None:
    if not schedule:
        raise ScheduleError("empty spec string")
    if match := _zone_prefix(schedule):
        if not is_time_zone(match[1]):
            raise ScheduleError(f"provided bad location {match[1]}: unknown time zone {match[1]}")
        schedule = (match[2] or "").strip()
    if schedule.startswith("@"):
        _check_descriptor(schedule)
        return
    fields = schedule.split()
    if len(fields) != len(_FIELDS):
        raise ScheduleError(f"expected exactly {len(_FIELDS)} fields, found {len(fields)}: [{' '.join(fields)}]")
    for text, (low, high, names) in zip(fields, _FIELDS, strict=True):
        for part in text.split(","):
            if part:
                _check_range(part, low, high, names)


def _check_descriptor(schedule: str) -> None:
    if schedule in _DESCRIPTORS:
        return
    if not schedule.startswith(_EVERY):
        raise ScheduleError(f"unrecognized descriptor: {schedule}")
    try:
        times.parse_duration(schedule.removeprefix(_EVERY))
    except ValueError as error:
        raise ScheduleError(f"failed to parse duration {schedule}: {error}") from None


def _check_range(part: str, low: int, high: int, names: dict[str, int]) -> None:
    span, *steps = part.split("/")
    ends = span.split("-")
    if ends[0] in {"*", "?"}:
        start, end = low, high
    else:
        start = _number(ends[0], names)
        if len(ends) > 2:
            raise ScheduleError(f"too many hyphens: {part}")
        end = _number(ends[1], names) if len(ends) == 2 else start
    if len(steps) > 1:
        raise ScheduleError(f"too many slashes: {part}")
    step = 1
    if steps:
        step = _number(steps[0], {})
        if len(ends) == 1:
            end = high
    if start < low:
        raise ScheduleError(f"beginning of range ({start}) below minimum ({low}): {part}")
    if end > high:
        raise ScheduleError(f"end of range ({end}) above maximum ({high}): {part}")
    if start > end:
        raise ScheduleError(f"beginning of range ({start}) beyond end of range ({end}): {part}")
    if step == 0:
        raise ScheduleError(f"step of range should be a positive number: {part}")


def _number(text: str, names: dict[str, int]) -> int:
    if (named := names.get(text.lower())) is not None:
        return named
    if not (text.isascii() and text.isdigit()):
        raise ScheduleError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)


@lru_cache(maxsize=1024)
def is_time_zone(name: str) -> bool:
    """Whether the time zone database knows the name."""
    if not _zone_name(name):
        return False
    from zoneinfo import ZoneInfo  # lazily: it asks how Python was configured, which takes a while

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
