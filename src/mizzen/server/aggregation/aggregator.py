"""APIServices at work: those with a Service are probed and carried over to it, those of custom resources are made.

Ref: https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from mizzen.api.apiextensions.customresourcedefinition import CUSTOM_RESOURCE_DEFINITION
from mizzen.api.apiregistration.apiservice import API_SERVICE
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError, Object
from mizzen.server.aggregation.remote import FrontProxy, Health, Remote
from mizzen.server.endpoints import Resolve
from mizzen.server.seams import Reader, Writer

_log = log.get("aggregation")
AUTOMANAGED: Final = "kube-aggregator.kubernetes.io/automanaged"
_CUSTOM_PRIORITIES: Final = {"groupPriorityMinimum": 1000, "versionPriority": 100}
_WELL_SECONDS: Final = 30.0
_ILL_SECONDS: Final = 1.0


class Aggregator:
    """Keeps remote versions in step with the APIServices, and their conditions with what they answer."""

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        clock: Clock,
        resolve: Resolve,
        front_proxy: Callable[[], FrontProxy] | None = None,
    ) -> None:
        self.versions: dict[tuple[str, str], Remote] = {}
        self.generation = 0
        """Grows when what the remote versions serve has changed."""
        self._reader = reader
        self._writer = writer
        self._clock = clock
        self._resolve = resolve
        self._front_proxy = front_proxy
        self._unseen: set[str] = set()
        self._woken = asyncio.Event()
        reader.subscribe(API_SERVICE, self._service_changed)
        reader.subscribe(CUSTOM_RESOURCE_DEFINITION, self._definition_changed)

    async def run(self) -> None:
        """Probe, and write what was found, until cancelled."""
        while True:
            self._woken.clear()
            await self._register()
            await self._probe()
            await self._rest()

    async def _rest(self) -> None:
        """Until something changes, or a probe is due."""
        waiting = asyncio.ensure_future(self._woken.wait())
        timers = []
        if self.versions:
            ill = any(not remote.health.available for remote in self.versions.values())
            timers.append(asyncio.ensure_future(self._clock.sleep(_ILL_SECONDS if ill else _WELL_SECONDS)))
        try:
            await asyncio.wait([waiting, *timers], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (waiting, *timers):
                task.cancel()

    # --- what is served elsewhere

    def _service_changed(self, _key: str, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and old["spec"] == new["spec"]:
            return
        if old is not None:
            self.versions.pop(_place(old), None)
        if new is not None and new["spec"].get("service") is not None:
            self.versions[_place(new)] = Remote(new["spec"], self._resolve, self._front_proxy)
        self.generation += 1
        self._woken.set()

    async def _probe(self) -> None:
        probed = tuple(self.versions.items())
        before = {place: remote.told for place, remote in probed}
        await asyncio.gather(*(remote.probe() for _, remote in probed))
        for place, remote in probed:
            if before[place] != remote.told:
                self.generation += 1
            await self._write(remote)

    async def _write(self, remote: Remote) -> None:
        """Set the condition where it says something else."""
        name = f"{remote.version}.{remote.group}"
        service = self._reader.get(API_SERVICE, "", name)
        if service is None or service["spec"] != remote.spec:
            return
        fresh = _condition(remote.health)
        known = _known((service.get("status") or {}).get("conditions") or ())
        if known is not None and {**known, "lastTransitionTime": ""} == {**fresh, "lastTransitionTime": ""}:
            return
        same = known is not None and known.get("status") == fresh["status"]
        fresh["lastTransitionTime"] = (
            known["lastTransitionTime"] if known is not None and same else times.format(self._clock.now())
        )

        def change(obj: Object) -> None:
            obj.setdefault("status", {})["conditions"] = [fresh]

        try:
            await self._writer.modify(API_SERVICE, "", name, change, "status")
        except ApiError as error:
            _log.warning("condition not written", service=name, error=error.message)

    # --- custom resources

    def _definition_changed(self, _key: str, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or old["spec"] != new["spec"]:
            self._unseen.update(name for one in (old, new) if one is not None for name, _ in _custom(one))
            self._woken.set()

    async def _register(self) -> None:
        """Make the APIServices of custom resources' versions, and remove those that nobody serves any more."""
        unseen, self._unseen = self._unseen, set()
        if not unseen:
            return
        wanted = {name: spec for one in self._reader.list(CUSTOM_RESOURCE_DEFINITION) for name, spec in _custom(one)}
        for name in sorted(unseen):
            known = self._reader.get(API_SERVICE, "", name)
            try:
                if name in wanted and known is None:
                    meta = {"name": name, "labels": {AUTOMANAGED: "true"}}
                    await self._writer.create(API_SERVICE, "", {"metadata": meta, "spec": wanted[name]})
                elif name not in wanted and known is not None and _is_ours(known):
                    await self._writer.delete(API_SERVICE, "", name)
            except ApiError as error:
                if error.code not in (404, 409):
                    _log.warning("APIService not kept", service=name, error=error.message)
                    self._unseen.add(name)


def _place(service: Object) -> tuple[str, str]:
    spec = service["spec"]
    return spec.get("group") or "", spec["version"]


def _known(conditions: Iterable[Object]) -> Object | None:
    return next((one for one in conditions if one.get("type") == "Available"), None)


def _condition(health: Health) -> Object:
    status = "True" if health.available else "False"
    return {
        "type": "Available",
        "status": status,
        "lastTransitionTime": "",
        "reason": health.reason,
        "message": health.message,
    }


def _custom(definition: Object) -> Iterator[tuple[str, Object]]:
    """Names and specs of the APIServices of a definition's versions."""
    spec = definition["spec"]
    for version in spec["versions"]:
        if version.get("served"):
            name = f"{version['name']}.{spec['group']}"
            yield name, {"group": spec["group"], "version": version["name"], **_CUSTOM_PRIORITIES}


def _is_ours(service: Object) -> bool:
    return (service["metadata"].get("labels") or {}).get(AUTOMANAGED) == "true"
