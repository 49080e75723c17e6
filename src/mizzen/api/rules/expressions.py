"""CEL expressions that users write: whether they compile, and to what.

Ref: https://kubernetes.io/docs/reference/using-api/cel/
"""

from collections.abc import Iterable, Iterator

from mizzen.machinery import cel
from mizzen.machinery.errors import FieldError, invalid, required


def errors(path: str, expression: str | None, variables: Iterable[str], *wanted: str) -> Iterator[FieldError]:
    """An expression that must be there, compile, and give a value of a wanted type (`dyn`: any; none named: `bool`)."""
    types = wanted or ("bool",)
    text = (expression or "").strip()
    if not text:
        yield required(path)
        return
    try:
        program = cel.compile_expression(text, tuple(variables))
    except cel.CelError as failure:
        yield invalid(path, expression, str(failure))
        return
    if "dyn" not in types and program.returns.lower() not in {*types, "dyn"}:
        yield invalid(path, expression, f"must evaluate to {' or '.join(types)}")
