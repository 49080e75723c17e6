"""How long expressions may take: who evaluates those of others sets a limit, and every round of a loop asks for it.

The evaluator itself ends after so many rounds, whatever is done in each: long texts make rounds slow.
"""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from typing import Final

from mizzen.machinery.cel import comprehensions

TOO_COSTLY: Final = "operation cancelled: actual cost limit exceeded"
"""Why an evaluation was given up, as the original says it."""
IN_TIME: Final = "_in_time"
"""The function that every round calls."""
_MOST: Final = 200
"""Loops that are looked at in one expression; those past that are not asked."""
_call = re.compile(r"\.(all|exists|exists_one|existsOne|map|filter)\(")
_name = re.compile(r"[A-Za-z_]\w*\Z", re.ASCII)

Clock = Callable[[], float]


class _Limit:
    """So many seconds from the first look at the clock, which costs more than all else where nothing is evaluated."""

    __slots__ = ("_clock", "_ends", "_seconds", "_token")

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._ends: float | None = None
        self._token: Token[_Limit | None] | None = None

    def __enter__(self) -> None:
        if _limit.get() is None:
            self._token = _limit.set(self)

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _limit.reset(self._token)

    def is_over(self) -> bool:
        if self._ends is None:
            self._ends = self._clock() + self._seconds
        return self._clock() > self._ends


_limit: ContextVar[_Limit | None] = ContextVar("limit", default=None)


def limited(clock: Clock, seconds: float) -> AbstractContextManager[None]:
    """Within it, evaluations may take so long together, by this clock. An outer limit goes on to count."""
    return _Limit(clock, seconds)


def is_over() -> bool:
    """Whether the time is over; never where there is no limit."""
    limit = _limit.get()
    return limit is not None and limit.is_over()


def in_time() -> bool:
    """True. Raises ValueError when the time is over, so that what a round would do is not done."""
    if is_over():
        raise ValueError(TOO_COSTLY)
    return True


def timed(text: str) -> str:
    """The expression with a question in every round of its loops, the innermost first."""
    matches = list(_call.finditer(text))
    for match in reversed(matches[:_MOST]):
        strings = comprehensions.strings_in(text)
        if any(start < match.start() < end for start, end in strings):
            continue
        end, arguments = comprehensions.arguments(text, match.end(), strings)
        made = _asking(match[1], arguments)
        if made is not None:
            text = f"{text[: match.end()]}{made}){text[end:]}"
    return text


def _asking(call: str, arguments: list[str]) -> str | None:
    """The arguments of a loop that asks in every round; None for what is no loop."""
    if len(arguments) < 2 or not _name.match(arguments[0]):
        return None
    # A comment at an argument's end must not reach what follows it.
    variable, first, *rest = (f"{one}\n" if "//" in one else one for one in arguments)
    if call == "map" and not rest:
        return f"{variable}, {IN_TIME}(), {first}"
    return ", ".join((variable, f"{IN_TIME}() ? ({first}) : false", *rest))
