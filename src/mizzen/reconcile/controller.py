"""A controller as a value: what it watches, what it sees under a key, and what it decides."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mizzen.client.cache import Cache, Seen
from mizzen.client.client import Resource
from mizzen.client.queue import Backoff
from mizzen.reconcile.plan import Answer, Get, Plan

Keys = Callable[[Cache, Any], Iterable[str]]
"""The keys that a changed object concerns; asked for its old and its new state alike."""
KeysOfAnything = Callable[[Cache, Resource, Any], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Watch:
    """One resource a controller reads; `keys` None means that its changes alone wake nobody.

    `concerns` lets a watch ignore changes that alter nothing the controller reads.
    """

    resource: Resource
    view: type[Any]
    keys: Keys | None = None
    concerns: Callable[[Any, Any], bool] | None = None


@dataclass(frozen=True, slots=True)
class Controller:
    """`observe` gathers a frozen snapshot from the cache (None: nothing to do), `reconcile` decides; both are pure.

    A plan with questions is decided again on `informed(snapshot, answers)`.
    """

    name: str
    watches: tuple[Watch, ...]
    observe: Callable[[Cache, str], Any]
    reconcile: Callable[[Any, float], Plan]
    informed: Callable[[Any, Mapping[Get, Answer]], Any] | None = None
    workers: int = 5
    resync: Callable[[Cache], Iterable[str]] | None = None
    """Keys to look at every `resync_seconds`, for what no watch can tell."""
    resync_seconds: float = 60.0
    follows_everything: KeysOfAnything | None = None
    """Also watch every kind there is, by its metadata; `concerns_everything` narrows it as `Watch.concerns` does."""
    concerns_everything: Callable[[Any, Any], bool] | None = None
    backoff: Backoff = field(default_factory=Backoff)
    component: str = ""
    """The events' source; empty: the name with `-controller`."""

    @property
    def source(self) -> str:
        return self.component or f"{self.name}-controller"


def key_of(seen: Seen) -> str:
    """`namespace/name`, or just the name of a cluster-wide object."""
    meta = seen.metadata
    return f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name


def split(key: str) -> tuple[str, str]:
    """The namespace ("" when there is none) and the name of a key."""
    namespace, _, name = key.rpartition("/")
    return namespace, name


def own(_cache: Cache, seen: Seen) -> tuple[str, ...]:
    """The changed object's own key."""
    return (key_of(seen),)


def of_controller(kind: str) -> Keys:
    """The key of the owner that manages the changed object, if it is of this kind."""

    def keys(_cache: Cache, seen: Seen) -> tuple[str, ...]:
        owner = seen.metadata.controller
        return (f"{seen.metadata.namespace}/{owner.name}",) if owner is not None and owner.kind == kind else ()

    return keys
