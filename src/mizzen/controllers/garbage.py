"""The garbage collector: dependents go when their owners are gone, in the background, the foreground, or not at all.

Ref: https://kubernetes.io/docs/concepts/architecture/garbage-collection/
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from mizzen.api.views.core import Namespace
from mizzen.api.views.meta import ObjectMeta, OwnerReference, plain
from mizzen.client.cache import BY_OWNER, BY_UID, Cache
from mizzen.client.client import Resource
from mizzen.client.resources import NAMESPACES
from mizzen.reconcile.controller import Controller, Watch
from mizzen.reconcile.plan import NOTHING, Action, Answer, Delete, Get, Note, Patch, Plan, Reference

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_LOOK_AGAIN = 30.0
"""Seconds until an owner is asked for again whose kind is not served (yet), or whose server did not answer."""


class OwnerState(Enum):
    """How an owner stands."""

    SOLID = "solid"
    WAITING = "waits for its dependents"
    ABSENT = "absent"
    UNSURE = "not in the cache"
    UNKNOWN = "cannot be told now"
    IMPOSSIBLE = "in a namespace, of an object that is in none"


@dataclass(frozen=True, slots=True)
class Owner:
    """One owner reference, where its object would be, and how it stands."""

    reference: OwnerReference
    state: OwnerState
    question: Get | None = None
    elsewhere: bool = False
    """An object with that uid is in another namespace."""


@dataclass(frozen=True, slots=True)
class Dependent:
    """An object that names the examined one as an owner."""

    resource: Resource
    metadata: ObjectMeta


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One object with its owners and dependents."""

    resource: Resource
    api_version: str
    kind: str
    metadata: ObjectMeta
    owners: tuple[Owner, ...]
    dependents: tuple[Dependent, ...]


def key_for(resource: Resource, metadata: ObjectMeta) -> str:
    """The key under which an object of any kind is examined."""
    return f"{resource.group}|{resource.version}|{resource.plural}|{metadata.namespace}|{metadata.name}"


def keys(cache: Cache, resource: Resource, seen: Any) -> Iterator[str]:
    """The object itself when it has owners or is held by us; owners that it leaves; its dependents when it goes."""
    meta: ObjectMeta = seen.metadata
    if meta.ownerReferences or (meta.deleting and _is_held(meta)):
        yield key_for(resource, meta)
    table = cache.find(resource)
    now = table.get(meta.namespace, meta.name) if table is not None else None
    goes = now is None or now.metadata.uid != meta.uid or meta.deleting
    for owner in meta.ownerReferences:
        if not goes and now is not None and owner in now.metadata.ownerReferences:
            continue
        found = cache.kinds.get((owner.apiVersion, owner.kind))
        if found is not None:
            namespace = meta.namespace if found.namespaced else ""
            yield key_for(found, ObjectMeta(name=owner.name, namespace=namespace))
    if not goes:
        return
    for dependent in dependents(cache, meta.uid):
        yield key_for(dependent.resource, dependent.metadata)


def dependents(cache: Cache, uid: str) -> Iterator[Dependent]:
    """Everything that names this uid as an owner."""
    for table in cache.tables:
        for seen in table.by(BY_OWNER, uid):
            yield Dependent(table.resource, seen.metadata)


def observe(cache: Cache, key: str) -> Snapshot | None:
    group, version, plural, namespace, name = key.split("|")
    for namespaced in (True, False):
        table = cache.find(Resource(group, version, plural, namespaced))
        seen = table.get(namespace, name) if table is not None else None
        if table is not None and seen is not None:
            break
    else:
        return None
    meta = seen.metadata
    owners = tuple(_owner(cache, meta, reference) for reference in meta.ownerReferences)
    api_version, kind = next((one for one, found in cache.kinds.items() if found == table.resource), ("", ""))
    return Snapshot(table.resource, api_version, kind, meta, owners, tuple(dependents(cache, meta.uid)))


