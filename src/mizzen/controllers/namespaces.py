"""The namespace controller: empties a namespace that is being deleted, pods first, and then lets it go.

Ref: https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from mizzen.api.views.apiextensions import APIService
from mizzen.api.views.core import Namespace
from mizzen.api.views.meta import Condition, ObjectMeta, is_true, plain
from mizzen.client.cache import BY_NAMESPACE, Cache
from mizzen.client.client import Resource
from mizzen.client.resources import API_SERVICES, EVENTS, NAMESPACES, PODS
from mizzen.controllers.status import restated, status_patch
from mizzen.reconcile.controller import Controller, Watch, own
from mizzen.reconcile.plan import NOTHING, Action, Answer, DeleteAll, Get, Patch, Plan, Update

_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Content:
    """What is left of one resource in the namespace: how many objects, and how many wait for each finalizer."""

    resource: Resource
    count: int
    finalizers: Mapping[str, int] = field(default_factory=dict)
    deletable: bool = True
    """Some of it is not being deleted yet."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A terminating namespace and what the cache, or in the end the API itself, says is left in it."""

    namespace: Namespace
    kinds: tuple[Resource, ...]
    contents: tuple[Content, ...]
    silent: tuple[str, ...] = ()
    """Aggregated group/versions whose servers do not answer: what they hold cannot be told."""
    failure: str = ""
    verified: bool = False


def observe(cache: Cache, key: str) -> Snapshot | None:
    namespace = cache.of(NAMESPACES, Namespace).get("", key)
    if namespace is None or not namespace.metadata.deleting:
        return None
    kinds = {resource for resource in cache.kinds.values() if resource.namespaced} | {EVENTS}
    ordered = tuple(sorted(kinds, key=_order))
    contents = []
    for resource in ordered:
        table = cache.find(resource)
        objects = [seen.metadata for seen in table.by(BY_NAMESPACE, key)] if table is not None else []
        if objects:
            contents.append(_content(resource, objects))
    silent = (
        f"{one.spec.group}/{one.spec.version}"
        for one in cache.of(API_SERVICES, APIService)
        if one.spec.service is not None and not is_true(one.status.conditions, "Available")
    )
    return Snapshot(namespace, ordered, tuple(contents), tuple(sorted(silent)))


def _order(resource: Resource) -> tuple[bool, str, str, str]:
    return resource != PODS, resource.group, resource.plural, resource.version


def _content(resource: Resource, objects: list[ObjectMeta]) -> Content:
    finalizers = Counter(one for meta in objects for one in meta.finalizers)
    return Content(resource, len(objects), dict(finalizers), any(not meta.deleting for meta in objects))


def informed(seen: Snapshot, answers: Mapping[Get, Answer]) -> Snapshot:
    """The snapshot with what the API itself lists."""
    contents: list[Content] = []
    failure = ""
    for question, answer in answers.items():
        resource = next(one for one in seen.kinds if _list(one, seen) == question)
        if answer.status == 200:
            items: list[dict[str, Any]] = answer.body.get("items") or []
            if items:
                contents.append(_content(resource, [msgspec.convert(one["metadata"], ObjectMeta) for one in items]))
        elif answer.status != 404:
            failure = f"Failed to list {resource.plural}: {answer.body}"
    return replace(seen, contents=tuple(contents), failure=failure, verified=True)


def reconcile(seen: Snapshot, now: float) -> Plan:
    namespace = seen.namespace
    if "kubernetes" not in namespace.spec.finalizers:
        return NOTHING
    if not seen.contents and not seen.verified:
        return Plan(ask=tuple(_list(resource, seen) for resource in seen.kinds))
    if not seen.contents and not seen.failure and not seen.silent:
        return Plan((_finalize(namespace),))
    told = _told(seen, now)
    return Plan((*_deletions(seen, now), *told), requeue_after=_PATIENCE)


def _told(seen: Snapshot, now: float) -> tuple[Patch, ...]:
    namespace = seen.namespace
    status = msgspec.structs.replace(namespace.status, conditions=_conditions(seen, now))
    return status_patch(NAMESPACES, namespace.metadata, namespace.status, status)


def _list(resource: Resource, seen: Snapshot) -> Get:
    return Get(resource.path(seen.namespace.metadata.name), (("limit", "500"),))


def _deletions(seen: Snapshot, now: float) -> tuple[Action, ...]:
    """Pods go before everything else, so that they do not outlive the policies and secrets they run under."""
    name = seen.namespace.metadata.name
    pods = [content for content in seen.contents if content.resource == PODS]
    refused = _told(replace(seen, failure="Failed to delete all resource types, 1 remaining: {error}"), now)
    return tuple(
        DeleteAll(content.resource, name, otherwise=refused) for content in pods or seen.contents if content.deletable
    )


def _finalize(namespace: Namespace) -> Update:
    body = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": plain(namespace.metadata),
        "spec": {"finalizers": [one for one in namespace.spec.finalizers if one != "kubernetes"]},
    }
    return Update(NAMESPACES, body, subresource="finalize")


def _conditions(seen: Snapshot, now: float) -> tuple[Condition, ...]:
    silent = seen.silent and f"Discovery failed for some groups, {len(seen.silent)} failing: {', '.join(seen.silent)}"
    remaining = ", ".join(f"{_named(one.resource)} has {one.count} resource instances" for one in seen.contents)
    totals: Counter[str] = Counter()
    for content in seen.contents:
        totals.update(content.finalizers)
    held = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(totals.items()))
    verdicts = (
        (
            "NamespaceDeletionDiscoveryFailure",
            silent or "",
            "DiscoveryFailed" if seen.silent else "ResourcesDiscovered",
            "All resources successfully discovered",
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            "",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "NamespaceDeletionContentFailure",
            seen.failure,
            "ContentDeletionFailed" if seen.failure else "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        (
            "NamespaceContentRemaining",
            f"Some resources are remaining: {remaining}" if remaining else "",
            "SomeResourcesRemain" if remaining else "ContentRemoved",
            "All content successfully removed",
        ),
        (
            "NamespaceFinalizersRemaining",
            f"Some content in the namespace has finalizers remaining: {held}" if held else "",
            "SomeFinalizersRemain" if held else "ContentHasNoFinalizers",
            "All content-preserving finalizers finished",
        ),
    )
    conditions = seen.namespace.status.conditions
    for kind, problem, reason, fine in verdicts:
        conditions = restated(conditions, kind, "True" if problem else "False", reason, problem or fine, now)
    return conditions


def _named(resource: Resource) -> str:
    return f"{resource.plural}.{resource.group}" if resource.group else f"{resource.plural}."


def _keys(cache: Cache, _resource: Resource, seen: Any) -> tuple[str, ...]:
    """The namespace of any changed object, if it is on its way out."""
    name = seen.metadata.namespace
    namespace = cache.of(NAMESPACES, Namespace).get("", name) if name else None
    return (name,) if namespace is not None and namespace.metadata.deleting else ()


CONTROLLER = Controller(
    name="namespace",
    watches=(Watch(NAMESPACES, Namespace, own), Watch(API_SERVICES, APIService)),
    observe=observe,
    reconcile=reconcile,
    informed=informed,
    follows_everything=_keys,
)
