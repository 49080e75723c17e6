"""An informer keeps a table current: it streams a list, watches on, resumes by revision, and lists anew on 410.

`follow(cache)` runs one informer for every table of a cache, also for those opened later.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any, Generic

import msgspec
import orjson

from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.client.cache import Cache, Table, V
from mizzen.client.client import Client
from mizzen.client.sharing import Shared
from mizzen.machinery.errors import ApiError

_log = log.get("informer")
_LONGEST_PAUSE = 30.0
_PAGE = 500


class Informer(Generic[V]):
    """Feeds one table for as long as `run` runs."""

    def __init__(self, client: Client, table: Table[V], clock: Clock, rng: random.Random) -> None:
        self._client = client
        self._table = table
        self._clock = clock
        self._rng = rng
        self._since = ""
        self._streams = True
        self._shared = Shared()

    async def run(self) -> None:
        """List and watch until cancelled; every failure is retried, ever more slowly."""
        failures = 0
        while True:
            began = self._clock.monotonic()
            try:
                await self._watch()
                failures = 0
            except ApiError as error:
                if error.code == 410:
                    self._since = ""
                _log.debug("watch refused", resource=self._table.resource.plural, error=str(error))
                failures += 1
            except (ConnectionError, TimeoutError) as error:
                _log.debug("watch broken", resource=self._table.resource.plural, error=str(error))
                failures += 1
            if self._clock.monotonic() - began > _LONGEST_PAUSE:
                failures = min(failures, 1)
            await self._clock.sleep(self._pause(failures))

    def _pause(self, failures: int) -> float:
        """Seconds before the next try; a watch that ended in good order resumes at once, but not in a busy loop."""
        if not failures:
            return 0.01
        return min(_LONGEST_PAUSE, 0.05 * 2.0 ** min(failures, 12)) * self._rng.uniform(0.8, 1.2)

    async def _watch(self) -> None:
        if not self._since and not self._streams:
            await self._list()
        initial = not self._since
        pending: list[V] | None = [] if initial else None
        try:
            events = self._client.watch(
                self._table.resource, view=msgspec.Raw, since=self._since, initial=initial, timeout=self._timeout()
            )
            async for event in events:
                pending = self._fold(event.type, event.object, event.resource_version, event.initial_end, pending)
        except ApiError as error:
            if initial and error.code in (400, 422):
                self._streams = False  # an older server: no streaming lists
            raise

    def _timeout(self) -> int:
        """Seconds after which the server ends the watch: spread, so that watches do not all resume at once."""
        return self._rng.randrange(300, 600)

    def _fold(
        self, kind: str, raw: msgspec.Raw | None, revision: str, initial_end: bool, pending: list[V] | None
    ) -> list[V] | None:
        """Fold one event in; until the streamed list has ended, objects are gathered in `pending`."""
        seen = None if raw is None else self._decoded(raw)
        if pending is not None:
            if initial_end:
                self._table.replace(pending, revision)
                self._since = revision
                return None
            if seen is not None and kind != "DELETED":
                pending.append(seen)
            return pending
        self._since = revision or self._since
        if seen is None:
            self._table.advance(revision)
        elif kind == "DELETED":
            self._table.drop(seen.metadata.namespace, seen.metadata.name, revision)
        else:
            self._table.put(seen)
        return None

    def _decoded(self, raw: msgspec.Raw) -> V | None:
        seen = decoded(raw, self._table.view)
        return None if seen is None else self._shared.object(seen)

    async def _list(self) -> None:
        objects: list[V] = []
        page = ""
        while True:
            listed = await self._client.list(self._table.resource, view=msgspec.Raw, limit=_PAGE, next=page)
            objects += (seen for raw in listed.items if (seen := self._decoded(raw)) is not None)
            page = listed.next
            if not page:
                break
        self._table.replace(objects, listed.resource_version)
        self._since = listed.resource_version


def decoded(raw: msgspec.Raw, view: type[V]) -> V | None:
    """An object as a view; JSON nulls count as absent. None, with a log line, when it does not fit the view at all."""
    try:
        return msgspec.json.decode(raw, type=view)
    except msgspec.ValidationError:
        pass
    try:
        return msgspec.convert(_without_nulls(orjson.loads(bytes(raw))), view)
    except msgspec.ValidationError as error:
        _log.warning("object does not fit its view", view=view.__qualname__, error=str(error))
        return None


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_without_nulls(one) for one in value]
    return value


async def follow(client: Client, cache: Cache, clock: Clock, rng: random.Random) -> None:
    """Run an informer for every table of the cache, present and future, until cancelled."""
    running: dict[int, asyncio.Task[None]] = {}

    async with asyncio.TaskGroup() as tasks:

        def opened(table: Table[Any]) -> None:
            informer = Informer(client, table, clock, rng)
            running[id(table)] = tasks.create_task(informer.run(), name=f"informer {table.resource.plural}")

        def closed(table: Table[Any]) -> None:
            if task := running.pop(id(table), None):
                task.cancel()

        cache.on_table(opened, closed)
        await asyncio.Event().wait()


async def synced(cache: Cache, *more: Callable[[], bool]) -> None:
    """Return once every table of the cache holds a whole list."""
    woken = asyncio.Event()

    def changed(old: Any, new: Any) -> None:
        if old is None and new is None:
            woken.set()

    watched: set[int] = set()
    while not (cache.has_synced and all(claim() for claim in more)):
        for table in cache.tables:
            if id(table) not in watched and not table.has_synced:
                watched.add(id(table))
                table.subscribe(changed)
        await woken.wait()
        woken.clear()
    for table in cache.tables:
        if id(table) in watched:
            table.unsubscribe(changed)