def _owner(cache: Cache, meta: ObjectMeta, reference: OwnerReference) -> Owner:
    resource = cache.kinds.get((reference.apiVersion, reference.kind))
    if resource is None:
        return Owner(reference, OwnerState.UNKNOWN)
    if resource.namespaced and not meta.namespace:
        return Owner(reference, OwnerState.IMPOSSIBLE)
    namespace = meta.namespace if resource.namespaced else ""
    table = cache.find(resource)
    found = table.get(namespace, reference.name) if table is not None else None
    if found is None or found.metadata.uid != reference.uid:
        elsewhere = table is not None and any(
            one.metadata.namespace != namespace for one in table.by(BY_UID, reference.uid)
        )
        return Owner(reference, OwnerState.UNSURE, Get(resource.path(namespace, reference.name)), elsewhere)
    waiting = found.metadata.deleting and FOREGROUND in found.metadata.finalizers
    return Owner(reference, OwnerState.WAITING if waiting else OwnerState.SOLID)


def informed(seen: Snapshot, answers: Mapping[Get, Answer]) -> Snapshot:
    """The snapshot with the API's word on owners that the cache lacks."""
    return replace(seen, owners=tuple(_verified(owner, answers) for owner in seen.owners))


def _verified(owner: Owner, answers: Mapping[Get, Answer]) -> Owner:
    answer = answers.get(owner.question) if owner.question is not None else None
    if answer is None:
        return owner
    if answer.status == 404:
        return replace(owner, state=OwnerState.ABSENT, question=None)
    if answer.status != 200:
        return replace(owner, state=OwnerState.UNKNOWN, question=None)
    meta = answer.body["metadata"]
    if meta.get("uid") != owner.reference.uid:
        return replace(owner, state=OwnerState.ABSENT, question=None)
    waiting = meta.get("deletionTimestamp") and FOREGROUND in (meta.get("finalizers") or ())
    return replace(owner, state=OwnerState.WAITING if waiting else OwnerState.SOLID, question=None)


def reconcile(seen: Snapshot, now: float) -> Plan:
    meta = seen.metadata
    if meta.deleting and ORPHAN in meta.finalizers:
        return _orphan(seen)
    if meta.deleting and FOREGROUND in meta.finalizers:
        return _foreground(seen)
    if meta.deleting or not seen.owners:
        return NOTHING
    questions = tuple(owner.question for owner in seen.owners if owner.question is not None)
    if questions:
        return Plan(ask=questions)
    return replace(_judge(seen), notes=_misplaced(seen))


def _judge(seen: Snapshot) -> Plan:
    """Keep, disown or delete an object by the state of its owners."""
    by_state = {state: [o.reference for o in seen.owners if o.state is state] for state in OwnerState}
    if by_state[OwnerState.UNKNOWN]:
        return Plan(requeue_after=_LOOK_AGAIN)
    if by_state[OwnerState.IMPOSSIBLE]:
        return NOTHING
    lost = [*by_state[OwnerState.ABSENT], *by_state[OwnerState.WAITING]]
    if by_state[OwnerState.SOLID]:
        return Plan((_disown(seen.resource, seen.metadata, {one.uid for one in lost}),)) if lost else NOTHING
    if by_state[OwnerState.WAITING] and seen.dependents:
        # A dependent that waits in turn closes a circle, in which everybody would wait for the next forever.
        circle = any(one.metadata.deleting and FOREGROUND in one.metadata.finalizers for one in seen.dependents)
        if circle and any(owner.reference.blockOwnerDeletion for owner in seen.owners):
            return Plan((_unblock(seen),))
        return Plan((_delete(seen, "Foreground"),))
    for finalizer, propagation in ((ORPHAN, "Orphan"), (FOREGROUND, "Foreground")):
        if finalizer in seen.metadata.finalizers:
            return Plan((_delete(seen, propagation),))
    return Plan((_delete(seen, "Background"),))


