"""The status of FlowSchemas: whether the priority level that each sends its requests to exists.

Ref: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/#flowschema
"""

import asyncio
from collections.abc import Iterable

from mizzen.api.flowcontrol.flowschema import FLOW_SCHEMA
from mizzen.api.flowcontrol.prioritylevelconfiguration import PRIORITY_LEVEL_CONFIGURATION
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError, Object
from mizzen.server.seams import Reader, Writer

_log = log.get("fairness")
_DANGLING = "Dangling"


class FlowStatuses:
    """Keeps the condition Dangling of every FlowSchema true to what there is."""

    def __init__(self, reader: Reader, writer: Writer, clock: Clock) -> None:
        self._reader = reader
        self._writer = writer
        self._clock = clock
        self._woken = asyncio.Event()
        self._woken.set()
        for kind in (FLOW_SCHEMA, PRIORITY_LEVEL_CONFIGURATION):
            reader.subscribe(kind, self._changed)

    async def run(self) -> None:
        """Look again after every change, until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            levels = {level["metadata"]["name"] for level in self._reader.list(PRIORITY_LEVEL_CONFIGURATION)}
            schemas = list(self._reader.list(FLOW_SCHEMA))
            await asyncio.gather(*(self._write(schema, levels) for schema in schemas))

    def _changed(self, _key: str, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or old["spec"] != new["spec"]:
            self._woken.set()

    async def _write(self, schema: Object, levels: Iterable[str]) -> None:
        fresh = condition(schema, levels)
        known = _known(schema)
        if known is not None and known.get("status") == fresh["status"] and known.get("message") == fresh["message"]:
            return
        same = known is not None and known.get("status") == fresh["status"]
        fresh["lastTransitionTime"] = (
            known["lastTransitionTime"] if known is not None and same else times.format(self._clock.now())
        )

        def change(obj: Object) -> None:
            status = obj.setdefault("status", {})
            others = [one for one in status.get("conditions") or () if one.get("type") != _DANGLING]
            status["conditions"] = [*others, fresh]

        name = schema["metadata"]["name"]
        try:
            await self._writer.modify(FLOW_SCHEMA, "", name, change, "status")
        except ApiError as error:
            if error.code != 404:  # else it is gone, and its status with it
                _log.warning("condition not written", flowschema=name, error=error.message)


def condition(schema: Object, levels: Iterable[str]) -> Object:
    """What to say of a FlowSchema while these levels exist; without a time."""
    level = schema["spec"]["priorityLevelConfiguration"]["name"]
    named = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}"'
    if level in levels:
        return {"type": _DANGLING, "status": "False", "reason": "Found", "message": f"{named} and it exists"}
    message = f"{named} but there is no such object"
    return {"type": _DANGLING, "status": "True", "reason": "NotFound", "message": message}


def _known(schema: Object) -> Object | None:
    conditions = (schema.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one.get("type") == _DANGLING), None)
