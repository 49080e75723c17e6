"""Compiled expressions: parsed and checked once, evaluated over JSON values."""

import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product
from types import MappingProxyType
from typing import Any

from mizzen.machinery.cel import comprehensions, numbers, timing
from mizzen.machinery.cel.authorizer import Authorize, authorizing
from mizzen.machinery.cel.library import FUNCTIONS
from mizzen.machinery.cel.literals import as_maps

MAX_EXPRESSION = 64 * 1024
"""Bytes of one expression; what is longer is refused before it is parsed."""


class CelError(ValueError):
    """An expression that does not compile, or whose evaluation failed; `why` is the failure alone, as the original
    words it."""

    def __init__(self, text: str, why: str = "") -> None:
        super().__init__(text)
        self.why = why or text


_FAILURES = (
    # The evaluator ends every evaluation after 10,000 rounds of loops; `timing` ends those that take too long.
    (re.compile(rf".*{timing.TOO_COSTLY}.*", re.DOTALL), timing.TOO_COSTLY),
    (re.compile(r"^INTERNAL: Iteration budget exceeded.*", re.DOTALL), timing.TOO_COSTLY),
    (re.compile(r'^NOT_FOUND: Key not found in map : "?(.*?)"?$'), r"no such key: \1"),
    (re.compile(r"^UNKNOWN: Index error: index=(-?\d+) size=\d+$"), r"index out of bounds: \1"),
    (re.compile(r"^UNKNOWN: No matching overloads found : .*", re.DOTALL), "no such overload"),
    (re.compile(r"^INVALID_ARGUMENT: divide by zero$"), "division by zero"),
    (re.compile(r"^[A-Z_]+: "), ""),
)


