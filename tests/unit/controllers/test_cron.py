"""Cron schedules, in any time zone."""

import pytest

from mizzen.controllers import cron
from mizzen.machinery import times


@pytest.mark.parametrize(
    ("text", "zone", "after", "wanted"),
    [
        ("* * * * *", None, "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"),
        ("*/15 3 * * *", None, "2026-01-01T03:31:00Z", "2026-01-01T03:45:00Z"),
        ("0 9 * * mon-fri", None, "2026-01-02T09:00:00Z", "2026-01-05T09:00:00Z"),
        ("0 0 13 * 5", None, "2026-02-01T00:00:00Z", "2026-02-06T00:00:00Z"),
        ("0 0 29 2 *", None, "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("@hourly", None, "2026-01-01T00:30:00Z", "2026-01-01T01:00:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"),
        ("0 9 * * *", "America/New_York", "2026-01-01T00:00:00Z", "2026-01-01T14:00:00Z"),
        # Clocks are set back from 3:00 to 2:00 (1:00 UTC): the hour happens twice.
        ("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z"),
        ("*/30 * * * *", "Europe/Berlin", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"),
        # Troll station sets its clocks back by two hours: 1:30, 2:30, then both again.
        ("30 1,2 * * *", "Antarctica/Troll", "2026-10-24T23:30:00Z", "2026-10-25T00:30:00Z"),
        ("30 1,2 * * *", "Antarctica/Troll", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
        ("30 1,2 * * *", "Antarctica/Troll", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"),
        ("0 0 * * 7", None, "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
    ],
)
def test_the_next_time_is_as_written(text: str, zone: str | None, after: str, wanted: str) -> None:
    found = cron.parse(text).next(times.parse(after), zone)
    assert found is not None
    assert times.format(found) == wanted


@pytest.mark.parametrize("text", ["", "* * * *", "60 * * * *", "*/0 * * * *", "a * * * *", "5-1 * * * *"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        cron.parse(text)


def test_a_date_that_never_comes_has_no_next_time() -> None:
    assert cron.parse("0 0 30 2 *").next(0.0) is None
