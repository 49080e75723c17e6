"""Keeps the containers that share processors off those that others have for themselves."""

import asyncio
import contextlib
from typing import Final

import msgspec

from mizzen.agent.equipment import Equipment
from mizzen.agent.life import Life, all_containers
from mizzen.agent.pods import Pods
from mizzen.agent.runtime.base import RuntimeFailure
from mizzen.base import log

_LOOK_AGAIN: Final = 10.0
_log = log.get("agent")


class Sharing:
    """Follows what is shared, once it is told that it has changed, and what could not be done the last time."""

    def __init__(self, tools: Equipment, pods: Pods, changed: asyncio.Event) -> None:
        self._tools = tools
        self._pods = pods
        self._changed = changed
        self._told: dict[str, str] = {}
        """The processors that each running container was told, by its id."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._changed.clear()
            for life in list(self._pods):
                await self._tell(life)
            running = {one.id for life in self._pods for one in life.containers.values() if one.phase == "running"}
            self._told = {id: cpus for id, cpus in self._told.items() if id in running}
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _LOOK_AGAIN)

    async def _tell(self, life: Life) -> None:
        for spec in all_containers(life.pod):
            one = life.containers.get(spec.name)
            if one is None or one.phase != "running" or one.resizing:
                continue
            running = msgspec.structs.replace(spec, resources=one.resources or spec.resources)
            held = self._tools.container_limits(life.pod, running)
            if self._told.get(one.id) == held.cpus:
                continue
            try:
                await self._tools.runtime.update(one.id, held)
                self._told[one.id] = held.cpus
            except RuntimeFailure as failure:
                _log.warning("processors not set", pod=life.pod.metadata.name, container=spec.name, error=str(failure))
