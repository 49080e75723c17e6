"""Label selectors: their text form (`app=web,tier in (a,b),!old`), the LabelSelector object, and fast matching.

Ref: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache, reduce
from typing import Any

import orjson

from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, forbidden, invalid, required

Labels = Mapping[str, str]
Match = Callable[[Labels], bool]


class Operator(StrEnum):
    """What a requirement asks of a label's value."""

    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    ABSENT = "!"
    EQUALS = "="
    NOT_EQUALS = "!="
    GREATER = "gt"
    LESS = "lt"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One comma-separated part of a selector."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Labels) -> bool:
        return _matcher(self)(labels)

    def __str__(self) -> str:
        match self.operator:
            case Operator.EXISTS:
                return self.key
            case Operator.ABSENT:
                return f"!{self.key}"
            case Operator.IN | Operator.NOT_IN:
                return f"{self.key} {self.operator} ({','.join(sorted(self.values))})"
            case Operator.GREATER | Operator.LESS:
                return f"{self.key}{'>' if self.operator is Operator.GREATER else '<'}{self.values[0]}"
            case _:
                return f"{self.key}{self.operator}{self.values[0]}"


@dataclass(frozen=True, slots=True)
class Selector:
    """Requirements that must all hold; none at all selects everything. `nothing` selects no object."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Labels | None) -> bool:
        if self.nothing:
            return False
        return all(requirement.matches(labels or {}) for requirement in self.requirements)

    def compiled(self) -> Match:
        """A function that decides alike, with the work per requirement done once."""
        if self.nothing:
            return lambda _labels: False
        tests = tuple(_matcher(requirement) for requirement in self.requirements)
        if not tests:
            return lambda _labels: True
        return reduce(_both, tests)

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)


EVERYTHING = Selector()
NOTHING = Selector(nothing=True)


def _both(first: Match, second: Match) -> Match:
    return lambda labels: first(labels) and second(labels)


def _matcher(requirement: Requirement) -> Match:
    key, values = requirement.key, frozenset(requirement.values)
    match requirement.operator:
        case Operator.IN | Operator.EQUALS:
            if len(values) == 1:
                (only,) = values
                return lambda labels: labels.get(key) == only
            return lambda labels: labels.get(key) in values
        case Operator.NOT_IN | Operator.NOT_EQUALS:
            return lambda labels: labels.get(key) not in values
        case Operator.EXISTS:
            return lambda labels: key in labels
        case Operator.ABSENT:
            return lambda labels: key not in labels
        case _:
            return _comparison(key, requirement.operator is Operator.GREATER, int(requirement.values[0]))


def _comparison(key: str, greater: bool, bound: int) -> Match:
    def compare(labels: Labels) -> bool:
        number = _whole(labels.get(key))
        return number is not None and (number > bound if greater else number < bound)

    return compare


_whole_number = re.compile(r"[+-]?[0-9]{1,19}").fullmatch


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and _whole_number(text) else None


class SelectorError(ValueError):
    """A selector that cannot be understood, in Kubernetes' words."""


@lru_cache(maxsize=1024)
def parse(text: str) -> Selector:
    """Parse a selector's text form; the empty text selects everything.

    Raises: SelectorError.
    """
    return Selector(tuple(sorted(_Parser(text).requirements(), key=lambda requirement: requirement.key)))


_END = ""
_MARKS = ("(", ")", ",", "!", "=", "==", "!=", ">", "<")
_token = re.compile(r"\s*(==|!=|[(),!=><]|[^\s(),!=><]+)")


class _Parser:
    """Recursive descent over tokens; `in` and `notin` are words only where an operator is due."""

    def __init__(self, text: str) -> None:
        self._tokens = _token.findall(text)
        self._at = 0

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else _END

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def requirements(self) -> Iterator[Requirement]:
        while True:
            token = self._peek()
            if token == _END:
                if self._at:
                    raise SelectorError("found '', expected: identifier after ','")
                return
            if token != "!" and token in _MARKS:
                raise SelectorError(f"found '{token}', expected: !, identifier, or 'end of string'")
            yield self._requirement()
            token = self._next()
            if token == _END:
                return
            if token != ",":
                raise SelectorError(f"found '{token}', expected: ',' or 'end of string'")

    def _requirement(self) -> Requirement:
        absent = self._peek() == "!"
        if absent:
            self._next()
        key = self._next()
        if key in _MARKS or key == _END:
            raise SelectorError(f"unable to parse requirement: found '{key}', expected: identifier")
        _check_key(key)
        if absent:
            return Requirement(key, Operator.ABSENT)
        if self._peek() in {_END, ","}:
            return Requirement(key, Operator.EXISTS)
        return self._comparison(key)

    def _comparison(self, key: str) -> Requirement:
        token = self._next()
        match token:
            case "in" | "notin":
                operator = Operator.IN if token == "in" else Operator.NOT_IN
                values = self._values()
            case "=" | "==":
                operator, values = Operator.EQUALS, (self._value(),)
            case "!=":
                operator, values = Operator.NOT_EQUALS, (self._value(),)
            case ">" | "<":
                operator = Operator.GREATER if token == ">" else Operator.LESS
                values = (self._value(),)
            case _:
                raise SelectorError(
                    f"unable to parse requirement: found '{token}', expected: in, notin, =, ==, !=, gt, lt"
                )
        requirement = Requirement(key, operator, values)
        _check_values(requirement)
        return requirement

    def _value(self) -> str:
        token = self._peek()
        if token in {_END, ","}:
            return ""
        if token in _MARKS:
            raise SelectorError(f"unable to parse requirement: found '{token}', expected: identifier")
        return self._next()

    def _values(self) -> tuple[str, ...]:
        if (token := self._next()) != "(":
            raise SelectorError(f"unable to parse requirement: found '{token}' expected: '('")
        values = [self._listed()]
        while (token := self._next()) == ",":
            values.append(self._listed())
        if token != ")":
            raise SelectorError(f"unable to parse requirement: found '{token}', expected: ',' or ')'")
        return tuple(sorted(set(values)))

    def _listed(self) -> str:
        token = self._peek()
        if token in {",", ")"}:
            return ""
        if token in _MARKS or token == _END:
            raise SelectorError(f"unable to parse requirement: found '{token}', expected: ',', ')' or identifier")
        return self._next()


