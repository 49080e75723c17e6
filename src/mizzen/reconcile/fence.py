"""Read your own writes: a key rests until the cache has folded in what was last written for it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mizzen.base import log
from mizzen.client.cache import Cache, Table
from mizzen.client.client import Resource

_log = log.get("fence")
PATIENCE = 900.0
"""Seconds after which a write that never showed up is no longer waited for: longer than any watch lives, since acting
on a cache that merely lags would do the same work twice."""


@dataclass(frozen=True, slots=True)
class Written:
    """One write: the object as of `revision`, or, with `gone`, the deletion of the object with that uid."""

    resource: Resource
    namespace: str
    name: str
    revision: int = 0
    gone: str = ""

    def shows_in(self, table: Table[Any]) -> bool:
        """Whether the table has folded the write in."""
        if not self.gone:
            return table.revision >= self.revision
        seen = table.get(self.namespace, self.name)
        return seen is None or seen.metadata.uid != self.gone or seen.metadata.deleting


class Fence:
    """What each key waits for. `release` is called with a key that may be looked at again."""

    def __init__(self, cache: Cache, release: Callable[[str], None]) -> None:
        self._cache = cache
        self._release = release
        self._expected: dict[str, tuple[float, list[Written]]] = {}
        self._waiters: dict[tuple[Resource, str, str], set[str]] = {}
        self._subscribed: set[Resource] = set()

    def expect(self, key: str, writes: Iterable[Written], now: float) -> None:
        """Hold the key back until all of these show in the cache; resources nobody caches do not count."""
        for written in writes:
            table = self._cache.find(written.resource)
            if table is None or written.shows_in(table):
                continue
            self._subscribe(table)
            self._expected.setdefault(key, (now + PATIENCE, []))[1].append(written)
            self._waiters.setdefault((written.resource, written.namespace, written.name), set()).add(key)

    def holds(self, key: str, now: float) -> float | None:
        """When to ask again at the latest, if the key must wait; None when it may go on."""
        expected = self._expected.get(key)
        if expected is None:
            return None
        until, writes = expected
        missing = [one for one in writes if not self._shows(one)]
        if missing and now < until:
            self._expected[key] = (until, missing)
            for one in writes:
                if one not in missing:
                    self._forget(one, key)
            for one in missing:
                self._waiters.setdefault((one.resource, one.namespace, one.name), set()).add(key)
            return until
        if missing:
            _log.warning("a write never showed up in the cache", key=key, name=missing[0].name)
        del self._expected[key]
        for one in writes:
            self._forget(one, key)
        return None

    def _shows(self, written: Written) -> bool:
        table = self._cache.find(written.resource)
        return table is None or written.shows_in(table)

    def _forget(self, written: Written, key: str) -> None:
        where = (written.resource, written.namespace, written.name)
        waiters = self._waiters.get(where)
        if waiters is not None:
            waiters.discard(key)
            if not waiters:
                del self._waiters[where]

    def _subscribe(self, table: Table[Any]) -> None:
        if table.resource in self._subscribed:
            return
        self._subscribed.add(table.resource)
        resource = table.resource

        def changed(old: Any, new: Any) -> None:
            if not self._waiters:
                return
            seen = new if new is not None else old
            if seen is None:
                waiting = {key for where, keys in self._waiters.items() if where[0] == resource for key in keys}
            else:
                waiting = set(self._waiters.get((resource, seen.metadata.namespace, seen.metadata.name), ()))
            for key in waiting:
                self._release(key)

        table.subscribe(changed)
