"""ObjectMeta: what every kind's metadata must satisfy, and what an update may not change of it.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/
"""

from collections.abc import Iterable, Iterator
from typing import Any

from mizzen.api.kind import Kind
from mizzen.api.rules import fields
from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, Object, forbidden, invalid, required, too_long

MAX_NAME = 63
"""A generated name is cut so that it fits in a label."""
SUFFIX_LENGTH = 5
SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Letters of generated suffixes: no vowels and no digits that look like letters, so that no word comes out."""
MAX_ANNOTATIONS = 256 << 10
"""Bytes that all annotations of an object may take together."""
STANDARD_FINALIZERS = frozenset(("kubernetes", "orphan", "foregroundDeletion"))
_EVENT_OWNER = {("v1", "Event")}
_IMMUTABLE = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
_CHECKED_WITH_CHANGES = ("metadata.labels", "metadata.annotations", "metadata.ownerReferences")
_MAX_MANAGER = 128
_MAX_SUBRESOURCE = 256


def generated_name(prefix: str, suffix: str) -> str:
    """The name made of a generateName and a random suffix of `SUFFIX_LENGTH` letters of `SUFFIX_ALPHABET`."""
    return prefix[: MAX_NAME - len(suffix)] + suffix


def carry_over(new: Object, old: Object) -> None:
    """Give an update the metadata that clients may leave out or cannot change; the rest is for `validate` to refuse."""
    meta, stored = new["metadata"], old["metadata"]
    meta["creationTimestamp"] = stored.get("creationTimestamp")
    if not meta.get("uid"):
        meta["uid"] = stored.get("uid", "")
    if stored.get("deletionTimestamp"):
        meta["deletionTimestamp"] = stored["deletionTimestamp"]
        if stored.get("deletionGracePeriodSeconds") is not None and meta.get("deletionGracePeriodSeconds") is None:
            meta["deletionGracePeriodSeconds"] = stored["deletionGracePeriodSeconds"]


def validate(kind: Kind, new: Object, old: Object | None) -> Iterator[FieldError]:
    """All that is wrong with the metadata of a new object, given the stored one (None on create).

    An update is checked by the registry and by the kind's own rules, some of them more than once, so that each of its
    causes is reported several times, as clients know it: that of a bad label four times for most kinds.
    """
    meta = new.get("metadata") or {}
    if old is None:
        yield from _name_errors(kind, meta)
        yield from _errors(meta)
        yield from _finalizer_domain_errors(kind, meta)
        return
    whole = list(_errors(meta))
    change = list(_update_errors(meta, old.get("metadata") or {}))
    domains = list(_finalizer_domain_errors(kind, meta))
    if not whole and not change and not domains:
        return
    of_maps = [error for error in whole if error.path.startswith(_CHECKED_WITH_CHANGES)]
    yield from (*whole, *change, *of_maps)
    for _ in range(kind.compares_metadata):
        yield from (*change, *of_maps, *domains)
    for _ in range(kind.revalidates_metadata):
        yield from (*whole, *domains)


def labels(path: str, value: Any) -> Iterator[FieldError]:
    """Errors of a map of labels, all reported at the map."""
    return fields.labels(path, value)


def annotations(path: str, value: Any) -> Iterator[FieldError]:
    """Errors of a map of annotations: keys are qualified names in any case, and all together are not too large."""
    size = 0
    for key, text in value.items():
        for problem in names.qualified_name(key.lower()):
            yield invalid(path, key, problem)
        size += len(key) + (len(text) if text.isascii() else len(text.encode()))
    if size > MAX_ANNOTATIONS:
        yield too_long(path, MAX_ANNOTATIONS)


def _name_errors(kind: Kind, meta: Object) -> Iterator[FieldError]:
    check = kind.check_name or names.dns1123_subdomain
    name, prefix = meta.get("name") or "", meta.get("generateName") or ""
    if prefix:
        yield from (invalid("metadata.generateName", prefix, problem) for problem in check(names.as_prefix(prefix)))
    if not name:
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from (invalid("metadata.name", name, problem) for problem in check(name))
    namespace = meta.get("namespace")
    if kind.namespaced and not namespace:
        yield required("metadata.namespace")
    elif kind.namespaced:
        yield from fields.matches("metadata.namespace", str(namespace), names.dns1123_label)
    elif namespace:
        yield forbidden("metadata.namespace", "not allowed on this type")


def _errors(meta: Object) -> Iterator[FieldError]:
    """What must hold of the metadata of any object, whoever looks at it."""
    if (generation := meta.get("generation")) is not None and generation < 0:
        yield invalid("metadata.generation", generation, "must be greater than or equal to 0")
    if value := meta.get("labels"):
        yield from labels("metadata.labels", value)
    if value := meta.get("annotations"):
        yield from annotations("metadata.annotations", value)
    if value := meta.get("ownerReferences"):
        yield from _owner_errors(value)
    if value := meta.get("finalizers"):
        yield from _finalizer_errors(value)
    if value := meta.get("managedFields"):
        yield from _managed_fields_errors(value)


def _owner_errors(owners: Iterable[Object]) -> Iterator[FieldError]:
    path = "metadata.ownerReferences"
    controller = None
    for owner in owners:
        version = owner.get("apiVersion") or ""
        if not version.rpartition("/")[2] or version.count("/") > 1:
            yield invalid(f"{path}.apiVersion", version, "version must not be empty")
        for field in ("kind", "name", "uid"):
            if not owner.get(field):
                yield invalid(f"{path}.{field}", owner.get(field) or "", f"{field} must not be empty")
        if (version, owner.get("kind")) in _EVENT_OWNER:
            yield invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner")
        if owner.get("controller"):
            if controller is not None:
                detail = (
                    'Only one reference can have Controller set to true. Found "true" in references for '
                    f"{controller} and {owner.get('name')}"
                )
                yield invalid(path, owners, detail)
            else:
                controller = owner.get("name")


def _finalizer_errors(finalizers: list[str]) -> Iterator[FieldError]:
    for finalizer in finalizers:
        yield from fields.matches("metadata.finalizers", finalizer, names.qualified_name)
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        yield invalid("metadata.finalizers", finalizers, "finalizer orphan and foregroundDeletion cannot be both set")


def _finalizer_domain_errors(kind: Kind, meta: Object) -> Iterator[FieldError]:
    if not kind.bare_finalizers and (finalizers := meta.get("finalizers")):
        yield from finalizer_domains("metadata.finalizers", finalizers)


def finalizer_domains(path: str, finalizers: Iterable[str] | None) -> Iterator[FieldError]:
    for i, finalizer in enumerate(finalizers or ()):
        yield from finalizer_domain(f"{path}[{i}]", finalizer)


def finalizer_domain(path: str, finalizer: str) -> Iterator[FieldError]:
    """A finalizer without a domain must be one of Kubernetes' own."""
    if "/" not in finalizer and finalizer not in STANDARD_FINALIZERS:
        yield invalid(path, finalizer, "name is neither a standard finalizer name nor is it fully qualified")


