"""Numbers of different types are compared, wherever the comparison stands."""

import pytest

from mizzen.machinery.cel.program import CelError, compile_expression


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1.5 > 1", True),
        ("1u < 2", True),
        ("double(self) >= 3", True),
        ("size('a') < 1.5 && 2 > 2.5", False),
        ("1.5 > 1 + 1 ? 1u < 2 : 3 >= 2.5", True),
        ("[1 < 2.5, 2.5 > size('a) > 1')] == [true, false]", True),
        ("[1.5].exists(x, x > 1\n && x < 2)", True),
    ],
)
def test_numbers_of_different_types_are_compared(expression: str, value: bool) -> None:
    assert compile_expression(expression, ("self",)).evaluate({"self": 3}) is value


@pytest.mark.parametrize("expression", ["1.5 == 1", "1.5 + 1 > 2", "1.5 > 'a'"])
def test_nothing_else_is_mixed(expression: str) -> None:
    with pytest.raises(CelError, match="found no matching overload"):
        compile_expression(expression, ())
