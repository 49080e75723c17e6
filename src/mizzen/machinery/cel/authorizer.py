"""The `authorizer` variable: `authorizer.group('apps').resource('deployments').check('update').allowed()`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

Question = dict[str, Any]
"""What is asked: verb, and group, resource, subresource, namespace, name, or path; perhaps a service account."""
Authorize = Callable[[Question], tuple[bool, str]]
"""Answers whether it is allowed, and why."""

_current: ContextVar[Authorize | None] = ContextVar("authorizer", default=None)


@contextmanager
def authorizing(authorize: Authorize | None) -> Iterator[None]:
    """Within it, checks of the `authorizer` variable are answered by this function."""
    token = _current.set(authorize)
    try:
        yield
    finally:
        _current.reset(token)


AUTHORIZER: dict[str, Any] = {"authorizer": {}}
"""The value of the variable."""


def _with(name: str) -> Callable[[dict[str, Any], str], dict[str, Any]]:
    return lambda value, text: {"authorizer": {**value["authorizer"], name: text}}


def _service_account(value: dict[str, Any], namespace: str, name: str) -> dict[str, Any]:
    user = f"system:serviceaccount:{namespace}:{name}"
    return {"authorizer": {**value["authorizer"], "user": user}}


def _check(value: dict[str, Any], verb: str) -> dict[str, Any]:
    authorize = _current.get()
    allowed, why = authorize({**value["authorizer"], "verb": verb}) if authorize is not None else (False, "")
    return {"decision": {"allowed": allowed, "reason": why}}


AUTHORIZER_FUNCTIONS: tuple[tuple[str, bool, tuple[str, ...], str, Callable[..., Any]], ...] = (
    *(
        (name, True, ("map", "string"), "map", _with(name))
        for name in ("group", "resource", "subresource", "namespace", "name", "path", "fieldSelector", "labelSelector")
    ),
    ("serviceAccount", True, ("map", "string", "string"), "map", _service_account),
    ("check", True, ("map", "string"), "map", _check),
    ("allowed", True, ("map",), "bool", lambda value: value["decision"]["allowed"]),
    ("reason", True, ("map",), "string", lambda value: value["decision"]["reason"]),
    ("errored", True, ("map",), "bool", lambda _value: False),
    ("error", True, ("map",), "string", lambda _value: ""),
)
