"""Status as controllers write it: conditions with their times, and patches that name only what changed."""

from collections.abc import Sequence
from typing import Any

import msgspec

from mizzen.api.views.meta import Condition, ObjectMeta, View, plain
from mizzen.client.client import Resource
from mizzen.machinery import times
from mizzen.machinery.errors import Object
from mizzen.reconcile.plan import Patch


def changes(old: View, new: View, always: Sequence[str] = ()) -> Object:
    """A merge patch from one status to another: zero and empty fields are removed, unless named in `always`."""
    patch: Object = {}
    for field in old.__struct_fields__:
        before, after = getattr(old, field), getattr(new, field)
        if before != after:
            patch[field] = _merging(before, after) if after or field in always else None
    return patch


def _merging(before: Any, after: Any) -> Any:
    """A value as a merge patch: what a nested object lacks now is removed by name."""
    written = _written(after)
    if not isinstance(written, dict):
        return written
    names = before.__struct_fields__ if isinstance(before, View) else before if isinstance(before, dict) else ()
    return {**dict.fromkeys(names), **written}


def status_patch(
    resource: Resource, meta: ObjectMeta, old: View, new: View, always: Sequence[str] = ()
) -> tuple[Patch, ...]:
    """The action that makes the status so; nothing when it is."""
    patch = changes(old, new, always)
    if not patch:
        return ()
    return (
        Patch(
            resource,
            meta.namespace,
            meta.name,
            {"status": patch},
            subresource="status",
            uid=meta.uid,
            resource_version=meta.resourceVersion,
        ),
    )


def with_condition(
    conditions: tuple[Condition, ...],
    kind: str,
    status: str,
    reason: str,
    message: str,
    now: float,
    *,
    updated: bool = False,
) -> tuple[Condition, ...]:
    """Set a condition, at the end; unchanged status and reason leave it alone, whatever the message.

    `updated` also keeps a lastUpdateTime.
    """
    stamp = times.format(now)
    old = next((one for one in conditions if one.type == kind), None)
    if old is not None and old.status == status and old.reason == reason:
        return conditions
    since = old.lastTransitionTime if old is not None and old.status == status else stamp
    new = Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        lastTransitionTime=since,
        lastUpdateTime=stamp if updated else None,
    )
    return (*(one for one in conditions if one.type != kind), new)


def restated(
    conditions: tuple[Condition, ...], kind: str, status: str, reason: str, message: str, now: float
) -> tuple[Condition, ...]:
    """Set a condition where it stands, its message too; the time is that of the last change of status."""
    old = next((one for one in conditions if one.type == kind), None)
    if old is None:
        return with_condition(conditions, kind, status, reason, message, now)
    since = old.lastTransitionTime if old.status == status else times.format(now)
    new = msgspec.structs.replace(old, status=status, reason=reason, message=message, lastTransitionTime=since)
    return tuple(new if one is old else one for one in conditions)


def without_condition(conditions: tuple[Condition, ...], kind: str) -> tuple[Condition, ...]:
    return tuple(one for one in conditions if one.type != kind)


def created_at(meta: ObjectMeta) -> float:
    """When the object was created; 0 when that is not known."""
    return times.parse(meta.creationTimestamp) if meta.creationTimestamp else 0.0


def _written(value: Any) -> Any:
    if isinstance(value, View):
        return plain(value)
    if isinstance(value, tuple):
        return [_written(one) for one in value]
    return msgspec.to_builtins(value)
