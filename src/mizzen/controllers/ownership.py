"""Whose object is whose: controllers adopt matching orphans and let go of what no longer matches.

Ref: https://kubernetes.io/docs/concepts/overview/working-with-objects/owners-dependents/
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic

from mizzen.api.views.meta import LabelSelector, ObjectMeta, OwnerReference, plain
from mizzen.client.cache import BY_CONTROLLER, Cache, Index, Table, V
from mizzen.client.client import Resource
from mizzen.machinery.errors import Object
from mizzen.reconcile.plan import Patch, Reference

ORPHANS: Index[Any] = Index(
    "orphans", lambda seen: () if seen.metadata.controller is not None else (seen.metadata.namespace,)
)


@dataclass(frozen=True, slots=True)
class Identity:
    """A kind that owns things."""

    apiVersion: str
    kind: str


@dataclass(frozen=True, slots=True)
class Claim(Generic[V]):
    """The objects that are an owner's, and the patches that make it so; after patches, look again."""

    mine: tuple[V, ...]
    patches: tuple[Patch, ...]


def candidates(table: Table[V], owner: ObjectMeta, matches: Callable[[Mapping[str, str]], bool]) -> tuple[V, ...]:
    """What the owner controls already, and the orphans it could adopt, by name."""
    owned = table.by(BY_CONTROLLER, owner.uid)
    orphans = (seen for seen in table.by(ORPHANS, owner.namespace) if matches(seen.metadata.labels))
    return tuple(sorted((*owned, *orphans), key=_name))


def claim(
    owner: ObjectMeta,
    identity: Identity,
    resource: Resource,
    seen: Iterable[V],
    matches: Callable[[Mapping[str, str]], bool],
) -> Claim[V]:
    """Adopt and release; an owner that is being deleted does neither."""
    mine: list[V] = []
    patches: list[Patch] = []
    for one in seen:
        meta = one.metadata
        controller = meta.controller
        if controller is not None and controller.uid == owner.uid:
            if matches(meta.labels):
                mine.append(one)
            elif not owner.deleting:
                patches.append(_with_owners(resource, meta, [o for o in meta.ownerReferences if o.uid != owner.uid]))
        elif controller is None and not owner.deleting and not meta.deleting and matches(meta.labels):
            adopted = [*(o for o in meta.ownerReferences if o.uid != owner.uid), reference(owner, identity)]
            patches.append(_with_owners(resource, meta, adopted))
    return Claim(tuple(mine), tuple(patches))


def reference(owner: ObjectMeta, identity: Identity) -> OwnerReference:
    """The controller reference to an owner."""
    return OwnerReference(
        apiVersion=identity.apiVersion,
        kind=identity.kind,
        name=owner.name,
        uid=owner.uid,
        controller=True,
        blockOwnerDeletion=True,
    )


def owned_by(owner: ObjectMeta, identity: Identity) -> list[Object]:
    """`metadata.ownerReferences` of an object that the owner makes."""
    return [plain(reference(owner, identity))]


def about(seen: ObjectMeta, identity: Identity) -> Reference:
    """What events about this object refer to."""
    return Reference(identity.apiVersion, identity.kind, seen.namespace, seen.name, seen.uid, seen.resourceVersion)


def selects(selector: LabelSelector | Mapping[str, str]) -> Callable[[Mapping[str, str]], bool]:
    """A selector as a predicate; an empty one matches nothing, since nobody means to own the whole namespace."""
    chosen = selector if isinstance(selector, LabelSelector) else LabelSelector(matchLabels=dict(selector))
    return (lambda _labels: False) if chosen.empty else chosen.matches


def keys_of_pod(
    kind: str, resource: Resource, view: type[V], selector: Callable[[V], Callable[[Mapping[str, str]], bool]]
) -> Callable[[Cache, Any], Iterable[str]]:
    """Keys of the owners a changed object concerns: its controller, or whoever could adopt it."""

    def keys(cache: Cache, seen: Any) -> tuple[str, ...]:
        meta = seen.metadata
        if (controller := meta.controller) is not None:
            return (f"{meta.namespace}/{controller.name}",) if controller.kind == kind else ()
        owners = cache.of(resource, view).in_namespace(meta.namespace)
        return tuple(f"{meta.namespace}/{owner.metadata.name}" for owner in owners if selector(owner)(meta.labels))

    return keys


def _with_owners(resource: Resource, meta: ObjectMeta, owners: list[OwnerReference]) -> Patch:
    patch = {"metadata": {"ownerReferences": [plain(owner) for owner in owners] or None}}
    return Patch(resource, meta.namespace, meta.name, patch, uid=meta.uid, resource_version=meta.resourceVersion)


def _name(seen: Any) -> str:
    name: str = seen.metadata.name
    return name
