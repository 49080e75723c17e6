"""Expressions that take too long are given up, wherever in them the time goes."""

import itertools

import pytest

from mizzen.machinery.cel import CelError, compile_expression
from mizzen.machinery.cel.timing import TOO_COSTLY, in_time, is_over, limited, timed

ROWS = {"self": {"l": list(range(50)), "m": {"a": 1}}}


def ticking() -> "itertools.count[int]":
    """A clock that goes on by a second whenever somebody looks."""
    return itertools.count()


@pytest.mark.parametrize(
    "expression",
    [
        "self.l.all(x, x >= 0)",
        "self.l.exists(x, x < 0)",
        "self.l.map(x, x + 1).size() == 50",
        "self.l.map(x, x > 1, x + 1).size() == 48",
        "self.l.filter(x, x > 1).size() == 48",
        "self.l.exists_one(x, x == 1)",
        "self.m.all(k, self.l.all(x, x >= 0))",
        "self.l.transformList(i, v, v + i).size() == 50",
    ],
)
def test_every_kind_of_loop_ends_when_the_time_is_over(expression: str) -> None:
    program = compile_expression(expression, ("self",))
    with limited(ticking().__next__, 1000):
        program.evaluate(ROWS)
    with limited(ticking().__next__, 20), pytest.raises(CelError) as caught:
        program.evaluate(ROWS)
    assert caught.value.why == TOO_COSTLY
    program.evaluate(ROWS)


def test_nothing_is_begun_when_the_time_is_over() -> None:
    with limited(ticking().__next__, 1):
        assert not is_over()
        assert is_over()
        with pytest.raises(CelError, match=TOO_COSTLY):
            compile_expression("1 == 1", ()).evaluate({})
    assert in_time()


def test_nobody_looks_at_the_clock_where_nothing_is_evaluated() -> None:
    clock = ticking()
    with limited(clock.__next__, 1):
        pass
    assert next(clock) == 0


def test_a_limit_within_a_limit_gives_no_more_time() -> None:
    with limited(ticking().__next__, 2), limited(ticking().__next__, 1000):
        assert [is_over() for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize(
    ("expression", "asking"),
    [
        ("a.all(x, x)", "a.all(x, _in_time() ? (x) : false)"),
        ("a.map(x, x)", "a.map(x, _in_time(), x)"),
        (
            "a.all(x, b.map(y, y)) == '.all(x, y)'",
            "a.all(x, _in_time() ? (b.map(y, _in_time(), y)) : false) == '.all(x, y)'",
        ),
        ("a.filter(x, x == ')').size()", "a.filter(x, _in_time() ? (x == ')') : false).size()"),
        ("self.map(1)", "self.map(1)"),
    ],
)
def test_every_round_asks_for_the_time(expression: str, asking: str) -> None:
    assert timed(expression) == asking


@pytest.mark.parametrize(
    "expression",
    [
        "self.l.all(x, x >= 0 // all of them\n)",
        "self.l.all(x, // don't ask\n x >= 0)",
        "self.l.map(x, x // as it is (\n).size() == 50",
        "self.l.all(x, x >= 0) // don't\n && self.l.exists(x, x == 1)",
        "self.l.exists(x, string(x) == '1' + r'\\d)' || x == 1)",
    ],
)
def test_comments_and_odd_texts_are_no_mistakes(expression: str) -> None:
    assert compile_expression(expression, ("self",)).evaluate(ROWS) is True


def test_what_does_not_compile_is_shown_as_it_was_written() -> None:
    with pytest.raises(CelError) as caught:
        compile_expression("self.l.all(x, x +)", ("self",))
    assert "_in_time" not in str(caught.value)
