"""The drivers of dynamic resources on this node: they prepare the claims of pods, and undo that when the pods end."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from mizzen.agent.devices import checkpoint, preparation
from mizzen.agent.devices.preparation import ClaimFailure, Record
from mizzen.agent.kubeletdir import KubeletDir
from mizzen.agent.plugins import PluginRefused
from mizzen.api.views.podspec import Container, Pod
from mizzen.base import log
from mizzen.client.client import Client
from mizzen.client.resources import RESOURCE_CLAIMS
from mizzen.machinery.errors import ApiError, Object
from mizzen.net.rpc import Channel, Refused
from mizzen.wire import dra
from mizzen.wire.protobuf import Message

_log = log.get("agent")
_PATIENCE = 45.0
_NAME = "dra_manager_state"


class _File(msgspec.Struct, frozen=True):
    ClaimInfoStateList: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True)
class _Driver:
    service: str
    channel: Channel

    async def call(self, name: str, request: dict[str, Any]) -> Message:
        data = dra.encode(f"{name}Request", request)
        method = dra.method(self.service, name)
        return dra.decode(f"{name}Response", await self.channel.call(method, data, patience=_PATIENCE))


class ClaimDrivers:
    """Drivers by name, a `PluginKind`; and the claims that they have prepared."""

    def __init__(self, client: Client, directory: KubeletDir) -> None:
        self._client = client
        self._path = directory.root / _NAME
        self._drivers: dict[str, _Driver] = {}
        self._records = {one.key: one for one in _read(self._path.read_bytes() if self._path.exists() else b"")}
        self._alone = asyncio.Lock()

    async def register(self, name: str, socket: str, versions: Sequence[str]) -> None:
        service = next((one for one in dra.SERVICES if one in versions), "")
        if not service:
            raise PluginRefused(f"none of the DRA gRPC API versions of driver {name} is supported: {versions}")
        former, self._drivers[name] = self._drivers.get(name), _Driver(service, Channel(socket))
        if former is not None:
            await former.channel.close()

    async def deregister(self, name: str) -> None:
        if (driver := self._drivers.pop(name, None)) is not None:
            await driver.channel.close()

    async def prepare(self, pod: Pod) -> None:
        """Have all claims of a pod made ready; may be repeated. Raises ClaimFailure."""
        try:
            names = preparation.names_of(pod)
            if names:
                async with self._alone:
                    await self._prepare(pod, names)
        except (ClaimFailure, Refused, OSError, ValueError) as error:
            raise ClaimFailure(f"prepare dynamic resources: {error}") from error

    def cdi_devices(self, pod: Pod, container: Container) -> tuple[str, ...]:
        """The CDI devices that a container gets. Raises DeviceFailure."""
        return preparation.cdi_devices(pod, container, self._records)

    def health(self, pod: Pod, container: Container) -> list[Object]:
        """The claims of a container, as its status shows them."""
        return preparation.health(pod, container, self._records)

    def account(self, pod: Pod, container: Container) -> list[Message]:
        """The claims of a container, for those who ask the node."""
        return preparation.account(pod, container, self._records)

    async def release(self, uid: str) -> None:
        """Have undone what was prepared for a pod alone; may be repeated. Raises OSError."""
        if uid not in self.holders():
            return
        try:
            async with self._alone:
                await self._release(uid)
        except (ClaimFailure, Refused, ValueError) as error:
            raise OSError(f"unprepare dynamic resources: {error}") from error

    def holders(self) -> set[str]:
        """The uids of the pods that have claims."""
        return {uid for one in self._records.values() for uid in one.PodUIDs}

    async def close(self) -> None:
        """Let go of all drivers."""
        for driver in self._drivers.values():
            await driver.channel.close()

    async def _prepare(self, pod: Pod, names: Iterable[str]) -> None:
        records = [await self._record(pod, name) for name in names]
        fresh = [one for one in records if not one.Prepared]
        for driver in {driver for one in fresh for driver in one.DriverState}:
            self._driver(driver)  # nothing is prepared unless everything can be
        self._put(records)  # first: what a driver began must be undone, whatever happens
        for driver in sorted({driver for one in fresh for driver in one.DriverState}):
            concerned = [one for one in fresh if driver in one.DriverState]
            request = {"claims": [one.message for one in concerned]}
            try:
                answer = await self._driver(driver).call("NodePrepareResources", request)
            except Refused as error:
                raise ClaimFailure(f"NodePrepareResources: {error}") from error
            known = {one.key: one for one in preparation.answered(concerned, driver, answer)}
            fresh = [known.get(one.key, one) for one in fresh]
        self._put(msgspec.structs.replace(one, Prepared=True) for one in fresh)

    async def _record(self, pod: Pod, name: str) -> Record:
        try:
            claim = await self._client.get(RESOURCE_CLAIMS, name, pod.metadata.namespace, view=dict)
        except (ApiError, ConnectionError, TimeoutError) as error:
            text = f"failed to fetch ResourceClaim {name} referenced by pod {pod.metadata.name}: {error}"
            raise ClaimFailure(text) from error
        made = preparation.new_record(pod, claim)
        known = self._records.get(made.key)
        if known is None:
            return made
        if known.ClaimUID != made.ClaimUID:
            raise ClaimFailure(
                f"old ResourceClaim with same name {name} and different UID {known.ClaimUID} still exists"
            )
        return known.with_pod(pod.metadata.uid)

    async def _release(self, uid: str) -> None:
        held = [one for one in self._records.values() if uid in one.PodUIDs]
        last = [one for one in held if one.PodUIDs == (uid,)]
        for driver in sorted({driver for one in last for driver in one.DriverState}):
            concerned = [one for one in last if driver in one.DriverState]
            request = {"claims": [one.message for one in concerned]}
            preparation.check_unprepared(concerned, await self._driver(driver).call("NodeUnprepareResources", request))
        for one in last:
            del self._records[one.key]
        self._put(one.without_pod(uid) for one in held if one not in last)

    def _driver(self, name: str) -> _Driver:
        if (driver := self._drivers.get(name)) is None:
            raise ClaimFailure(f"DRA driver {name} is not registered")
        return driver

    def _put(self, records: Iterable[Record]) -> None:
        self._records |= {one.key: one for one in records}
        checkpoint.replace(self._path, msgspec.json.encode(_File(tuple(self._records.values()))))


def _read(content: bytes) -> tuple[Record, ...]:
    try:
        return msgspec.json.decode(content, type=_File).ClaimInfoStateList
    except msgspec.DecodeError:
        _log.warning("state of claims not read") if content else None
        return ()
