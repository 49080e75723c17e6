"""Conditions in the common form: a type, a status, a reason in one word, a message, and when it changed.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from mizzen.api.rules import fields
from mizzen.machinery.errors import FieldError, Object, duplicate, invalid, not_supported, required, too_long

_STATUSES: Final = ("False", "True", "Unknown")
_LONGEST_REASON: Final = 1024
_LONGEST_MESSAGE: Final = 32 * 1024
_is_reason = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?").fullmatch


def fill(status: Object | None) -> None:
    """Every condition of a status shows all that one has, if only as empty strings: typed clients insist."""
    for condition in (status or {}).get("conditions") or ():
        condition.setdefault("lastTransitionTime", None)
        for field in ("status", "reason", "message"):
            if condition.get(field) is None:
                condition[field] = ""


def condition_errors(path: str, conditions: Sequence[Object]) -> Iterator[FieldError]:
    """All that is wrong with a list of conditions."""
    seen: set[str] = set()
    for i, condition in enumerate(conditions):
        type_ = condition.get("type") or ""
        if type_ in seen:
            yield duplicate(f"{path}[{i}].type", type_)
        seen.add(type_)
        yield from _one(f"{path}[{i}]", condition, type_)


def _one(path: str, condition: Object, type_: str) -> Iterator[FieldError]:
    if not type_:
        yield required(f"{path}.type", "must be set")
    else:
        yield from fields.qualified_name(f"{path}.type", type_)
    if (status := condition.get("status") or "") not in _STATUSES:
        yield not_supported(f"{path}.status", status, _STATUSES)
    yield from fields.not_negative(f"{path}.observedGeneration", condition.get("observedGeneration"))
    if not condition.get("lastTransitionTime"):
        yield required(f"{path}.lastTransitionTime", "must be set")
    reason = condition.get("reason") or ""
    if not reason:
        yield required(f"{path}.reason", "must be set")
    else:
        if len(reason) > _LONGEST_REASON:
            yield too_long(f"{path}.reason", _LONGEST_REASON)
        if not _is_reason(reason):
            detail = "a condition reason must start with alphabetic character and consist of alphanumerics, _, : and ,"
            yield invalid(f"{path}.reason", reason, detail)
    if len(condition.get("message") or "") > _LONGEST_MESSAGE:
        yield too_long(f"{path}.message", _LONGEST_MESSAGE)
