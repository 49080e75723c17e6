"""The server's Reader and Writer over plain dictionaries, for tests of what reads and writes inside the server."""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any

from mizzen.api.kind import Kind
from mizzen.api.kinds import KINDS
from mizzen.machinery.errors import Errors, Object

Changed = Callable[[str, Object | None, Object | None], None]


class FakeReader:
    """Objects by kind; `put` and `drop` tell subscribers."""

    def __init__(self, *objects: tuple[Kind, Object]) -> None:
        self._objects: dict[str, dict[str, Object]] = {}
        self._subscribers: dict[str, list[Changed]] = {}
        self._uids = 0
        for kind, obj in objects:
            self.put(kind, obj)

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return self._objects.get(kind.storage, {}).get(_key(kind, namespace, name))

    def list(self, kind: Kind, namespace: str = "") -> Iterable[Object]:
        held = self._objects.get(kind.storage, {})
        return [obj for key, obj in sorted(held.items()) if not namespace or key.startswith(f"{namespace}/")]

    def subscribe(self, kind: Kind, changed: Changed) -> None:
        self._subscribers.setdefault(kind.storage, []).append(changed)
        for key, obj in list(self._objects.get(kind.storage, {}).items()):
            changed(key, None, obj)

    def kinds(self) -> Sequence[Kind]:
        return KINDS

    def put(self, kind: Kind, obj: Object) -> Object:
        metadata = obj["metadata"]
        key = _key(kind, metadata.get("namespace", ""), metadata["name"])
        if not metadata.get("uid"):
            self._uids += 1
            metadata["uid"] = f"uid-{self._uids}"
        metadata.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        held = self._objects.setdefault(kind.storage, {})
        old = held.get(key)
        held[key] = obj
        for changed in self._subscribers.get(kind.storage, ()):
            changed(key, old, obj)
        return obj

    def drop(self, kind: Kind, namespace: str, name: str) -> None:
        key = _key(kind, namespace, name)
        old = self._objects[kind.storage].pop(key)
        for changed in self._subscribers.get(kind.storage, ()):
            changed(key, old, None)


class FakeWriter:
    """Writes into a FakeReader and remembers what was done."""

    def __init__(self, reader: FakeReader) -> None:
        self._reader = reader
        self.done: list[tuple[str, str, str]] = []

    async def create(self, kind: Kind, namespace: str, object: Object) -> Object:
        name = object["metadata"]["name"]
        if self._reader.get(kind, namespace, name) is not None:
            raise Errors.already_exists(kind.group, kind.plural, name)
        self.done.append(("create", kind.plural, name))
        return self._reader.put(kind, deepcopy(object))

    async def modify(
        self, kind: Kind, namespace: str, name: str, change: Callable[[Object], None], subresource: str = ""
    ) -> Object:
        stored = self._reader.get(kind, namespace, name)
        if stored is None:
            raise Errors.not_found(kind.group, kind.plural, name)
        copy = deepcopy(stored)
        change(copy)
        self.done.append(("modify", kind.plural, name))
        return self._reader.put(kind, copy)

    async def delete(self, kind: Kind, namespace: str, name: str) -> None:
        self.done.append(("delete", kind.plural, name))
        self._reader.drop(kind, namespace, name)


def _key(kind: Kind, namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if kind.namespaced else name


def made(name: str, namespace: str = "", **content: Any) -> Object:
    """An object with a name, perhaps a namespace, and content; `labels` and `annotations` go to its metadata."""
    metadata: Object = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    for field in ("labels", "annotations", "uid", "creationTimestamp"):
        if field in content:
            metadata[field] = content.pop(field)
    return {"metadata": metadata, **content}
