"""Loops over two variables, and the functions of lists."""

import pytest

from mizzen.machinery.cel import compile_expression
from mizzen.machinery.cel.comprehensions import rewritten

POD = {"labels": {"a": "1", "b": "2"}, "ports": [80, 443], "names": ["b", "a", "b"], "nested": {"m": {"x": [1, 2]}}}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("self.labels.all(k, v, k != '' && v != '')", True),
        ("self.ports.exists(i, v, i == 1 && v == 443)", True),
        ("self.ports.existsOne(i, v, v > 100)", True),
        ("self.ports.exists_one(i, v, v > 10)", False),
        ("self.ports.transformList(i, v, v + i)", [80, 444]),
        ("self.ports.transformList(i, v, i > 0, v)", [443]),
        ("self.labels.transformMap(k, v, v + k)", {"a": "1a", "b": "2b"}),
        ("self.labels.transformMap(k, v, k == 'a', v)", {"a": "1"}),
        ("self.labels.transformMapEntry(k, v, {v: k})", {"1": "a", "2": "b"}),
        ("self.nested['m'].x.all(i, v, self.ports.exists(j, w, w > v))", True),
        ("!self.?labels.orValue({}).all(k, v, v == ')')", True),
        ("['a)', 'b'].transformList(i, v, v + \".all(i, v, x)\").size() == 2", True),
        ("self.names.distinct()", ["b", "a"]),
        ("self.names.sort()", ["a", "b", "b"]),
        ("self.names.reverse()", ["b", "a", "b"]),
        ("'abc'.reverse()", "cba"),
        ("[[1], [2, [3]]].flatten()", [1, 2, [3]]),
        ("[[1], [2, [3]]].flatten(2)", [1, 2, 3]),
        ("self.ports.slice(1, 2)", [443]),
        ("lists.range(3)", [0, 1, 2]),
        ("self.ports.sortBy(p, -p)", [443, 80]),
        ("self.ports.first().orValue(0) + [].last().orValue(1)", 81),
        ("self.ports.last().orValue(0)", 443),
    ],
)
def test_loops_and_lists_yield_what_the_documentation_says(expression: str, value: object) -> None:
    assert compile_expression(expression, ("self",)).evaluate({"self": POD}) == value


@pytest.mark.parametrize(
    "expression",
    [
        "self.all(x, x > 1)",
        "self.exists(x, f(x, 1))",
        "'a.all(i, v, x)'",
        "self.first",
        "a.first(1)",
        "x.all(",
        "(a.all(i,v",
    ],
)
def test_what_the_evaluator_knows_or_nobody_can_read_is_left_alone(expression: str) -> None:
    assert rewritten(expression) == expression


def test_an_expression_full_of_loops_is_rewritten_in_reasonable_time() -> None:
    deep = "x.all(i, v, " * 1000
    assert rewritten(deep).count("placesOf") <= 100
