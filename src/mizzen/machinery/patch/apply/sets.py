"""Sets of field paths, kept in the very form of FieldsV1: `{"f:spec": {".": {}, "f:replicas": {}}}`.

A key with an empty value is a member; with children it is one only when `.` is among them. Sets are never changed
in place, so parts may be shared.
Ref: https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

Fields = Mapping[str, Any]
"""A set of paths below some node."""

SELF = "."
LEAF: dict[str, Any] = {}
EMPTY: Fields = {}


def is_member(node: Fields) -> bool:
    return not node or SELF in node


def union(left: Fields, right: Fields) -> Fields:
    if not left:
        return right
    if not right:
        return left
    out = dict(left)
    for step, node in right.items():
        known = out.get(step)
        if known is None:
            out[step] = node
        elif step != SELF and known != node:
            out[step] = _joined(is_member(known) or is_member(node), union(_below(known), _below(node)))
    return out


def difference(left: Fields, right: Fields) -> Fields:
    """The members of the left that are not members of the right."""
    out: dict[str, Any] = {}
    for step, node in left.items():
        taken = right.get(step)
        if step == SELF or taken is None:
            out[step] = node
            continue
        if node == taken:
            continue
        member = is_member(node) and not is_member(taken)
        below = difference(_below(node), _below(taken))
        if member or below:
            out[step] = _joined(member, below)
    return out


def without_trees(left: Fields, right: Fields) -> Fields:
    """The members of the left that are neither members of the right nor below one."""
    out: dict[str, Any] = {}
    for step, node in left.items():
        taken = right.get(step)
        if taken is None:
            out[step] = node
        elif not is_member(taken):
            below = without_trees(_below(node), _below(taken))
            if is_member(node) or below:
                out[step] = _joined(is_member(node), below)
    return out


def intersection(left: Fields, right: Fields) -> Fields:
    out: dict[str, Any] = {}
    for step, node in left.items():
        other = right.get(step)
        if other is None or step == SELF:
            continue
        member = is_member(node) and is_member(other)
        below = intersection(_below(node), _below(other))
        if member or below:
            out[step] = _joined(member, below)
    return out


def overlap(left: Fields, right: Fields) -> bool:
    """Whether the sets have a member in common."""
    if len(left) > len(right):
        left, right = right, left
    for step, node in left.items():
        other = right.get(step)
        if other is None or step == SELF:
            continue
        if (is_member(node) and is_member(other)) or overlap(node, other):
            return True
    return False


def _below(node: Fields) -> Fields:
    """A node's children without its own membership."""
    if SELF not in node:
        return node
    return {step: inner for step, inner in node.items() if step != SELF}


def _joined(member: bool, below: Fields) -> Fields:
    if not below:
        return LEAF
    return {SELF: LEAF, **below} if member else below


def paths(fields: Fields, prefix: str = "") -> Iterator[str]:
    """All members as they stand in conflicts: `.spec.containers[name="fire"].args`, sorted by step."""
    for step in sorted(fields):
        if step == SELF:
            continue
        node, where = fields[step], prefix + shown(step)
        if is_member(node):
            yield where
        yield from paths(node, where)


def shown(step: str) -> str:
    """One step of a path as messages show it."""
    kind, _, rest = step.partition(":")
    match kind:
        case "f":
            return f".{rest}"
        case "k":
            keys = orjson.loads(rest)
            return "[" + ",".join(f"{key}={orjson.dumps(value).decode()}" for key, value in sorted(keys.items())) + "]"
        case "v":
            return f"[={rest}]"
        case _:
            return f"[{rest}]"


def is_valid(fields: Any) -> bool:
    """Whether a client's FieldsV1 is well formed."""
    if not isinstance(fields, dict):
        return False
    for step, node in fields.items():
        if step != SELF and step[:2] not in _STEPS:
            return False
        if node != LEAF and not is_valid(node):
            return False
    return True


_STEPS = frozenset({"f:", "k:", "v:", "i:"})
