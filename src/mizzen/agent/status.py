"""Pod statuses on their way to the API: written only when they differ, each pod's in order, several pods at once.

What others write over the agent's word stands for some seconds, so that it is heard: controllers replace a pod that
somebody declared failed, while the original's node agent puts right only every ten seconds what is not its own news.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mizzen.agent.podstatus import PASSING_CONDITIONS
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.client.client import STRATEGIC, Client
from mizzen.client.resources import PODS
from mizzen.machinery.errors import ApiError, Object

_log = log.get("agent")
_AT_ONCE = 8
_RETRY = 2.0
_HEARD = 10.0
_OPTIONAL = ("reason", "message")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The status that a pod should have, the one that the API is known to hold, and the one last written."""

    namespace: str
    name: str
    status: dict[str, Any]
    known: Mapping[str, Any]
    written: Mapping[str, Any] | None = None


Compute = Callable[[str], Wanted | None]
"""Pod uid → what to tell of it; None when it is gone."""
Written = Callable[[str, dict[str, Any]], None]


class StatusWriter:
    """Computes a status when it is about to be written, so that quick changes cost one write."""

    def __init__(self, client: Client, clock: Clock, compute: Compute, written: Written) -> None:
        self._client = client
        self._clock = clock
        self._compute = compute
        self._written = written
        self._dirty: dict[str, None] = {}
        self._busy: dict[str, asyncio.Future[None]] = {}
        self._overruled: dict[str, bool] = {}
        """The pods whose status others wrote over, and whether that has stood for long enough."""
        self._woken = asyncio.Event()

    def mark(self, uid: str) -> None:
        """The pod's status may have changed."""
        self._dirty[uid] = None
        self._woken.set()

    async def flush(self, uid: str) -> bool:
        """Write a pod's status now, after any write of it under way; False when that failed."""
        while (running := self._busy.get(uid)) is not None:
            await asyncio.wait({running})
        with self._alone(uid):
            return not await self._write(uid, at_once=True)

    async def run(self) -> None:
        """Write what is marked, until cancelled."""
        seats = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            while True:
                await self._woken.wait()
                self._woken.clear()
                for uid in [uid for uid in self._dirty if uid not in self._busy]:
                    await seats.acquire()
                    group.create_task(self._one(uid, seats))

    async def _one(self, uid: str, seats: asyncio.Semaphore) -> None:
        pause = 0.0
        try:
            if uid in self._dirty and uid not in self._busy:  # else it was flushed while a seat was waited for
                with self._alone(uid):
                    pause = await self._write(uid)
        finally:
            seats.release()
        if pause:
            await self._clock.sleep(pause)
            if uid in self._overruled:
                self._overruled[uid] = True
            self.mark(uid)

    @contextlib.contextmanager
    def _alone(self, uid: str) -> Iterator[None]:
        """Nobody else writes the pod's status meanwhile; what is marked from here on is written afterwards."""
        self._dirty.pop(uid, None)
        done = self._busy[uid] = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            del self._busy[uid]
            done.set_result(None)
            if uid in self._dirty:
                self._woken.set()

    async def _write(self, uid: str, *, at_once: bool = False) -> float:
        """Write what differs; answers after how many seconds to try again, 0 when all is told."""
        wanted = self._compute(uid)
        changes = difference(wanted.known, wanted.status) if wanted is not None else None
        if wanted is None or not changes:
            self._overruled.pop(uid, None)
            return 0.0
        if not at_once and not self._overruled.get(uid) and _is_told(wanted):
            pause = 0.0 if uid in self._overruled else _HEARD
            self._overruled.setdefault(uid, False)
            return pause
        self._overruled.pop(uid, None)
        patch: Object = {"metadata": {"uid": uid}, "status": changes}
        try:
            await self._client.patch(PODS, wanted.name, patch, wanted.namespace, type=STRATEGIC, subresource="status")
        except ApiError as error:
            if error.code in {404, 409}:
                return 0.0  # another pod has the name by now, or none
            _log.warning("status not written", pod=f"{wanted.namespace}/{wanted.name}", error=str(error))
            return _RETRY
        except (ConnectionError, TimeoutError):
            return _RETRY
        self._written(uid, wanted.status)
        return 0.0


def _is_told(wanted: Wanted) -> bool:
    """Whether there is nothing new: what the API holds otherwise, others have written."""
    return wanted.written is not None and not difference(_untimed(wanted.written), _untimed(wanted.status))


def _untimed(status: Mapping[str, Any]) -> dict[str, Any]:
    """A status without the times of its conditions, which follow from what the API holds."""
    conditions = [{**one, "lastTransitionTime": None} for one in status.get("conditions") or ()]
    return {**status, "conditions": conditions}


def difference(known: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """A strategic merge patch of the status; conditions are merged by type, addresses replaced as a whole."""
    changes: dict[str, Any] = {}
    for key, value in wanted.items():
        if known.get(key) == value:
            continue
        if key == "conditions":
            old = {one["type"]: one for one in known.get("conditions") or ()}
            changed = [
                {**{name: None for name in _OPTIONAL if name in old.get(one["type"], {})}, **one}
                for one in value
                if not _same_condition(old.get(one["type"]), one)
            ]
            kept = {one["type"] for one in value}
            changed += [
                {"$patch": "delete", "type": kind} for kind in PASSING_CONDITIONS if kind in old and kind not in kept
            ]
            if changed:
                changes[key] = changed
        elif key in {"podIPs", "hostIPs"}:
            gone = [{"$patch": "delete", "ip": one["ip"]} for one in known.get(key) or () if one not in value]
            changes[key] = [*value, *gone]
        else:
            changes[key] = value
    for key in ("reason", "message", "podIP"):
        if key in known and key not in wanted:
            changes[key] = None
            if key == "podIP":
                changes["podIPs"] = [{"$patch": "delete", "ip": one["ip"]} for one in known.get("podIPs") or ()]
    return changes


def _same_condition(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> bool:
    if old is None:
        return False
    keys = ("status", "reason", "message", "observedGeneration", "lastTransitionTime")
    return all((old.get(key) or None) == (new.get(key) or None) for key in keys)
