"""The device plugins of this node: what they offer, and what containers have of it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mizzen.agent.devices import checkpoint, ledger
from mizzen.agent.devices.ledger import Assignment, DeviceFailure, Granted, Offer
from mizzen.agent.kubeletdir import KubeletDir
from mizzen.agent.plugins import PluginRefused
from mizzen.api.views.podspec import Container, Pod
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.machinery.errors import ApiError
from mizzen.net.rpc import Channel, Refused
from mizzen.wire import deviceplugin
from mizzen.wire.protobuf import Message

_log = log.get("agent")
_PATIENCE = 30.0
_REASON = "UnexpectedAdmissionError"


@dataclass(frozen=True, slots=True)
class _Plugin:
    channel: Channel
    following: "asyncio.Task[None]"
    options: Message

    async def call(self, name: str, request: dict[str, Any]) -> Message:
        asked, answered = deviceplugin.messages(name)
        data = deviceplugin.encode(asked, request)
        return deviceplugin.decode(
            answered, await self.channel.call(deviceplugin.method(name), data, patience=_PATIENCE)
        )


class DevicePlugins:
    """Plugins by the resource that they offer; a `PluginKind`. `changed` is told when the node has other devices."""

    def __init__(self, directory: KubeletDir, clock: Clock, changed: Callable[[], Awaitable[None]]) -> None:
        self._directory = directory
        self._home = directory.root / "device-plugins"
        self._clock = clock
        self._changed = changed
        self._plugins: dict[str, _Plugin] = {}
        self.assigned, known = checkpoint.read(self._home)
        self.offers = {resource: Offer(lost_at=float("-inf")) for resource in known}
        """What each resource's plugin has, or had."""
        self._giving = asyncio.Lock()

    def amounts(self) -> tuple[dict[str, str], dict[str, str]]:
        """Capacity and allocatable of the node by resource."""
        return ledger.amounts(self.offers, self._clock.monotonic())

    async def register(self, name: str, socket: str, versions: Sequence[str]) -> None:
        if deviceplugin.VERSION not in versions:
            raise PluginRefused(
                f"requested API version {', '.join(versions)!r} is not supported by kubelet. "
                f"Supported version is {deviceplugin.VERSION!r}"
            )
        if not ledger.is_extended(name):
            raise PluginRefused(f"the ResourceName {name!r} is invalid")
        await self._drop(name)
        channel = Channel(socket)
        following = asyncio.create_task(self._follow(name, channel))
        self._plugins[name] = _Plugin(channel, following, deviceplugin.decode("DevicePluginOptions", b""))

    async def announced(self, request: Message) -> None:
        """A plugin has called `Register`. Raises PluginRefused."""
        socket = self._directory.address(self._home / Path(request["endpoint"]).name)
        name = request["resource_name"]
        await self.register(name, socket, [request["version"]])
        options = deviceplugin.decode("DevicePluginOptions", b"") | request["options"]
        self._plugins[name] = replace(self._plugins[name], options=options)
        _log.info("device plugin registered", resource=name)

    async def deregister(self, name: str) -> None:
        await self._drop(name)
        await self._lose(name)

    async def admit(self, pod: Pod) -> tuple[str, str] | None:
        """Give a new pod its devices; answers reason and message when it cannot have them. May be repeated."""
        async with self._giving:
            try:
                for container, resource, count in ledger.wanted(pod, self.offers):
                    await self._give(pod, container.name, resource, count)
            except (DeviceFailure, Refused, OSError, ValueError) as error:
                self.release(pod.metadata.uid)
                return _REASON, f"Pod was rejected: Allocate failed due to {error}, which is unexpected"
        return None

    async def prepared(self, pod: Pod, container: Container) -> Granted:
        """What a container that is about to start gets of its devices. Raises DeviceFailure."""
        uid = pod.metadata.uid
        own = [one for one in self.assigned if (one.pod, one.container) == (uid, container.name)]
        for one in own:
            plugin = self._plugins.get(one.resource)
            if plugin is None or not plugin.options["pre_start_required"]:
                continue
            try:
                await plugin.call("PreStartContainer", {"devices_ids": one.devices})
            except Refused as error:
                raise DeviceFailure(f"device plugin PreStartContainer rpc failed with err: {error}") from error
        found = ledger.granted(deviceplugin.decode("ContainerAllocateResponse", one.answer) for one in own)
        on_node = tuple(replace(one, source=str(self._directory.on_node(one.source))) for one in found.mounts)
        return replace(found, mounts=on_node)

    def health(self, uid: str, container: str) -> list[Message]:
        """The devices of a container, as its status shows them."""
        return [
            {"name": one.resource, "resources": ledger.health(self.offers.get(one.resource, Offer()), one.devices)}
            for one in self.assigned
            if (one.pod, one.container) == (uid, container)
        ]

    def release(self, uid: str) -> None:
        """A pod has its devices no more. Raises OSError."""
        kept = [one for one in self.assigned if one.pod != uid]
        if len(kept) != len(self.assigned):
            self.assigned = kept
            self._note()

    def holders(self) -> set[str]:
        """The uids of the pods that have devices."""
        return {one.pod for one in self.assigned}

    async def close(self) -> None:
        """Let go of all plugins."""
        for name in list(self._plugins):
            await self._drop(name)

    async def _give(self, pod: Pod, container: str, resource: str, count: int) -> None:
        uid = pod.metadata.uid
        if any((one.pod, one.container, one.resource) == (uid, container, resource) for one in self.assigned):
            return  # before the agent was started anew
        choice = ledger.choice(pod, (resource, count), self.offers, self.assigned)
        if (plugin := self._plugins.get(resource)) is None:
            raise DeviceFailure(f"unknown Device Plugin {resource}")
        preferred: Sequence[str] = ()
        if plugin.options["get_preferred_allocation_available"] and len(choice.fixed) < count:
            asked = {
                "available_deviceIDs": (*choice.fixed, *choice.free), "must_include_deviceIDs": choice.fixed,
                "allocation_size": count,
            }  # fmt: skip
            answer = await plugin.call("GetPreferredAllocation", {"container_requests": [asked]})
            preferred = [device for one in answer["container_responses"][:1] for device in one["deviceIDs"]]
        devices = choice.filled(preferred)
        answer = await plugin.call("Allocate", {"container_requests": [{"devices_ids": devices}]})
        if not answer["container_responses"]:
            raise DeviceFailure(f"no containers return in allocation response for {resource}")
        given = deviceplugin.encode("ContainerAllocateResponse", answer["container_responses"][0])
        self.assigned = [*self.assigned, Assignment(uid, container, resource, devices, given)]
        self._note()

    async def _follow(self, name: str, channel: Channel) -> None:
        """Take in what a plugin lists until it goes."""
        try:
            await self._learn_options(name, channel)
            async for data in channel.stream(deviceplugin.method("ListAndWatch"), b""):
                listed = deviceplugin.decode("ListAndWatchResponse", data)["devices"]
                healthy = frozenset(one["ID"] for one in listed if one["health"] == deviceplugin.HEALTHY)
                await self._take(name, Offer(healthy, frozenset(one["ID"] for one in listed) - healthy))
        except (Refused, ValueError) as error:
            _log.warning("device plugin gone", resource=name, error=str(error))
        await self._lose(name)

    async def _learn_options(self, name: str, channel: Channel) -> None:
        """Plugins that came by the registry have not told what they can do."""
        method = deviceplugin.method("GetDevicePluginOptions")
        try:
            answer = await channel.call(method, b"", patience=_PATIENCE, insist=True)
        except Refused:
            return  # it has none
        options = deviceplugin.decode("DevicePluginOptions", answer)
        known = self._plugins[name]
        merged = {key: value or known.options[key] for key, value in options.items()}
        self._plugins[name] = replace(known, options=merged)

    async def _lose(self, name: str) -> None:
        offer = self.offers.get(name, Offer())
        if offer.lost_at is None:
            await self._take(name, offer.lost(self._clock.monotonic()))

    async def _take(self, name: str, offer: Offer) -> None:
        if self.offers.get(name) == offer:
            return
        self.offers[name] = offer
        self._note()
        try:
            await self._changed()
        except (ApiError, ConnectionError, TimeoutError) as error:
            _log.debug("devices not told yet", resource=name, error=str(error))  # the next heartbeat does

    async def _drop(self, name: str) -> None:
        if (plugin := self._plugins.pop(name, None)) is not None:
            plugin.following.cancel()
            await asyncio.gather(plugin.following, return_exceptions=True)
            await plugin.channel.close()

    def _note(self) -> None:
        registered = {resource: offer.healthy | offer.unhealthy for resource, offer in self.offers.items()}
        checkpoint.write(self._home, self.assigned, registered)
