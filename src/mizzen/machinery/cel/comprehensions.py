"""Loops over two variables (`m.all(k, v, …)`) and loops that sort, written with what the evaluator knows.

Each becomes a loop over the places of its receiver (indexes of a list, keys of a map) with the value bound inside.
Ref: https://kubernetes.io/docs/reference/using-api/cel/#cel-options-language-features-and-libraries
"""

import re
from typing import Final

_NAME: Final = r"\s*[A-Za-z_]\w*\s*,"
_call = re.compile(
    rf"\.(?:(?:all|exists|existsOne|exists_one|transformList|transformMap|transformMapEntry)\((?={_NAME}{_NAME})"
    rf"|sortBy\((?={_NAME})|(?:first|last)\((?=\s*\)))",
    re.ASCII,
)
_string = re.compile(r"""[rR]?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")
_WORD: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_OPENING: Final = {")": "(", "]": "[", "}": "{"}
_TESTS: Final = {"all": "all", "exists": "exists", "existsOne": "exists_one", "exists_one": "exists_one"}
_ENDS: Final = {"first": "0", "last": "size({0}) - 1"}
_MOST: Final = 100
"""Such loops that are looked at in one expression; what is past that is left to fail as unknown."""


def rewritten(text: str) -> str:
    """The expression without such loops."""
    if _call.search(text) is None:
        return text
    strings = strings_in(text)
    at = 0
    for number in range(_MOST):
        match = _call.search(text, at)
        if match is None:
            break
        at = match.end()
        if any(start < match.start() < end for start, end in strings):
            continue
        end, given = arguments(text, at, strings)
        name = f"_r{number}"
        made = _made(match[0][1:-1], given, name)
        if made is None:
            continue
        at = _receiver(text, match.start(), strings)
        text = f"{text[:at]}cel.bind({name}, {text[at : match.start()]}, {made}){text[end:]}"
        strings = strings_in(text)
    return text


def _made(call: str, arguments: list[str], name: str) -> str | None:
    """What stands for a call on the value of that name; None for a call that the evaluator knows itself."""
    if call in _ENDS:
        place = _ENDS[call].format(name)
        return f"size({name}) > 0 ? optional.of({name}[{place}]) : optional.none()" if arguments == [""] else None
    if call == "sortBy":
        if len(arguments) != 2:
            return None
        return f"sortedByFirst({name}.map({arguments[0]}, [dyn({arguments[1]}), dyn({arguments[0]})]))"
    if len(arguments) < 3:
        return None
    place, value, *rest = arguments

    def inside(expression: str) -> str:
        return f"cel.bind({value}, {name}[{place}], {expression})"

    places = f"placesOf({name})"
    if call in _TESTS:
        return f"{places}.{_TESTS[call]}({place}, {inside(rest[0])})" if len(rest) == 1 else None
    if len(rest) == 2:
        places = f"{places}.filter({place}, {inside(rest[0])})"
    match call:
        case "transformList":
            return f"{places}.map({place}, {inside(rest[-1])})"
        case "transformMap":
            return f"mapOfPairs({places}.map({place}, [dyn({place}), dyn({inside(rest[-1])})]))"
        case _:
            return f"mapOfMaps({places}.map({place}, {inside(rest[-1])}))"


def strings_in(text: str) -> list[tuple[int, int]]:
    """Where the texts in an expression begin and end."""
    return [span.span() for span in _string.finditer(text)]


def arguments(text: str, at: int, strings: list[tuple[int, int]]) -> tuple[int, list[str]]:
    """Where a call ends, and its arguments, from behind its opening bracket."""
    starts = dict(strings)
    found: list[str] = []
    depth, begin = 0, at
    while at < len(text):
        if at in starts:
            at = starts[at]
            continue
        mark = text[at]
        if mark in "([{":
            depth += 1
        elif mark in ")]}":
            if depth == 0:
                return at + 1, [*found, text[begin:at].strip()]
            depth -= 1
        elif mark == "," and depth == 0:
            found.append(text[begin:at].strip())
            begin = at + 1
        at += 1
    return at, []


def _receiver(text: str, end: int, strings: list[tuple[int, int]]) -> int:
    """Where what a member is called on begins: names, calls, indexes and literals, without a space between them."""
    ends = {finish: start for start, finish in strings}
    at = end
    while at > 0:
        mark = text[at - 1]
        if at in ends:
            at = ends[at]
        elif mark in _OPENING:
            at = _opening(text, at - 1, ends)
        elif mark in _WORD or mark == "." or (mark == "?" and text[at - 2 : at - 1] == "."):
            at -= 1
        else:
            break
    return at


def _opening(text: str, at: int, ends: dict[int, int]) -> int:
    """Where the bracket opens that closes at a place."""
    depth = 0
    while at >= 0:
        if at + 1 in ends:
            at = ends[at + 1] - 1
            continue
        if text[at] in ")]}":
            depth += 1
        elif text[at] in "([{":
            depth -= 1
            if depth == 0:
                return at
        at -= 1
    return 0
