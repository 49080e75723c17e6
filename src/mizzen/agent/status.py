"""Pod statuses on their way to the API: written only when they differ, each pod's in order, several pods at once."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
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
_OPTIONAL = ("reason", "message")
Compute = Callable[[str], tuple[str, str, dict[str, Any], Mapping[str, Any]] | None]
"""Pod uid → namespace, name, the status wanted, the status that the API is known to hold; None when it is gone."""
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
            return await self._write(uid)

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
        ok = True
        try:
            if uid in self._dirty and uid not in self._busy:  # else it was flushed while a seat was waited for
                with self._alone(uid):
                    ok = await self._write(uid)
        finally:
            seats.release()
        if not ok:
            await self._clock.sleep(_RETRY)
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

    async def _write(self, uid: str) -> bool:
        computed = self._compute(uid)
        if computed is None:
            return True
        namespace, name, status, known = computed
        changes = difference(known, status)
        if not changes:
            return True
        patch: Object = {"metadata": {"uid": uid}, "status": changes}
        try:
            await self._client.patch(PODS, name, patch, namespace, type=STRATEGIC, subresource="status")
        except ApiError as error:
            if error.code in {404, 409}:
                return True  # another pod has the name by now, or none
            _log.warning("status not written", pod=f"{namespace}/{name}", error=str(error))
            return False
        except (ConnectionError, TimeoutError):
            return False
        self._written(uid, status)
        return True


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
