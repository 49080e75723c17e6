"""What every object has: metadata, owners, conditions and label selectors.

Every view is a frozen struct outside the garbage collector's reach; its dicts are shared and must never be changed.
"""

from collections.abc import Mapping
from typing import Any

import msgspec


class View(msgspec.Struct, frozen=True, gc=False):
    """Base of all views."""


class OwnerReference(View, frozen=True, gc=False):
    apiVersion: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False
    blockOwnerDeletion: bool = False


class ObjectMeta(View, frozen=True, gc=False):
    name: str = ""
    generateName: str = ""
    namespace: str = ""
    uid: str = ""
    resourceVersion: str = ""
    generation: int = 0
    creationTimestamp: str | None = None
    deletionTimestamp: str | None = None
    deletionGracePeriodSeconds: int | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    ownerReferences: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()

    @property
    def controller(self) -> OwnerReference | None:
        """The one owner that manages this object."""
        return next((owner for owner in self.ownerReferences if owner.controller), None)

    @property
    def deleting(self) -> bool:
        return self.deletionTimestamp is not None


class Partial(View, frozen=True, gc=False):
    """An object of any kind, as the garbage collector sees it."""

    apiVersion: str = ""
    kind: str = ""
    metadata: ObjectMeta = ObjectMeta()


class Condition(View, frozen=True, gc=False):
    """A condition of any kind of object; the fields that its kind lacks stay None."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    lastTransitionTime: str | None = None
    lastUpdateTime: str | None = None
    lastProbeTime: str | None = None
    lastHeartbeatTime: str | None = None
    observedGeneration: int | None = None


class Requirement(View, frozen=True, gc=False):
    """One expression of a label or node selector."""

    key: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Raises ValueError for an unknown operator."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels
            case "Gt" | "Lt":
                return self.key in labels and _compares(self.operator, labels[self.key], self.values)
        raise ValueError(f"unknown selector operator {self.operator!r}")


class LabelSelector(View, frozen=True, gc=False):
    matchLabels: dict[str, str] = {}
    matchExpressions: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether all of it holds; an empty selector matches everything."""
        return all(labels.get(key) == value for key, value in self.matchLabels.items()) and all(
            requirement.matches(labels) for requirement in self.matchExpressions
        )

    @property
    def empty(self) -> bool:
        return not self.matchLabels and not self.matchExpressions


class ObjectReference(View, frozen=True, gc=False):
    apiVersion: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    resourceVersion: str = ""
    fieldPath: str = ""


def _compares(operator: str, have: str, values: tuple[str, ...]) -> bool:
    try:
        left, right = int(have), int(values[0])
    except (ValueError, IndexError):
        return False
    return left > right if operator == "Gt" else left < right


def condition(conditions: tuple[Condition, ...], kind: str) -> Condition | None:
    """The condition of that type."""
    return next((one for one in conditions if one.type == kind), None)


def is_true(conditions: tuple[Condition, ...], kind: str) -> bool:
    """Whether the condition of that type is present with status True."""
    return any(one.type == kind and one.status == "True" for one in conditions)


def plain(view: Any) -> Any:
    """A view as JSON without the fields that are at their default."""
    return _pruned(msgspec.to_builtins(view))


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _pruned(one) for key, one in value.items() if one not in (None, "", (), [], {}, 0, False)}
    if isinstance(value, list | tuple):
        return [_pruned(one) for one in value]
    return value
