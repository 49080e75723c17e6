"""Field selectors (`status.phase!=Running,spec.nodeName=n1`): terms over a few fields a kind offers.

Ref: https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache


class SelectorError(ValueError):
    """A field selector that cannot be understood, in Kubernetes' words."""


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison: the field must be (or not be) the value."""

    field: str
    value: str
    equal: bool = True


@dataclass(frozen=True, slots=True)
class Selector:
    """Terms that must all hold; none at all selects everything."""

    terms: tuple[Term, ...] = ()

    def matches(self, values: Mapping[str, str]) -> bool:
        """Whether fields with these values are selected; an absent field is empty."""
        return all((values.get(term.field, "") == term.value) is term.equal for term in self.terms)

    def matches_by(self, value_of: Callable[[str], str]) -> bool:
        return all((value_of(term.field) == term.value) is term.equal for term in self.terms)

    def exact(self, field: str) -> str | None:
        """The value that the selector demands of a field, or None when it leaves a choice."""
        for term in self.terms:
            if term.field == field and term.equal:
                return term.value
        return None

    def __str__(self) -> str:
        return ",".join(f"{term.field}{'=' if term.equal else '!='}{_escape(term.value)}" for term in self.terms)


EVERYTHING = Selector()


@lru_cache(maxsize=1024)
def parse(text: str) -> Selector:
    """Parse a selector's text form; empty terms are passed over.

    Raises: SelectorError.
    """
    return Selector(tuple(_parse_term(part, text) for part in _split(text) if part))


def _split(text: str) -> list[str]:
    """Parts between commas that no backslash escapes."""
    parts, start, escaped = [], 0, False
    for position, mark in enumerate(text):
        if escaped:
            escaped = False
        elif mark == "\\":
            escaped = True
        elif mark == ",":
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]]


def _parse_term(part: str, whole: str) -> Term:
    for position in range(len(part)):
        for operator in ("!=", "==", "="):
            if part.startswith(operator, position):
                value = _unescape(part[position + len(operator) :])
                return Term(part[:position], value, operator != "!=")
    raise SelectorError(f"invalid selector: '{whole}'; can't understand '{part}'")


def _unescape(value: str) -> str:
    out, marks = [], iter(value)
    for mark in marks:
        if mark == "\\":
            following = next(marks, "")
            if following not in {"\\", ",", "="} or not following:
                raise SelectorError(f"invalid field selector: invalid escape sequence: \\{following}")
            out.append(following)
        elif mark in {",", "="}:
            raise SelectorError(f"invalid field selector: unescaped character in value: {ord(mark)}")
        else:
            out.append(mark)
    return "".join(out)


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
