"""What a DELETE does to an object: mark it, keep it for its finalizers, or let it go.

Ref: https://kubernetes.io/docs/concepts/architecture/garbage-collection/
"""

from dataclasses import dataclass
from typing import Any, Final

from mizzen.api.kind import Kind
from mizzen.machinery import times
from mizzen.machinery.errors import Errors, Object
from mizzen.server.metadata import FOREGROUND, ORPHAN
from mizzen.server.options import DeleteOptions

DEFINITION_CLEANUP: Final = "customresourcecleanup.apiextensions.k8s.io"
"""The finalizer of definitions of kinds, which holds them until their instances are gone."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Nothing changes; the deletion is already on its way."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Store the object with its deletion recorded."""

    object: Object


@dataclass(frozen=True, slots=True)
class Remove:
    """Take the object out of the store; `object` is how it was last."""

    object: Object


Outcome = Keep | Mark | Remove


def check_preconditions(obj: Object, kind: Kind, options: DeleteOptions) -> None:
    """Raises ApiError Conflict when the object is not the one that was meant."""
    meta = obj["metadata"]
    for wanted, field, label, fate in (
        (options.uid, "uid", "UID", "deleted and then recreated"),
        (options.revision, "resourceVersion", "ResourceVersion", "modified"),
    ):
        if wanted is not None and wanted != meta.get(field):
            why = (
                f"the {label} in the precondition ({wanted}) does not match the {label} in record "
                f"({meta.get(field, '')}). The object might have been {fate}"
            )
            raise Errors.conflict(kind.group, kind.kind, meta["name"], why)


def decide(obj: Object, kind: Kind, options: DeleteOptions, now: float) -> Outcome:
    """What to do with an object (which may be changed) that shall be deleted."""
    if kind.plural == "namespaces" and not kind.group:
        return _namespace(obj, kind, options, now)
    if kind.plural == "customresourcedefinitions" and kind.group == "apiextensions.k8s.io":
        return _definition(obj, kind, options, now)
    meta = obj["metadata"]
    graceful = kind.graceful_seconds is not None
    if meta.get("deletionTimestamp") and meta.get("deletionGracePeriodSeconds") is not None and graceful:
        if not _shortened(meta, options.grace) and not _changes_finalizers(meta, kind, options):
            return Keep()
    elif graceful:
        assert kind.graceful_seconds is not None
        _mark(meta, max(0, kind.graceful_seconds(obj, options.grace)), now)
    _set_finalizers(meta, kind, options)
    if meta.get("finalizers"):
        _mark(meta, 0, now)
        return Mark(obj)
    if graceful and meta.get("deletionGracePeriodSeconds"):
        return Mark(obj)
    return Remove(obj)


def is_finished(obj: Object) -> bool:
    """Whether an object that is being deleted may go: no finalizers and no grace left."""
    meta = obj["metadata"]
    if not meta.get("deletionTimestamp") or meta.get("finalizers") or meta.get("deletionGracePeriodSeconds"):
        return False
    if obj.get("kind") == "Namespace" and obj.get("apiVersion") == "v1":
        return not (obj.get("spec") or {}).get("finalizers")
    return True


def _namespace(obj: Object, kind: Kind, options: DeleteOptions, now: float) -> Outcome:
    """A namespace goes in two steps: Terminating until the namespace controller has emptied it."""
    meta = obj["metadata"]
    if not meta.get("deletionTimestamp"):
        meta["deletionTimestamp"] = times.format(now)
        obj.setdefault("status", {})["phase"] = "Terminating"
        _set_finalizers(meta, kind, options)
        return Mark(obj)
    if meta.get("finalizers") or (obj.get("spec") or {}).get("finalizers"):
        return Keep()
    return Remove(obj)


def _definition(obj: Object, kind: Kind, options: DeleteOptions, now: float) -> Outcome:
    """A definition of a kind says that it is going, and goes when its instances are gone."""
    meta = obj["metadata"]
    _set_finalizers(meta, kind, options)
    if meta.get("deletionTimestamp"):
        return Mark(obj) if meta.get("finalizers") else Remove(obj)
    if DEFINITION_CLEANUP not in meta.get("finalizers", ()):
        meta["finalizers"] = [*meta.get("finalizers", ()), DEFINITION_CLEANUP]
    when = meta["deletionTimestamp"] = times.format(now)
    status = obj.setdefault("status", {})
    pending = {
        "type": "Terminating",
        "status": "True",
        "lastTransitionTime": when,
        "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    }
    others = [one for one in status.get("conditions") or () if one.get("type") != "Terminating"]
    status["conditions"] = [*others, pending]
    return Mark(obj)


def _shortened(meta: Object, asked: int | None) -> bool:
    """A second deletion may only shorten the grace period."""
    current = meta["deletionGracePeriodSeconds"]
    if asked is None or asked >= current:
        return False
    begun = times.parse(meta["deletionTimestamp"]) - current
    meta["deletionTimestamp"] = times.format(begun + asked)
    meta["deletionGracePeriodSeconds"] = asked
    return True


def _mark(meta: Object, seconds: int, now: float) -> None:
    """Record the deletion once; the generation grows, since controllers must behave differently from now on."""
    if meta.get("deletionTimestamp"):
        return
    meta["deletionTimestamp"] = times.format(now + seconds)
    meta["deletionGracePeriodSeconds"] = seconds
    if meta.get("generation"):
        meta["generation"] += 1


def _wanted_finalizers(meta: Object, kind: Kind, options: DeleteOptions) -> list[Any]:
    present = meta.get("finalizers") or []
    orphan, foreground = ORPHAN in present, FOREGROUND in present
    policy = options.propagation
    if policy is not None:
        orphan, foreground = policy == "Orphan", policy == "Foreground"
    elif not orphan and not foreground:
        orphan, foreground = kind.default_propagation == "Orphan", kind.default_propagation == "Foreground"
    wanted = [name for name in present if name not in (ORPHAN, FOREGROUND)]
    return wanted + [ORPHAN] * orphan + [FOREGROUND] * foreground


def _changes_finalizers(meta: Object, kind: Kind, options: DeleteOptions) -> bool:
    return _wanted_finalizers(meta, kind, options) != list(meta.get("finalizers") or ())


def _set_finalizers(meta: Object, kind: Kind, options: DeleteOptions) -> None:
    wanted = _wanted_finalizers(meta, kind, options)
    if wanted:
        meta["finalizers"] = wanted
    else:
        meta.pop("finalizers", None)
