"""Events as kubectl users know them: written in the background, repeated ones counted up on one object.

Losing one is no harm: the queue is bounded and what does not fit is dropped.
"""

import asyncio
from dataclasses import dataclass
from typing import Literal

from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.client.client import Client
from mizzen.client.resources import EVENTS
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError, Object

_log = log.get("agent")
_LIMIT = 1000
_REMEMBERED = 2000
_SAME_FOR = 600.0


@dataclass(frozen=True, slots=True)
class About:
    """The object an event is about."""

    kind: str
    namespace: str
    name: str
    uid: str
    field: str = ""
    resource_version: str = ""


@dataclass(slots=True)
class _Known:
    name: str
    count: int
    last: float


class Recorder:
    """Writes events; `run` must be running."""

    def __init__(self, client: Client, clock: Clock, host: str, component: str = "kubelet") -> None:
        self._client = client
        self._clock = clock
        self._host = host
        self._component = component
        self._queue: asyncio.Queue[tuple[About, str, str, str]] = asyncio.Queue(_LIMIT)
        self._known: dict[tuple[About, str, str, str], _Known] = {}

    def record(self, about: About, kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        """Queue an event."""
        try:
            self._queue.put_nowait((about, kind, reason, message))
        except asyncio.QueueFull:
            _log.warning("event dropped", reason=reason, about=about.name)

    async def run(self) -> None:
        """Write what is queued, until cancelled."""
        while True:
            key = await self._queue.get()
            try:
                await self._write(key)
            except (ApiError, ConnectionError, TimeoutError) as error:
                _log.debug("event not written", reason=key[2], error=str(error))

    async def _write(self, key: tuple[About, str, str, str]) -> None:
        about, kind, reason, message = key
        now = self._clock.now()
        namespace = about.namespace or "default"
        known = self._known.get(key)
        if known is not None and now - known.last < _SAME_FOR:
            known.count += 1
            known.last = now
            patch = {"count": known.count, "lastTimestamp": times.format(now)}
            await self._client.patch(EVENTS, known.name, patch, namespace)
            return
        name = f"{about.name}.{int(now * 1e9):016x}"
        body: Object = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {
                "kind": about.kind, "namespace": about.namespace, "name": about.name, "uid": about.uid,
                "apiVersion": "v1", **({"fieldPath": about.field} if about.field else {}),
                **({"resourceVersion": about.resource_version} if about.resource_version else {}),
            },
            "reason": reason,
            "message": message[:1024],
            "source": {"component": self._component, "host": self._host},
            "firstTimestamp": times.format(now),
            "lastTimestamp": times.format(now),
            "count": 1,
            "type": kind,
            "eventTime": None,
            "reportingComponent": self._component,
            "reportingInstance": self._host,
        }  # fmt: skip
        await self._client.create(EVENTS, body, namespace)
        if len(self._known) >= _REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._known[key] = _Known(name, 1, now)
