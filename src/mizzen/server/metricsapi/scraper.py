"""Asks every node for its counters again and again, and keeps the latest usage."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from mizzen.api.core.node import NODE
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.machinery.errors import ApiError, Object
from mizzen.server.metricsapi import samples
from mizzen.server.metricsapi.usage import Reading, Usage, read
from mizzen.server.seams import Reader

PERIOD: Final = 15.0
SOON: Final = 1.0
"""How soon a node that was seen for the first time is asked again, since usage needs two samples."""
TRIES: Final = 3
"""How often a node that does not answer is asked so soon."""
ANSWER_SECONDS: Final = 10.0
_AT_ONCE: Final = 32

Ask = Callable[[str, str], Awaitable[bytes]]
"""The body of a path of a node's own server. Raises ApiError."""

_log = log.get("metrics")


class Scraper:
    """The usage of nodes and pods, as of the last round."""

    def __init__(self, reader: Reader, ask: Ask, clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._names: set[str] = set()
        self._readings: dict[str, Reading] = {}
        self._silent: dict[str, int] = {}
        self._seats = asyncio.Semaphore(_AT_ONCE)
        reader.subscribe(NODE, self._changed)

    def node(self, name: str) -> Usage | None:
        """What a node uses; None while that is not known."""
        reading = self._readings.get(name)
        return reading.machine if reading is not None else None

    def pod(self, node: str, namespace: str, name: str) -> dict[str, Usage]:
        """What the containers of a pod on a node use; empty while that is not known."""
        reading = self._readings.get(node)
        return dict(reading.pods.get((namespace, name), {})) if reading is not None else {}

    async def run(self) -> None:
        """Ask in rounds until cancelled; new nodes are looked for, and asked twice, in between."""
        due = self._clock.monotonic()
        while True:
            names = set(self._names)
            for known in (self._readings, self._silent):
                for gone in known.keys() - names:
                    del known[gone]
            everyone = self._clock.monotonic() >= due
            if everyone:
                due = self._clock.monotonic() + PERIOD
            chosen = names if everyone else {name for name in names if self._is_new(name)}
            await asyncio.gather(*(self._scrape(name) for name in sorted(chosen)))
            rest = due - self._clock.monotonic()
            await self._clock.sleep(max(0.0, min(rest, SOON) if self._is_learning(names) else rest))

    def _changed(self, _key: str, old: Object | None, new: Object | None) -> None:
        if new is not None and _is_served(new):
            self._names.add(new["metadata"]["name"])
        elif (gone := new or old) is not None:
            self._names.discard(gone["metadata"]["name"])

    def _is_learning(self, names: set[str]) -> bool:
        """Whether there are nodes whose usage may be known soon, or none at all yet."""
        return not names or any(self._is_new(name) for name in names)

    def _is_new(self, name: str) -> bool:
        return self.node(name) is None and self._silent.get(name, 0) < TRIES

    async def _scrape(self, name: str) -> None:
        try:
            async with self._seats, asyncio.timeout(ANSWER_SECONDS):
                body = await self._ask(name, "/metrics/resource")
        except (ApiError, ConnectionError, TimeoutError) as error:
            _log.debug("node does not answer", node=name, error=str(error))
            self._readings.pop(name, None)
            self._silent[name] = self._silent.get(name, 0) + 1
            return
        self._silent.pop(name, None)
        sample = samples.parse(body.decode("utf-8", "replace"), self._clock.now())
        self._readings[name] = read(self._readings.get(name, Reading()), sample)


def _is_served(node: Object) -> bool:
    """Whether a node has told where its own server listens; of many simulated ones most have none."""
    endpoint = (node.get("status") or {}).get("daemonEndpoints") or {}
    return bool((endpoint.get("kubeletEndpoint") or {}).get("Port"))
