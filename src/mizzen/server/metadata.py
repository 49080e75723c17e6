"""ObjectMeta: filled in on create, carried over on update, and all that can be wrong with it.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from mizzen.api.kind import Kind
from mizzen.machinery import labels, names, times
from mizzen.machinery.errors import (
    Errors,
    FieldError,
    Object,
    forbidden,
    invalid,
    not_supported,
    required,
    too_long,
)

ANNOTATIONS_LIMIT: Final = 256 << 10
FOREGROUND: Final = "foregroundDeletion"
ORPHAN: Final = "orphan"
_SYSTEM_FIELDS: Final = ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion")
_STANDARD_FINALIZERS: Final = frozenset({FOREGROUND, ORPHAN, "kubernetes"})
_CARRIED: Final = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
_NAME_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH: Final = 5
_LONGEST_PREFIX: Final = 63 - _SUFFIX_LENGTH


@lru_cache(maxsize=4)
def timestamp(second: int) -> str:
    """A Time; the same for everything that happens within its second."""
    return times.format(second)


def place(obj: Object, kind: Kind, namespace: str) -> None:
    """Put an object into the namespace of its request. Raises ApiError 400 when it says another."""
    meta = obj.setdefault("metadata", {})
    stated = meta.get("namespace") or ""
    if kind.namespaced and not stated:
        meta["namespace"] = namespace
        stated = namespace
    if not stated:
        meta.pop("namespace", None)
    if stated != (namespace if kind.namespaced else ""):
        why = "the namespace of the provided object does not match the namespace sent on the request"
        raise Errors.bad_request(why)


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
    meta = obj["metadata"]
    name = meta.get("name") or ""
    prefix = meta.get("generateName") or ""
    check = kind.check_name or names.dns1123_subdomain
    if prefix:
        base = prefix[:-1] + "a" if prefix.endswith("-") else prefix
        yield from (invalid("metadata.generateName", prefix, problem) for problem in check(base))
    if not name:
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from (invalid("metadata.name", name, problem) for problem in check(name))
    yield from _check_namespace(meta, kind)
    yield from check_common(meta, qualified=_qualifies(kind, typed=typed))


def _check_namespace(meta: Object, kind: Kind) -> Iterator[FieldError]:
    namespace = meta.get("namespace") or ""
    if not kind.namespaced:
        if namespace:
            yield forbidden("metadata.namespace", "not allowed on this type")
        return
    if not namespace:
        yield required("metadata.namespace")
        return
    yield from (invalid("metadata.namespace", namespace, problem) for problem in names.dns1123_label(namespace))


def _qualifies(kind: Kind, *, typed: bool) -> bool:
    """Whether finalizers must be qualified names; definitions of kinds and custom resources have older ones."""
    return typed and kind.group != "apiextensions.k8s.io"


def check_common(meta: Object, *, qualified: bool) -> Iterator[FieldError]:
    """What holds for new and changed metadata alike."""
    generation = meta.get("generation")
    if isinstance(generation, int) and generation < 0:
        yield invalid("metadata.generation", generation, "must be greater than or equal to 0")
    yield from labels.validate_labels(meta.get("labels"), "metadata.labels")
    yield from check_annotations(meta.get("annotations"), "metadata.annotations")
    yield from _check_owners(meta.get("ownerReferences") or ())
    yield from _check_finalizers(meta.get("finalizers") or (), qualified=qualified)


def check_annotations(annotations: Object | None, path: str) -> Iterator[FieldError]:
    """Keys are qualified names in any case; the total size is limited."""
    size = 0
    for key, value in (annotations or {}).items():
        yield from (invalid(path, key, problem) for problem in names.qualified_name(key.lower()))
        size += len(key.encode()) + len(str(value).encode())
    if size > ANNOTATIONS_LIMIT:
        yield too_long(path, ANNOTATIONS_LIMIT)


def _check_owners(owners: Any) -> Iterator[FieldError]:
    controllers: list[str] = []
    for position, owner in enumerate(owners):
        path = f"metadata.ownerReferences[{position}]"
        group, slash, version = (owner.get("apiVersion") or "").rpartition("/")
        if not version or (slash and not group):
            yield invalid(f"{path}.apiVersion", owner.get("apiVersion") or "", "version must not be empty")
        for name in ("kind", "name", "uid"):
            if not owner.get(name):
                yield invalid(f"{path}.{name}", "", "must not be empty")
        if (group, version, owner.get("kind")) == ("", "v1", "Event"):
            yield invalid(path, "/v1, Kind=Event", "/v1, Kind=Event is disallowed from being an owner")
        if owner.get("controller"):
            controllers.append(f"{owner.get('kind')}/{owner.get('name')}")
            if len(controllers) > 1:
                first, second = controllers[:2]
                detail = (
                    "Only one reference can have Controller set to true. "
                    f'Found "true" in references for {first} and {second}'
                )
                yield invalid("metadata.ownerReferences", _shown_owners(owners), detail)


def _shown_owners(owners: Any) -> Any:
    return [dict(owner) for owner in owners]


def _check_finalizers(finalizers: Any, *, qualified: bool) -> Iterator[FieldError]:
    path = "metadata.finalizers"
    for position, finalizer in enumerate(finalizers):
        problems = names.qualified_name(finalizer)
        yield from (invalid(path, finalizer, problem) for problem in problems)
        if qualified and not problems and "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            yield invalid(
                f"{path}[{position}]", finalizer, "name is neither a standard finalizer name nor is it fully qualified"
            )
    if FOREGROUND in finalizers and ORPHAN in finalizers:
        yield invalid(path, list(finalizers), f"finalizer {FOREGROUND} and {ORPHAN} cannot be both set")


def check_update(obj: Object, old: Object, kind: Kind, *, typed: bool) -> Iterator[FieldError]:
    """All that is wrong with a changed object's metadata.

    What may not change is reported twice for built-in kinds, as the original does, which looks at it twice.
    """
    meta, before = obj["metadata"], old["metadata"]
    changed = list(_check_changed(meta, before))
    yield from changed
    if typed:
        yield from changed
    yield from check_common(meta, qualified=_qualifies(kind, typed=typed))


def _check_changed(meta: Object, before: Object) -> Iterator[FieldError]:
    if before.get("deletionTimestamp"):
        new = [name for name in meta.get("finalizers") or () if name not in (before.get("finalizers") or ())]
        if new:
            shown = " ".join(f'"{name}"' for name in new)
            detail = (
                "no new finalizers can be added if the object is being deleted, "
                f"found new finalizers []string{{{shown}}}"
            )
            yield forbidden("metadata.finalizers", detail)
    for name in ("name", "namespace", "uid", "creationTimestamp", *_CARRIED[2:]):
        if meta.get(name) != before.get(name):
            yield invalid(f"metadata.{name}", meta.get(name), "field is immutable")


def check_managed_fields(meta: Object) -> Iterator[FieldError]:
    """What is wrong with the record of managers when a client sends it."""
    for position, entry in enumerate(meta.get("managedFields") or ()):
        path = f"metadata.managedFields[{position}]"
        if entry.get("operation") not in ("Apply", "Update"):
            yield invalid(f"{path}.operation", entry.get("operation", ""), "must be `Apply` or `Update`")
        if entry.get("fieldsType") not in (None, "", "FieldsV1"):
            yield not_supported(f"{path}.fieldsType", entry["fieldsType"], ("FieldsV1",))
