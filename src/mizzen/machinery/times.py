"""Times and durations as the API and kubectl write them; inside the code a time is seconds since the epoch (float).

Ref: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/ (RFC 3339)
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

_rfc3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)",
).fullmatch
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_go_parts = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

_REMEMBERED = 4096
"""Times that are read or written again and again: an object that is written once more has all of its own."""

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
YEAR = 365 * DAY


@lru_cache(maxsize=_REMEMBERED)
def parse(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time, with or without a fraction.

    Raises: ValueError.
    """
    match = _rfc3339(text)
    if match is None:
        raise ValueError(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse "{text}" as "2006"')
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    when = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=_zone(zone))
    seconds = (when - _EPOCH).total_seconds()
    return seconds + float(f"0.{fraction}") if fraction else seconds


def _zone(text: str) -> timezone:
    if text == "Z":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))
    return timezone(-offset if text[0] == "-" else offset)


def is_time(text: str) -> bool:
    """Whether `parse` would accept it."""
    try:
        parse(text)
    except (ValueError, OverflowError):
        return False
    return True


def format(seconds: float) -> str:
    """`2026-01-31T12:00:00Z`: a Time, whole seconds in UTC, the fraction cut off."""
    return _whole(int(seconds // 1))


@lru_cache(maxsize=_REMEMBERED)
def _whole(seconds: int) -> str:
    return _text(_EPOCH + timedelta(seconds=seconds), "seconds")


def format_micro(seconds: float) -> str:
    """`2026-01-31T12:00:00.250000Z`: a MicroTime."""
    return format_micro_of(0, round(seconds * 1e6))


def format_micro_of(seconds: int, microseconds: int) -> str:
    """A MicroTime of whole numbers: exact for years that a float of seconds cannot tell to the microsecond."""
    return _text(_EPOCH + timedelta(seconds=seconds, microseconds=microseconds), "microseconds")


def _text(when: datetime, timespec: str) -> str:
    # not strftime, whose %Y writes years before 1000 without their zeros
    return f"{when.replace(tzinfo=None).isoformat(timespec=timespec)}Z"


def canonical(text: str) -> str:
    """A Time as the API server stores it: in UTC, without a fraction.

    Raises: ValueError.
    """
    if len(text) == 20 and text[19] == "Z":
        parse(text)
        return text
    return format(parse(text))


def canonical_micro(text: str) -> str:
    """A MicroTime as the API server stores it: in UTC, six digits.

    Raises: ValueError.
    """
    if len(text) == 27 and text[19] == "." and text[26] == "Z":
        parse(text)
        return text
    return format_micro(parse(text))


def age(seconds: float) -> str:
    """A duration as kubectl's AGE column shows it: `3m20s`, `5d4h`, `2y30d`."""
    if seconds < -1:
        return "<invalid>"
    whole = int(seconds)
    if whole < 0:
        return "0s"
    if whole < 2 * MINUTE:
        return f"{whole}s"
    minutes = whole // MINUTE
    if minutes < 10:
        return _two(minutes, "m", whole % MINUTE, "s")
    if minutes < 3 * 60:
        return f"{minutes}m"
    hours = whole // HOUR
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 24 * 8:
        return _two(hours // 24, "d", hours % 24, "h")
    days = hours // 24
    if days < 365 * 2:
        return f"{days}d"
    if days < 365 * 8:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"


def parse_duration(text: str) -> float:
    """Seconds of a duration like `1h30m`, `300ms`, `-1.5s` or `0`.

    Raises: ValueError.
    """
    body = text[1:] if text[:1] in {"+", "-"} else text
    if body == "0":
        return 0.0
    total, at = 0.0, 0
    while match := _go_parts.match(body, at):
        total += float(match[1]) * _UNITS[match[2]]
        at = match.end()
    if not body or at != len(body):
        raise ValueError(f'time: invalid duration "{text}"')
    return -total if text[0] == "-" else total


def format_duration(seconds: float) -> str:
    """A duration as metav1.Duration writes it: `1h30m0s`, `1.5s`, `250ms`, `0s`."""
    nanoseconds = round(abs(seconds) * 1e9)
    if nanoseconds == 0:
        return "0s"
    sign = "-" if seconds < 0 else ""
    for unit, size in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if nanoseconds < size * 1000:
            return f"{sign}{_decimal(nanoseconds, size)}{unit}"
    whole, rest = divmod(nanoseconds, 60 * 10**9)
    tail = f"{_decimal(rest, 10**9)}s"
    hours, minutes = divmod(whole, 60)
    if hours:
        return f"{sign}{hours}h{minutes}m{tail}"
    return f"{sign}{minutes}m{tail}" if minutes else f"{sign}{tail}"


def _decimal(amount: int, size: int) -> str:
    whole, rest = divmod(amount, size)
    if not rest:
        return str(whole)
    return f"{whole}.{str(rest).rjust(len(str(size)) - 1, '0').rstrip('0')}"