def _worded(failure: str) -> str:
    """What the evaluator says of a failed evaluation in the original's words, where those are known."""
    for pattern, words in _FAILURES:
        told, found = pattern.subn(words, failure, count=1)
        if found:
            return told
    return failure


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled expression and the type it yields (`BOOL`, `STRING`, `DYN` when only evaluation tells)."""

    expression: str
    returns: str
    compiled: Any

    def evaluate(self, data: Mapping[str, Any], authorize: Authorize | None = None) -> Any:
        """The value as JSON. Raises: CelError."""
        if timing.is_over():
            raise self._failed(timing.TOO_COSTLY)
        with authorizing(authorize):
            try:
                result = self.compiled.eval(data=data)
                failed = result.type().name() == "ERROR"
                value = result.plain_value()
            except (RuntimeError, ValueError, TypeError, KeyError) as error:
                raise self._failed(str(error)) from None
        if failed:
            raise self._failed(str(value))
        return value

    def _failed(self, failure: str) -> CelError:
        why = _worded(failure)
        return CelError(f"expression '{self.expression}' resulted in error: {why}", why)

    def holds(self, data: Mapping[str, Any], authorize: Authorize | None = None) -> bool:
        """Whether the expression yields true. Raises: CelError, for anything that is no boolean too."""
        value = self.evaluate(data, authorize)
        if not isinstance(value, bool):
            raise CelError(f"expression '{self.expression}' must evaluate to bool")
        return value


@lru_cache(maxsize=4096)
def compile_expression(expression: str, variables: tuple[str, ...], optional: tuple[str, ...] = ()) -> Program:
    """Compile an expression over the named variables; `optional` ones are passed as lists of none or one value.

    Raises: CelError.
    """
    if len(expression.encode()) > MAX_EXPRESSION:
        raise CelError("expression is too long")
    text = rewritten(as_maps(expression))
    for name in optional:
        text = f"cel.bind({name}, size(_{name}) > 0 ? optional.of(_{name}[0]) : optional.none(), {text})"
    known = _environment(tuple(f"_{name}" if name in optional else name for name in variables))
    try:
        compiled = numbers.compiled(known, text)
    except RuntimeError as error:
        problem = str(error).removeprefix("INVALID_ARGUMENT: ").removesuffix(" [INVALID_ARGUMENT]")
        raise CelError(f"compilation failed: {problem}") from None
    if (asking := timing.timed(text)) != text:
        # What reads oddly to the few lines that put the question in, compiles as it is and goes unasked.
        with contextlib.suppress(RuntimeError):
            compiled = numbers.compiled(known, asking)
    return Program(expression, compiled.return_type().name(), compiled)


_named_format = re.compile(r"format\.named\(\s*[\"'](\w+)[\"']\s*\)(?:\.value\(\))?")
_validate_call = re.compile(r"(format\.\w+\(\))\.validate\(")
_string_call = re.compile(r"(?<![\w.])string\(")
_index_call = re.compile(r"\.(indexOf|lastIndexOf|reverse)\(")
_POSITIONS = {"indexOf": ".positionOf(", "lastIndexOf": ".lastPositionOf(", "reverse": ".backwards("}


def rewritten(text: str) -> str:
    """The expression with what the evaluator cannot be taught under its own name.

    Functions that it knows for fewer types (`string`, `indexOf`) get another name, and `validate`, which answers an
    optional, is wrapped, because a function written in Python cannot make one.
    """
    text = comprehensions.rewritten(text)
    text = _index_call.sub(lambda match: _POSITIONS[match[1]], text)
    if "ip(" in text or "cidr(" in text:
        text = _string_call.sub("textOf(", text)
    if "format." not in text:
        return text
    text = _named_format.sub(r"format.\1()", text)
    while match := _validate_call.search(text):
        end = closing_bracket(text, match.end())
        call = f"{match[1]}.formatProblems({text[match.end() : end]})"
        text = f"{text[: match.start()]}optional.ofNonZeroValue({call}){text[end + 1 :]}"
    return text


def closing_bracket(text: str, at: int) -> int:
    """Where the bracket closes that was opened before `at`."""
    depth, quote = 1, ""
    for position in range(at, len(text)):
        mark = text[position]
        if quote:
            quote = "" if mark == quote and text[position - 1] != "\\" else quote
        elif mark in "'\"":
            quote = mark
        elif mark in "([{":
            depth += 1
        elif mark in ")]}":
            depth -= 1
            if depth == 0:
                return position
    raise CelError("compilation failed: missing ')'")


@cache
def _environment(variables: tuple[str, ...]) -> Any:
    return environment(variables)


def environment(variables: Iterable[str], pool: Any = None, typed: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """What expressions over these variables are compiled in; `typed` has the types of some, of `pool`."""
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_bindings, ext_encoders, ext_math, ext_optional, ext_strings

    extensions = [
        ext_strings.ExtStrings(),
        ext_math.ExtMath(),
        ext_optional.ExtOptional(),
        ext_encoders.ExtEncoders(),
        ext_bindings.ExtBindings(),
    ]
    types = {name: typed.get(name, cel.Type.DYN) for name in variables}
    return cel.NewEnv(
        descriptor_pool=pool,
        variables=types,
        extensions=extensions,
        functions=_declared(cel),
    )


_CONCRETE = ("string", "bool", "int", "double", "map", "list")


def _declared(cel: Any) -> list[Any]:
    types = {
        "string": cel.Type.STRING,
        "bool": cel.Type.BOOL,
        "int": cel.Type.INT,
        "double": cel.Type.DOUBLE,
        "dyn": cel.Type.DYN,
        "map": cel.Type.Map(cel.Type.DYN, cel.Type.DYN),
        "list": cel.Type.List(cel.Type.DYN),
    }
    overloads: dict[str, list[Any]] = {}
    for name, is_member, declared_parameters, returns, implementation in FUNCTIONS:
        # The evaluator looks a call up by the values' own types: `dyn` has to be spelled out.
        choices = [_CONCRETE if each == "dyn" else (each,) for each in declared_parameters]
        for parameters in product(*choices):
            identity = f"mizzen_{name}_{'member_' if is_member else ''}{'_'.join(parameters)}".replace(".", "_")
            overloads.setdefault(name, []).append(
                cel.Overload(
                    id=identity,
                    return_type=types[returns],
                    parameters=[types[each] for each in parameters],
                    is_member=is_member,
                    impl=implementation,
                )
            )
    return [cel.FunctionDecl(name, declared) for name, declared in overloads.items()]


def evaluate_variables(
    definitions: Iterable[tuple[str, str]],
    data: Mapping[str, Any],
    names: tuple[str, ...],
    authorize: Authorize | None = None,
) -> dict[str, Any]:
    """The `variables` of a policy, each of which may use those before it; one that fails is left out.

    Using a variable that was left out is an error where it is used, as in the original's lazy evaluation.
    """
    found: dict[str, Any] = {}
    for name, expression in definitions:
        try:
            program = compile_expression(expression, (*names, "variables"))
            found[name] = program.evaluate({**data, "variables": found}, authorize)
        except CelError:
            continue
    return found
