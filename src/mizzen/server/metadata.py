"""ObjectMeta: filled in on create, carried over on update.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from mizzen.api.kind import Kind
from mizzen.api.meta import validate
from mizzen.machinery import times
from mizzen.machinery.errors import Errors, FieldError, Object

FOREGROUND: Final = "foregroundDeletion"
ORPHAN: Final = "orphan"
_SYSTEM_FIELDS: Final = ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion")
_CARRIED: Final = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
_NAME_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH: Final = 5
_LONGEST_PREFIX: Final = 63 - _SUFFIX_LENGTH


@lru_cache(maxsize=4)
def timestamp(second: int) -> str:
    """A Time; the same for everything that happens within its second."""
    return times.format(second)


def place(obj: Object, kind: Kind, namespace: str) -> None:
    """Put an object into the namespace of its request, or in none. Raises ApiError 400 when it says another."""
    meta = obj.setdefault("metadata", {})
    stated = meta.get("namespace") or ""
    if not kind.namespaced:
        meta.pop("namespace", None)
    elif not stated:
        meta["namespace"] = namespace
    elif stated != namespace:
        why = "the namespace of the provided object does not match the namespace sent on the request"
        raise Errors.bad_request(why)


def merge_owners(meta: Object) -> str:
    """Leave out owners that are named twice; answers the warning that tells of it, or nothing."""
    owners = meta.get("ownerReferences")
    if not isinstance(owners, list) or len(owners) < 2:
        return ""
    kept: list[Object] = []
    repeated: list[str] = []
    for owner in owners:
        if owner in kept:
            repeated.append(owner.get("uid", ""))
        else:
            kept.append(owner)
    if not repeated:
        return ""
    meta["ownerReferences"] = kept
    return (
        ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may "
        "reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: "
        f"{', '.join(repeated)}"
    )


def generate_name(prefix: str, digits: int) -> str:
    """A name from a prefix and a random number."""
    suffix = ""
    for _ in range(_SUFFIX_LENGTH):
        digits, place_value = divmod(digits, len(_NAME_ALPHABET))
        suffix += _NAME_ALPHABET[place_value]
    return prefix[:_LONGEST_PREFIX] + suffix


def begin(meta: Object, uid: str, now: str) -> None:
    """Fill in what the server gives to a new object."""
    for name in _SYSTEM_FIELDS:
        meta.pop(name, None)
    meta["uid"] = uid
    meta["creationTimestamp"] = now


def carry(meta: Object, old: Object) -> None:
    """Fill in what an update leaves out; a client may not remove a deletion, nor change the generation."""
    meta.pop("selfLink", None)
    if "creationTimestamp" in old:
        meta["creationTimestamp"] = old["creationTimestamp"]
    for name in _CARRIED:
        if meta.get(name) is None:
            meta.pop(name, None)
            if name in old:
                meta[name] = old[name]
    if "generation" in old:
        meta["generation"] = old["generation"]
    else:
        meta.pop("generation", None)


def check_create(obj: Object, kind: Kind, *, typed: bool) -> Iterator[FieldError]:
    """All that is wrong with a new object's metadata."""
    return _of_kind(validate(kind, obj, None), typed=typed)


def check_update(obj: Object, old: Object, kind: Kind, *, typed: bool) -> Iterator[FieldError]:
    """All that is wrong with a changed object's metadata."""
    return _of_kind(validate(kind, obj, old), typed=typed)


def _of_kind(errors: Iterator[FieldError], *, typed: bool) -> Iterator[FieldError]:
    """Finalizers of custom resources need no domain."""
    return errors if typed else (error for error in errors if not error.path.startswith("metadata.finalizers["))