def _check_key(key: str) -> None:
    if problems := names.qualified_name(key):
        raise SelectorError(f"unable to parse requirement: key: {_invalid(key, problems)}")


def _check_values(requirement: Requirement) -> None:
    if requirement.operator in {Operator.GREATER, Operator.LESS}:
        if _whole(requirement.values[0]) is None:
            problem = "for 'Gt', 'Lt' operators, the value must be an integer"
            raise SelectorError(f"unable to parse requirement: values[0]: {_invalid(requirement.values[0], [problem])}")
        return
    for position, value in enumerate(requirement.values):
        if problems := names.label_value(value):
            place = f"values[{position}][{requirement.key}]"
            raise SelectorError(f"unable to parse requirement: {place}: {_invalid(value, problems)}")


def _invalid(value: str, problems: list[str]) -> str:
    return f"Invalid value: {orjson.dumps(value).decode()}: {'; '.join(problems)}"


_OPERATORS = {
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "Exists": Operator.EXISTS,
    "DoesNotExist": Operator.ABSENT,
}


def from_object(selector: Mapping[str, Any] | None) -> Selector:
    """The selector that a LabelSelector object stands for: absent selects nothing, empty selects everything.

    An expression whose operator is unknown selects nothing.
    """
    if selector is None:
        return NOTHING
    requirements = [
        Requirement(key, Operator.IN, (value,)) for key, value in (selector.get("matchLabels") or {}).items()
    ]
    for expression in selector.get("matchExpressions") or ():
        operator = _OPERATORS.get(expression.get("operator", ""))
        if operator is None:
            return NOTHING
        requirements.append(Requirement(expression.get("key", ""), operator, tuple(expression.get("values") or ())))
    return Selector(tuple(requirements))


def from_labels(labels: Labels | None) -> Selector:
    """The selector of a plain map (Service, ReplicationController): every pair must be there; no pair, no object."""
    if not labels:
        return NOTHING
    return Selector(tuple(Requirement(key, Operator.EQUALS, (value,)) for key, value in sorted(labels.items())))


def format_object(selector: Mapping[str, Any] | None) -> str:
    """A LabelSelector as kubectl and the scale subresource print it: `app=web,tier in (a,b)`."""
    if selector is None:
        return "<none>"
    shown = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for requirement in from_object({"matchExpressions": selector.get("matchExpressions")}).requirements:
        shown.append((requirement.key, str(requirement)))
    return ",".join(text for _, text in sorted(shown, key=lambda pair: pair[0]))


def validate_selector(selector: Mapping[str, Any] | None, path: str) -> Iterator[FieldError]:
    """All that is wrong with a LabelSelector object."""
    if selector is None:
        return
    yield from validate_labels(selector.get("matchLabels"), f"{path}.matchLabels")
    for position, expression in enumerate(selector.get("matchExpressions") or ()):
        yield from _validate_expression(expression, f"{path}.matchExpressions[{position}]")


def _validate_expression(expression: Mapping[str, Any], path: str) -> Iterator[FieldError]:
    operator, values = expression.get("operator") or "", expression.get("values") or ()
    yield from presence_errors(path, operator, values)
    if operator not in {"In", "NotIn", "Exists", "DoesNotExist"}:
        yield invalid(f"{path}.operator", operator, "not a valid selector operator")
    key = expression.get("key") or ""
    for problem in names.qualified_name(key):
        yield invalid(f"{path}.key", key, problem)
    for position, value in enumerate(values):
        for problem in names.label_value(value):
            yield invalid(f"{path}.values[{position}]", value, problem)


def presence_errors(path: str, operator: str, values: Sequence[Any]) -> Iterator[FieldError]:
    """Whether a requirement has values where its operator wants some, and none where it wants none."""
    if operator in {"In", "NotIn"} and not values:
        yield required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    if operator in {"Exists", "DoesNotExist"} and values:
        yield forbidden(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")


def validate_labels(labels: Labels | None, path: str) -> Iterator[FieldError]:
    """All that is wrong with a map of labels; every error stands at the map's own path, as in Kubernetes."""
    for key, value in (labels or {}).items():
        for problem in names.qualified_name(key):
            yield invalid(path, key, problem)
        for problem in names.label_value(value):
            yield invalid(path, value, problem)