def _managed_fields_errors(entries: Iterable[Object]) -> Iterator[FieldError]:
    for i, entry in enumerate(entries):
        path = f"metadata.managedFields[{i}]"
        if entry.get("operation") not in {"Apply", "Update"}:
            yield invalid(f"{path}.operation", entry.get("operation") or "", "must be `Apply` or `Update`")
        if entry.get("fieldsType", "FieldsV1") != "FieldsV1":
            yield invalid(f"{path}.fieldsType", entry["fieldsType"], "must be `FieldsV1`")
        if len((entry.get("manager") or "").encode()) > _MAX_MANAGER:
            yield too_long(f"{path}.manager", _MAX_MANAGER)
        if len(entry.get("subresource") or "") > _MAX_SUBRESOURCE:
            yield too_long(f"{path}.subresource", _MAX_SUBRESOURCE)


def _update_errors(new: Object, old: Object) -> Iterator[FieldError]:
    if old.get("deletionTimestamp"):
        known = old.get("finalizers") or ()
        added = [finalizer for finalizer in new.get("finalizers") or () if finalizer not in known]
        if added:
            detail = "no new finalizers can be added if the object is being deleted, found new finalizers "
            shown = ", ".join(f'"{finalizer}"' for finalizer in added)
            yield forbidden("metadata.finalizers", f"{detail}[]string{{{shown}}}")
    if (new.get("generation") or 0) < (old.get("generation") or 0):
        yield invalid("metadata.generation", new.get("generation") or 0, "must not be decremented")
    for field in _IMMUTABLE:
        value, stored = new.get(field), old.get(field)
        if value != stored and (value or stored):
            yield invalid(f"metadata.{field}", value, fields.IMMUTABLE)
