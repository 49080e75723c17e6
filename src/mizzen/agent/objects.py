"""ConfigMaps and Secrets that this node's pods refer to: fetched once, watched one by one while a pod needs them.

The node may read only what its pods name, so there is no list to watch.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.client.client import Client, Resource
from mizzen.machinery.errors import ApiError, Object

_log = log.get("agent")
_RETRY = 5.0
Changed = Callable[[Resource, str, str], None]


@dataclass(slots=True)
class _Entry:
    value: Object | None = None
    fresh: bool = False
    """A watch keeps the value current."""
    holders: set[str] = field(default_factory=set)
    task: "asyncio.Task[None] | None" = None


class Objects:
    """Values by resource, namespace and name; `holder` is the uid of the pod that needs one."""

    def __init__(self, client: Client, clock: Clock, changed: Changed) -> None:
        self._client = client
        self._clock = clock
        self._changed = changed
        self._entries: dict[tuple[Resource, str, str], _Entry] = {}

    async def get(self, resource: Resource, namespace: str, name: str, holder: str) -> Object | None:
        """The object as it is now, or None when it does not exist. Raises ApiError, ConnectionError."""
        key = (resource, namespace, name)
        entry = self._entries.setdefault(key, _Entry())
        entry.holders.add(holder)
        if entry.fresh:
            return entry.value
        try:
            entry.value = await self._client.get(resource, name, namespace, view=dict)
        except ApiError as error:
            if error.code != 404:
                raise
            entry.value = None
        if entry.task is None and not (entry.value or {}).get("immutable"):
            entry.task = asyncio.create_task(self._follow(key, entry))
        return entry.value

    def release(self, holder: str) -> None:
        """A pod is gone; what nobody needs any more is forgotten."""
        for key, entry in list(self._entries.items()):
            entry.holders.discard(holder)
            if not entry.holders:
                if entry.task is not None:
                    entry.task.cancel()
                del self._entries[key]

    def close(self) -> None:
        """Stop watching."""
        for entry in self._entries.values():
            if entry.task is not None:
                entry.task.cancel()

    async def _follow(self, key: tuple[Resource, str, str], entry: _Entry) -> None:
        resource, namespace, name = key
        while True:
            with contextlib.suppress(ApiError, ConnectionError, TimeoutError):
                seen_any = False
                events = self._client.watch(
                    resource, namespace, view=dict, fields=f"metadata.name={name}", initial=True
                )
                async for event in events:
                    if event.type == "BOOKMARK":
                        if event.initial_end:
                            if not seen_any and entry.value is not None:
                                self._take(key, entry, None)
                            entry.fresh = True
                        continue
                    seen_any = True
                    self._take(key, entry, None if event.type == "DELETED" else event.object)
            entry.fresh = False
            await self._clock.sleep(_RETRY)

    def _take(self, key: tuple[Resource, str, str], entry: _Entry, value: Object | None) -> None:
        before, entry.value = entry.value, value
        if (before or {}).get("metadata", {}).get("resourceVersion") != (value or {}).get("metadata", {}).get(
            "resourceVersion"
        ):
            self._changed(*key)
