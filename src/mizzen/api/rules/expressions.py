"""CEL expressions that users write: whether they compile, and to what.

Ref: https://kubernetes.io/docs/reference/using-api/cel/
"""

from collections.abc import Collection, Iterable, Iterator

from mizzen.machinery import cel
from mizzen.machinery.cel.static import members, undefined, undefined_text
from mizzen.machinery.errors import FieldError, invalid, required

_KIND, _RESOURCE = members("group", "version", "kind"), members("group", "version", "resource")
_REQUEST = members(
    *("subResource", "requestSubResource", "name", "namespace", "operation", "dryRun", "options"),
    kind=_KIND,
    requestKind=_KIND,
    resource=_RESOURCE,
    requestResource=_RESOURCE,
    userInfo=members("username", "uid", "groups", "extra"),
)
"""What an expression may ask of the request."""


def errors(
    path: str,
    expression: str | None,
    variables: Iterable[str],
    *wanted: str,
    declared: Collection[str] | None = None,
) -> Iterator[FieldError]:
    """An expression that must be there, compile, and give a value of a wanted type (`dyn`: any; none named: `bool`).

    `declared` are the members that `variables` has.
    """
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
    scope = {"request": _REQUEST} if declared is None else {"request": _REQUEST, "variables": members(*declared)}
    if unknown := undefined(text, scope):
        yield invalid(path, expression, undefined_text(text, unknown[0]))
        return
    if "dyn" not in types and program.returns.lower() not in {*types, "dyn"}:
        yield invalid(path, expression, f"must evaluate to {' or '.join(types)}")
