"""The `Date` of an answer: written once a second, however many answers carry it."""

import time
from functools import lru_cache
from typing import Final

DATE: Final = "date"
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def date_now() -> bytes:
    """The time as a header has it: `Tue, 15 Nov 1994 08:12:31 GMT`. Ref: RFC 9110, 6.6.1 and 5.6.7."""
    return http_date(int(time.time()))


@lru_cache(maxsize=4)
def http_date(second: int) -> bytes:
    """A second since the Unix epoch as HTTP writes it, whatever the locale."""
    at = time.gmtime(second)
    day, month = _DAYS[at.tm_wday], _MONTHS[at.tm_mon - 1]
    return f"{day}, {at.tm_mday:02} {month} {at.tm_year} {at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} GMT".encode()