def _misplaced(seen: Snapshot) -> tuple[Note, ...]:
    """A word on every owner that cannot be where the reference says: owners live in the same namespace, or in none."""
    subject = Reference(seen.api_version, seen.kind, seen.metadata.namespace, seen.metadata.name, seen.metadata.uid)
    return tuple(
        Note(
            subject,
            "OwnerRefInvalidNamespace",
            f"ownerRef [{one.reference.apiVersion}/{one.reference.kind}, namespace: {seen.metadata.namespace}, "
            f"name: {one.reference.name}, uid: {one.reference.uid}] does not exist in namespace "
            f'"{seen.metadata.namespace}"',
            "Warning",
        )
        for one in seen.owners
        if one.state is OwnerState.IMPOSSIBLE or one.elsewhere
    )


def _delete(seen: Snapshot, propagation: str) -> Delete:
    meta = seen.metadata
    return Delete(
        seen.resource,
        meta.namespace,
        meta.name,
        uid=meta.uid,
        resource_version=meta.resourceVersion,
        propagation=propagation,
    )


def _orphan(seen: Snapshot) -> Plan:
    actions: list[Action] = [
        _disown(one.resource, one.metadata, {seen.metadata.uid}) for one in seen.dependents if not one.metadata.deleting
    ]
    return Plan((*actions, _release(seen, ORPHAN)))


def _foreground(seen: Snapshot) -> Plan:
    """Delete the dependents that block; let the object go when none does."""
    blocking = [one for one in seen.dependents if _blocks(one, seen.metadata.uid)]
    if not blocking:
        return Plan((_release(seen, FOREGROUND),))
    return NOTHING  # their own rounds find an owner that waits, and delete them


def _blocks(dependent: Dependent, uid: str) -> bool:
    return any(one.uid == uid and one.blockOwnerDeletion is True for one in dependent.metadata.ownerReferences)


def _disown(resource: Resource, meta: ObjectMeta, uids: set[str]) -> Patch:
    kept = [plain(one) for one in meta.ownerReferences if one.uid not in uids]
    patch = {"metadata": {"ownerReferences": kept or None}}
    return Patch(resource, meta.namespace, meta.name, patch, uid=meta.uid, resource_version=meta.resourceVersion)


def _unblock(seen: Snapshot) -> Patch:
    """Stay a dependent of the owners, but no longer one they wait for. The change brings the next round."""
    meta = seen.metadata
    kept = [{**plain(one), "blockOwnerDeletion": False} for one in meta.ownerReferences]
    patch = {"metadata": {"ownerReferences": kept}}
    return Patch(seen.resource, meta.namespace, meta.name, patch, uid=meta.uid, resource_version=meta.resourceVersion)


def _release(seen: Snapshot, finalizer: str) -> Patch:
    meta = seen.metadata
    kept = [one for one in meta.finalizers if one != finalizer]
    patch = {"metadata": {"finalizers": kept or None}}
    return Patch(seen.resource, meta.namespace, meta.name, patch, uid=meta.uid, resource_version=meta.resourceVersion)


def _is_held(meta: ObjectMeta) -> bool:
    return FOREGROUND in meta.finalizers or ORPHAN in meta.finalizers


def _concerns(old: Any, new: Any) -> bool:
    before, after = old.metadata, new.metadata
    return bool(
        before.ownerReferences != after.ownerReferences
        or before.finalizers != after.finalizers
        or before.deletionTimestamp != after.deletionTimestamp
        or before.uid != after.uid
    )


CONTROLLER = Controller(
    name="garbagecollector",
    watches=(Watch(NAMESPACES, Namespace),),
    observe=observe,
    reconcile=reconcile,
    informed=informed,
    follows_everything=keys,
    concerns_everything=_concerns,
    workers=20,
    component="garbage-collector-controller",
)
