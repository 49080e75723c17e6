"""StorageVersionMigration: every object of a resource is written again, so that it is stored in its present form.

An object that vanished or was written by somebody else meanwhile is in its present form, too.
Ref: https://kubernetes.io/docs/tasks/manage-kubernetes-objects/storage-version-migration/
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from mizzen.api.views.meta import ObjectMeta, is_true
from mizzen.api.views.resource import StorageVersionMigration
from mizzen.client.cache import Cache
from mizzen.client.client import Resource
from mizzen.client.resources import STORAGE_VERSION_MIGRATIONS
from mizzen.controllers.status import status_patch, with_condition
from mizzen.reconcile.controller import Controller, Watch, own
from mizzen.reconcile.plan import NOTHING, Action, Answer, Get, Patch, Plan

_UNKNOWN = 15.0
_UNREADABLE = 5.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A migration, the resource it is about if that is served, and all objects of it once the API has listed them."""

    migration: StorageVersionMigration
    resource: Resource | None
    revision: str = ""
    objects: tuple[ObjectMeta, ...] | None = None
    failure: str = ""


def observe(cache: Cache, key: str) -> Snapshot | None:
    migration = cache.of(STORAGE_VERSION_MIGRATIONS, StorageVersionMigration).get("", key)
    if migration is None or migration.metadata.deleting:
        return None
    wanted = migration.spec.resource
    found = (one for one in cache.kinds.values() if (one.group, one.plural) == (wanted.group, wanted.resource))
    return Snapshot(migration, next(found, None))


def informed(seen: Snapshot, answers: Mapping[Get, Answer]) -> Snapshot:
    """The snapshot with what the API lists; it keeps no more than metadata."""
    [answer] = answers.values()
    if answer.status != 200:
        return replace(seen, objects=(), failure=str(answer.body))
    items: list[dict[str, Any]] = answer.body.get("items") or []
    objects = tuple(msgspec.convert(one["metadata"], ObjectMeta) for one in items)
    return replace(seen, objects=objects, revision=answer.body["metadata"].get("resourceVersion", ""))


def reconcile(seen: Snapshot, now: float) -> Plan:
    conditions = seen.migration.status.conditions
    if is_true(conditions, "Succeeded") or is_true(conditions, "Failed"):
        return NOTHING
    if seen.resource is None:
        return Plan(requeue_after=_UNKNOWN)
    if seen.objects is None:
        return Plan(ask=(Get(seen.resource.path()),))
    if seen.failure:
        return Plan(requeue_after=_UNREADABLE)
    if not seen.migration.status.resourceVersion:
        return _told(seen, "Running", "StorageVersionMigrationInProgress", now)
    resource, limit = seen.resource, int(seen.migration.status.resourceVersion)
    rewrites: list[Action] = [_rewrite(resource, one) for one in seen.objects if int(one.resourceVersion) <= limit]
    done = _told(seen, "Succeeded", "StorageVersionMigrationSucceeded", now)
    return Plan((*rewrites, *done.actions))


def _rewrite(resource: Resource, meta: ObjectMeta) -> Patch:
    """A patch that changes nothing but how the object is stored."""
    return Patch(resource, meta.namespace, meta.name, {}, uid=meta.uid, resource_version=meta.resourceVersion)


def _told(seen: Snapshot, kind: str, reason: str, now: float) -> Plan:
    old = seen.migration.status
    conditions = old.conditions
    if kind != "Running" and is_true(conditions, "Running"):
        conditions = with_condition(conditions, "Running", "False", reason, "", now)
    conditions = with_condition(conditions, kind, "True", reason, "", now)
    status = msgspec.structs.replace(
        old, conditions=conditions, resourceVersion=old.resourceVersion or seen.revision or "0"
    )
    return Plan(status_patch(STORAGE_VERSION_MIGRATIONS, seen.migration.metadata, old, status))


CONTROLLER = Controller(
    name="storage-version-migrator",
    watches=(Watch(STORAGE_VERSION_MIGRATIONS, StorageVersionMigration, own),),
    observe=observe,
    reconcile=reconcile,
    informed=informed,
    component="storage-version-migrator-controller",
)
