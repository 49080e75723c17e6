"""Patterns of users: RE2's dialect, and no text that takes longer than its length."""

import pytest

from mizzen.machinery import regexp, structural, values
from mizzen.machinery.cel import compile_expression


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"^a\z", "a", True),
        (r"^a$", "a\n", False),
        (r"\d", "٣", False),
        (r"(?i)^ABC$", "abc", True),
        (r"^\p{Greek}+$", "αβγ", True),
        (r"b", "x" * 1000 + "b", True),
    ],
)
def test_patterns_mean_what_they_mean_in_re2(pattern: str, text: str, found: bool) -> None:
    assert regexp.matches(pattern, text) is found
    assert regexp.matches(pattern, text) is found


@pytest.mark.parametrize("pattern", ["[", "a(?=b)", r"(a)\1"])
def test_what_re2_does_not_know_is_refused_in_a_definition(pattern: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}}
    [error] = [each for each in structural.check(schema, "s") if each.path.endswith(".pattern")]
    assert error.detail.startswith("must be a valid regular expression, but isn't: error parsing regexp: ")


def test_a_pattern_that_doubles_its_work_with_every_letter_ends_at_once() -> None:
    schema = structural.build({"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a|a)*$"}}})
    [error] = values.validate({"a": "a" * 100_000 + "b"}, schema)
    assert error.path == "a"
    program = compile_expression("text.find('(a|a)*b$') == '' && text.findAll('a', 2) == ['a', 'a']", ("text",))
    assert program.evaluate({"text": "a" * 20_000}) is True
