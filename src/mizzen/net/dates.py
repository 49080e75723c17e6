"""The `Date` of an answer: written once a second, however many answers carry it."""

import time
from email.utils import formatdate
from functools import lru_cache


def date_now() -> bytes:
    """The time as a header has it: `Tue, 15 Nov 1994 08:12:31 GMT`. Ref: RFC 9110, 6.6.1 and 5.6.7."""
    return http_date(int(time.time()))


@lru_cache(maxsize=4)
def http_date(second: int) -> bytes:
    """A second since the Unix epoch as HTTP writes it."""
    return formatdate(second, usegmt=True).encode("ascii")
