"""The JSONPath subset of printer columns and selectable fields: `.spec.a`, `.a[0]`, `.a[*].b`, `.a['b.c']`, filters.

Ref: https://kubernetes.io/docs/reference/kubectl/jsonpath/
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_step = re.compile(
    r"""\.\.(?P<deep>[\w$-]+|\*)
      | \.?\[\s*(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\s*\]
      | \.?\[\s*(?P<slice>-?\d*:-?\d*(?::-?\d*)?)\s*\]
      | \.?\[\s*(?P<index>-?\d+)\s*\]
      | \.?\[\s*(?P<all>\*)\s*\]
      | \.?\[\?\(\s*(?P<filter>.*?)\s*\)\]
      | \.(?P<name>(?:[^.\[\]\\]|\\.)+)""",
    re.VERBOSE,
)
_filter = re.compile(r"@(?P<path>[^=!<>]*?)\s*(?:(?P<operator>==|!=|<=|>=|<|>)\s*(?P<value>.+))?").fullmatch

Step = Callable[[Any], Iterator[Any]]


@dataclass(frozen=True, slots=True)
class Path:
    """A parsed path."""

    text: str
    steps: tuple[Step, ...]

    def find(self, value: Any) -> list[Any]:
        """All values at the path, in document order; absent steps yield nothing."""
        found = [value]
        for step in self.steps:
            found = [inner for outer in found for inner in step(outer)]
        return found

    def first(self, value: Any) -> Any:
        """The first value at the path, or None."""
        found = self.find(value)
        return found[0] if found else None


@lru_cache(maxsize=1024)
def parse(text: str) -> Path:
    """Parse `.spec.replicas`, also written `{.spec.replicas}` or `$.spec.replicas`.

    Raises: ValueError.
    """
    body = text.strip()
    if body.startswith("{") and body.endswith("}"):
        body = body[1:-1].strip()
    body = body.removeprefix("$").removeprefix("@")
    if body and body[0] not in ".[":
        body = f".{body}"
    steps: list[Step] = []
    at = 0
    while at < len(body) and body[at:] != ".":
        match = _step.match(body, at)
        if match is None:
            raise ValueError(f"unrecognized character in JSONPath at {at}: {text}")
        steps.append(_make_step(match))
        at = match.end()
    return Path(text, tuple(steps))


def _make_step(match: re.Match[str]) -> Step:
    found = match.groupdict()
    if found["name"] is not None:
        name = re.sub(r"\\(.)", r"\1", found["name"])
        return _wildcard if name == "*" else _named(name)
    if found["quoted"] is not None:
        return _named(re.sub(r"\\(.)", r"\1", found["quoted"][1:-1]))
    if found["index"] is not None:
        return _indexed(int(found["index"]))
    if found["slice"] is not None:
        return _sliced(found["slice"])
    if found["all"] is not None:
        return _wildcard
    if found["deep"] is not None:
        return _deep(found["deep"])
    return _filtered(found["filter"])


def _named(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _indexed(position: int) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= position < len(value):
            yield value[position]

    return step


def _sliced(text: str) -> Step:
    bounds = slice(*(int(part) if part else None for part in text.split(":")))

    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from value[bounds]

    return step


def _wildcard(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif isinstance(value, dict):
        yield from value.values()


def _deep(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            for key, inner in value.items():
                if name in {"*", key}:
                    yield inner
                yield from step(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from step(inner)

    return step


def _filtered(text: str) -> Step:
    match = _filter(text)
    if match is None:
        raise ValueError(f"cannot understand the JSONPath filter {text!r}")
    path = parse(match["path"] or "")
    operator = match["operator"]
    right = _literal(match["value"]) if operator else None

    def step(value: Any) -> Iterator[Any]:
        for inner in value if isinstance(value, list) else ():
            left = path.find(inner)
            if left and (operator is None or _holds(left[0], operator, right)):
                yield inner

    return step


def _literal(text: str) -> Any:
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if text in {"true", "false"}:
        return text == "true"
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise ValueError(f"cannot understand the JSONPath literal {text!r}") from None


def _holds(left: Any, operator: str, right: Any) -> bool:
    if operator == "==":
        return bool(left == right)
    if operator == "!=":
        return bool(left != right)
    if isinstance(left, str) != isinstance(right, str) or not isinstance(left, str | int | float):
        return False
    difference = int(left > right) - int(left < right)
    return {"<": difference < 0, "<=": difference <= 0, ">": difference > 0, ">=": difference >= 0}[operator]
