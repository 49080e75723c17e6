"""What the API holds, as this process last saw it: one table per resource, shared by everybody who reads it.

A table folds watch events in and tells its subscribers, synchronously; informers feed it, so tests and simulations
can feed it by hand. Indexes are built when first asked for. Objects are shared: never change what a table answers.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

from mizzen.api.views.meta import ObjectMeta, Partial
from mizzen.client.client import Resource
from mizzen.client.views import STANDARD

Key = tuple[str, str]
"""(namespace, name); the namespace is empty for cluster-wide kinds."""


class Seen(Protocol):
    """Any view: whatever has metadata."""

    @property
    def metadata(self) -> ObjectMeta: ...


V = TypeVar("V", bound=Seen)
Subscriber = Callable[[V | None, V | None], None]
"""Called with the old and the new object after every change; one of them may be None."""


@dataclass(frozen=True, slots=True)
class Index(Generic[V]):
    """A way to find objects; two indexes of the same name are the same."""

    name: str
    values: Callable[[V], Iterable[Hashable]]

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Index) and other.name == self.name


BY_NAMESPACE: Index[Any] = Index("namespace", lambda seen: (seen.metadata.namespace,))
BY_OWNER: Index[Any] = Index("owner", lambda seen: tuple(owner.uid for owner in seen.metadata.ownerReferences))
BY_CONTROLLER: Index[Any] = Index(
    "controller", lambda seen: tuple(owner.uid for owner in seen.metadata.ownerReferences if owner.controller)
)
BY_UID: Index[Any] = Index("uid", lambda seen: (seen.metadata.uid,))
BY_LABEL: Index[Any] = Index("label", lambda seen: tuple(seen.metadata.labels.items()))
BY_NODE: Index[Any] = Index("node", lambda pod: (pod.spec.nodeName,))


class Table(Generic[V]):
    """All objects of one resource, as of `revision`."""

    def __init__(self, resource: Resource, view: type[V]) -> None:
        self.resource = resource
        self.view = view
        self.has_synced = False
        self.revision = 0
        self._objects: dict[Key, V] = {}
        self._indexes: dict[Index[V], dict[Hashable, dict[Key, V]]] = {}
        self._subscribers: list[Subscriber[V]] = []

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[V]:
        return iter(list(self._objects.values()))

    def get(self, namespace: str, name: str) -> V | None:
        return self._objects.get((namespace, name))

    def by(self, index: Index[V], value: Hashable) -> list[V]:
        """The objects under a value of an index, in no particular order."""
        buckets = self._indexes.get(index)
        if buckets is None:
            buckets = self._indexes[index] = {}
            for key, seen in self._objects.items():
                _file(buckets, index, key, seen)
        return list(buckets.get(value, {}).values())

    def in_namespace(self, namespace: str) -> list[V]:
        return self.by(BY_NAMESPACE, namespace)

    def subscribe(self, changed: Subscriber[V]) -> None:
        """Be told of every later change, and at once of everything there is."""
        self._subscribers.append(changed)
        for seen in list(self._objects.values()):
            changed(None, seen)

    def unsubscribe(self, changed: Subscriber[V]) -> None:
        self._subscribers.remove(changed)

    def put(self, seen: V) -> None:
        """Fold in an added or changed object; older than what is known, it is ignored."""
        meta = seen.metadata
        key = (meta.namespace, meta.name)
        old = self._objects.get(key)
        revision = _number(meta.resourceVersion)
        if old is not None and revision < _number(old.metadata.resourceVersion):
            return
        self.revision = max(self.revision, revision)
        self._objects[key] = seen
        for index, buckets in self._indexes.items():
            if old is not None:
                _unfile(buckets, index, key, old)
            _file(buckets, index, key, seen)
        self._tell(old, seen)

    def drop(self, namespace: str, name: str, revision: str = "") -> None:
        """Fold in a deletion."""
        self.advance(revision)
        key = (namespace, name)
        old = self._objects.pop(key, None)
        if old is None:
            return
        for index, buckets in self._indexes.items():
            _unfile(buckets, index, key, old)
        self._tell(old, None)

    def replace(self, objects: Iterable[V], revision: str) -> None:
        """Take a whole list; what it lacks is gone."""
        fresh = {(seen.metadata.namespace, seen.metadata.name): seen for seen in objects}
        gone = [key for key in self._objects if key not in fresh]
        self.revision = max(self.revision, _number(revision))
        for key in gone:
            self.drop(*key)
        for key, seen in fresh.items():
            old = self._objects.get(key)
            if old is None or old.metadata.resourceVersion != seen.metadata.resourceVersion:
                self.put(seen)
        self.has_synced = True
        self._tell(None, None)

    def advance(self, revision: str) -> None:
        """Nothing changed up to this revision (a bookmark)."""
        self.revision = max(self.revision, _number(revision))

    def _tell(self, old: V | None, new: V | None) -> None:
        for changed in tuple(self._subscribers):
            changed(old, new)


class Cache:
    """The tables of one process. One resource has one view; readers of mere metadata take whatever view there is."""

    def __init__(self) -> None:
        self._tables: dict[Resource, Table[Any]] = {}
        self._kinds: dict[tuple[str, str], Resource] = {}
        self._opened: list[Callable[[Table[Any]], None]] = []
        self._closed: list[Callable[[Table[Any]], None]] = []

    def of(self, resource: Resource, view: type[V]) -> Table[V]:
        """The table of a resource, opened if need be. Raises ValueError when it is kept with another view."""
        table = self._tables.get(resource)
        if table is None:
            kept: type[Any] = STANDARD.get(resource, view) if view is Partial else view
            table = self._tables[resource] = Table(resource, kept)
            for opened in self._opened:
                opened(table)
        elif table.view is not view and view is not Partial:
            raise ValueError(f"{resource.plural} is cached as {table.view.__qualname__}, not {view.__qualname__}")
        return cast("Table[V]", table)

    def find(self, resource: Resource) -> Table[Any] | None:
        """The table of a resource, whatever its view, if somebody opened it."""
        return self._tables.get(resource)

    def close(self, resource: Resource) -> None:
        """Forget a resource that is no longer served; its objects are gone."""
        table = self._tables.pop(resource, None)
        if table is None:
            return
        table.replace((), str(table.revision))
        for closed in self._closed:
            closed(table)

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        return tuple(self._tables.values())

    @property
    def has_synced(self) -> bool:
        return all(table.has_synced for table in self._tables.values())

    @property
    def kinds(self) -> Mapping[tuple[str, str], Resource]:
        """The resources that the garbage collector follows, by (apiVersion, kind); see `mizzen.client.discovery`."""
        return self._kinds

    def learn(self, kinds: Mapping[tuple[str, str], Resource]) -> None:
        """Replace what is known of the served kinds."""
        self._kinds = dict(kinds)

    def on_table(self, opened: Callable[[Table[Any]], None], closed: Callable[[Table[Any]], None]) -> None:
        """Be told of every table, present and future."""
        self._opened.append(opened)
        self._closed.append(closed)
        for table in self.tables:
            opened(table)


def _number(revision: str) -> int:
    return int(revision) if revision.isdecimal() else 0


def _file(buckets: dict[Hashable, dict[Key, V]], index: Index[V], key: Key, seen: V) -> None:
    for value in index.values(seen):
        buckets.setdefault(value, {})[key] = seen


def _unfile(buckets: dict[Hashable, dict[Key, V]], index: Index[V], key: Key, seen: V) -> None:
    for value in index.values(seen):
        bucket = buckets.get(value)
        if bucket is not None:
            bucket.pop(key, None)
            if not bucket:
                del buckets[value]
