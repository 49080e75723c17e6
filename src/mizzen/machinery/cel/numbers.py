"""Comparisons of numbers of different types (`1.5 > 1`), which the evaluator knows for values of any type alone.

Ref: https://kubernetes.io/docs/reference/using-api/cel/#cel-options-language-features-and-libraries
"""

import re
from typing import Any, Final

from mizzen.machinery.cel.comprehensions import strings_in

_NUMBER: Final = r"(?:int|uint|double)"
_refused = re.compile(
    rf"ERROR: <input>:(\d+):(\d+): found no matching overload for '_(<=?|>=?)_' applied to '\({_NUMBER}, {_NUMBER}\)'"
)
_ending = re.compile(r"&&|\|\||[<>]=?|[!=]=|[?:,]|\bin\b")
_MOST: Final = 50
"""Such comparisons in one expression."""


def compiled(environment: Any, text: str) -> Any:
    """An expression compiled, with the right side of such comparisons made dynamic. Raises RuntimeError."""
    for _ in range(_MOST):
        try:
            return environment.compile(text)
        except RuntimeError as error:
            refused = _refused.search(str(error))
            if refused is None or "//" in text:
                raise
            text = _with_dynamic_operand(text, int(refused[1]), int(refused[2]), len(refused[3]))
    return environment.compile(text)


def _with_dynamic_operand(text: str, row: int, column: int, width: int) -> str:
    lines = text.splitlines(keepends=True)
    start = sum(len(line) for line in lines[: row - 1]) + column - 1 + width
    end = _operand_end(text, start)
    return f"{text[:start]} dyn({text[start:end].strip()}) {text[end:]}"


def _operand_end(text: str, at: int) -> int:
    """Where the right side of a comparison ends: at what binds more weakly, or where its bracket closes."""
    strings, depth = dict(strings_in(text)), 0
    while at < len(text):
        if at in strings:
            at = strings[at]
            continue
        if text[at] in "([{":
            depth += 1
        elif text[at] in ")]}":
            depth -= 1
            if depth < 0:
                break
        elif depth == 0 and _ending.match(text, at):
            break
        at += 1
    return at
