"""The storage drivers of this node: registered as plugins, and told to the cluster as the node's CSINode."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from mizzen.agent.plugins import PluginRefused
from mizzen.agent.volumes.csi import requests
from mizzen.agent.volumes.kinds import VolumeFailure
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.client.client import Client
from mizzen.client.resources import CSI_DRIVERS, CSI_NODES, NODES
from mizzen.machinery.errors import ApiError, Object
from mizzen.net.rpc import Channel, Refused
from mizzen.wire import csi
from mizzen.wire.protobuf import Message

_log = log.get("agent")
_PATIENCE = 120.0
_RETRY = 1.0
_LOOK_EVERY = 5.0
_ID_ANNOTATION = "csi.volume.kubernetes.io/nodeid"


@dataclass(frozen=True, slots=True)
class Driver:
    """One driver: what it can do, and the way to it."""

    name: str
    channel: Channel
    abilities: frozenset[int] = frozenset()

    async def call(self, name: str, request: Mapping[str, Any]) -> Message:
        """The answer to a node call. Raises Refused."""
        data = csi.encode(f"{name}Request", request)
        return csi.decode(f"{name}Response", await self.channel.call(csi.method(name), data, patience=_PATIENCE))


class Drivers:
    """Drivers by name; a `PluginKind`."""

    def __init__(self, client: Client, clock: Clock, node: str) -> None:
        self._client = client
        self._clock = clock
        self.node = node
        self._drivers: dict[str, Driver] = {}
        self._told: dict[str, float] = {}
        """When each driver was last asked for its limits."""
        self._writing = asyncio.Lock()

    def get(self, name: str) -> Driver:
        """A registered driver. Raises VolumeFailure."""
        if (driver := self._drivers.get(name)) is None:
            raise VolumeFailure(
                "kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: "
                f"driver name {name} not found in the list of registered CSI drivers"
            )
        return driver

    async def settings(self, name: str) -> Mapping[str, Any]:
        """The spec of the driver's CSIDriver object; empty without one. Raises ApiError, ConnectionError."""
        try:
            return (await self._client.get(CSI_DRIVERS, name, view=dict)).get("spec") or {}
        except ApiError as error:
            if error.code != 404:
                raise
            return {}

    async def register(self, name: str, socket: str, versions: Sequence[str]) -> None:
        if not any(one.lstrip("v").split(".")[0] == "1" for one in versions):
            raise PluginRefused(f"CSI driver {name} speaks none of the supported versions: {', '.join(versions)}")
        channel = Channel(socket)
        try:
            info = await Driver(name, channel).call("NodeGetInfo", {})
            able = await Driver(name, channel).call("NodeGetCapabilities", {})
            await self._tell(name, info)
        except (Refused, ApiError, ConnectionError, TimeoutError) as error:
            await channel.close()
            raise PluginRefused(f"failed to get the node's information from CSI driver {name}: {error}") from error
        abilities = frozenset(one["rpc"].get("type", 0) for one in able["capabilities"])
        self._told[name] = self._clock.monotonic()
        former, self._drivers[name] = self._drivers.get(name), Driver(name, channel, abilities)
        if former is not None:
            await former.channel.close()

    async def follow_limits(self) -> None:
        """Ask again how many volumes the node can have, as often as each driver wants, until cancelled."""
        while True:
            await self._clock.sleep(_LOOK_EVERY)
            for driver in list(self._drivers.values()):
                try:
                    await self._look_at_limit(driver)
                except (Refused, ApiError, ConnectionError, TimeoutError) as error:
                    _log.debug("driver does not tell its limit", driver=driver.name, error=str(error))

    async def deregister(self, name: str) -> None:
        if (driver := self._drivers.pop(name, None)) is None:
            return
        await driver.channel.close()
        try:
            async with self._writing:
                await self._list(name, None)
                await self._note(name, "", {})
        except (ApiError, ConnectionError, TimeoutError) as error:
            _log.warning("driver not taken off the CSINode", driver=name, error=str(error))

    async def announce(self) -> None:
        """Make the node's CSINode, retried until it is there: without one no volume is attached to the node."""
        while True:
            try:
                await self._listed()
                return
            except (ApiError, ConnectionError, TimeoutError) as error:
                _log.warning("no CSINode yet", node=self.node, error=str(error))
                await self._clock.sleep(_RETRY)

    async def close(self) -> None:
        """Let go of all drivers; they stay in the CSINode."""
        for driver in self._drivers.values():
            await driver.channel.close()

    async def _look_at_limit(self, driver: Driver) -> None:
        period = (await self.settings(driver.name)).get("nodeAllocatableUpdatePeriodSeconds")
        now = self._clock.monotonic()
        if period and now - self._told[driver.name] >= period:
            self._told[driver.name] = now
            await self._tell(driver.name, await driver.call("NodeGetInfo", {}))

    async def _tell(self, name: str, info: Message) -> None:
        async with self._writing:
            await self._list(name, requests.driver_entry(name, info))
            await self._note(name, info["node_id"], (info["accessible_topology"] or {}).get("segments") or {})

    async def _list(self, name: str, entry: Object | None) -> None:
        """Put a driver into the CSINode, or take it out."""
        found = await self._listed()
        drivers: list[Object] = found["spec"].get("drivers") or []
        others = [one for one in drivers if one["name"] != name]
        present = next((one for one in drivers if one["name"] == name), None)
        if present == entry:
            return
        if present is not None and (entry is None or present["nodeID"] != entry["nodeID"]):
            # An entry does not change the name that the driver has for the node: it goes, and comes anew.
            found = await self._client.update(CSI_NODES, {**found, "spec": {"drivers": others}})
        if entry is not None:
            await self._client.update(CSI_NODES, {**found, "spec": {"drivers": [*others, entry]}})

    async def _listed(self) -> Object:
        """The node's CSINode, which is made when it is not there."""
        try:
            return await self._client.get(CSI_NODES, self.node, view=dict)
        except ApiError as error:
            if error.code != 404:
                raise
        uid = (await self._client.get(NODES, self.node, view=dict))["metadata"]["uid"]
        owner = {"apiVersion": "v1", "kind": "Node", "name": self.node, "uid": uid}
        body: Object = {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSINode",
            "metadata": {"name": self.node, "ownerReferences": [owner]},
            "spec": {"drivers": []},
        }
        return await self._client.create(CSI_NODES, body)

    async def _note(self, name: str, node_id: str, segments: Mapping[str, str]) -> None:
        """Write a driver's name for the node, and where it is, on the Node; the labels stay when the driver goes."""
        node = await self._client.get(NODES, self.node, view=dict)
        annotations = node["metadata"].get("annotations") or {}
        ids: dict[str, str] = orjson.loads(annotations.get(_ID_ANNOTATION) or "{}")
        if node_id:
            ids[name] = node_id
        else:
            ids.pop(name, None)
        text = orjson.dumps(ids, option=orjson.OPT_SORT_KEYS).decode() if ids else None
        change: Object = {}
        if annotations.get(_ID_ANNOTATION) != text:
            change["annotations"] = {_ID_ANNOTATION: text}
        labels = node["metadata"].get("labels") or {}
        if wanted := {key: value for key, value in segments.items() if labels.get(key) != value}:
            change["labels"] = wanted
        if change:
            await self._client.patch(NODES, self.node, {"metadata": change})
