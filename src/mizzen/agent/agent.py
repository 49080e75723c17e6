"""One node's agent: put together, started, and stopped without harming what it runs.

`run` is everything: it observes what already runs, registers the node, and follows the API until it is cancelled.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from mizzen.agent import loglinks, machineinfo, node, serve
from mizzen.agent.config import AgentConfig
from mizzen.agent.cpus.sharing import Sharing
from mizzen.agent.cpus.shell import Cpus
from mizzen.agent.devices.account import Account
from mizzen.agent.devices.claims import ClaimDrivers
from mizzen.agent.devices.plugins import DevicePlugins
from mizzen.agent.devices.registration import Registration
from mizzen.agent.devices.shell import Devices
from mizzen.agent.equipment import Equipment
from mizzen.agent.eviction import Guard
from mizzen.agent.images.imagevolumes import PulledVolumes
from mizzen.agent.images.policy import Images
from mizzen.agent.images.providers import Providers
from mizzen.agent.kubeletdir import KubeletDir
from mizzen.agent.life import ReferenceChanged
from mizzen.agent.logrotation import rotate_logs
from mizzen.agent.network.routed import PodNetwork
from mizzen.agent.node import Health, NodeReporter
from mizzen.agent.objects import Objects
from mizzen.agent.plugins import PluginKind, Plugins
from mizzen.agent.pods import Pods
from mizzen.agent.podsource import follow_node, follow_pods
from mizzen.agent.resources import CRITICAL_PRIORITY
from mizzen.agent.runtime.base import Runtime
from mizzen.agent.runtime.namespaces import in_user_namespace
from mizzen.agent.staticpods import StaticPods
from mizzen.agent.streams import server as streams
from mizzen.agent.volumes.csi.drivers import Drivers
from mizzen.agent.volumes.csi.shell import CsiVolumes
from mizzen.agent.volumes.localpaths import reclaim
from mizzen.agent.volumes.shell import Volumes
from mizzen.api.views.core import Service
from mizzen.api.views.podspec import Pod
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.client.cache import Cache
from mizzen.client.client import Client, Resource
from mizzen.client.informer import Informer
from mizzen.client.resources import SERVICES
from mizzen.machinery.errors import ApiError, Object
from mizzen.reconcile.events import Recorder
from mizzen.reconcile.plan import Note, Reference
from mizzen.wire.message import Handle

_log = log.get("agent")


async def run(
    config: AgentConfig,
    client: Client,
    *,
    network: PodNetwork,
    runtime: Runtime,
    images: Images,
    clock: Clock,
    ready: Callable[["Agent"], None] | None = None,
) -> None:
    """Run a node until cancelled; its containers go on running. `ready` is told when it has registered."""
    agent = Agent(config, client, network=network, runtime=runtime, images=images, clock=clock)
    try:
        await agent.run(ready)
    finally:
        await agent.close()


class Agent:
    """The parts of one node; `handle` answers requests to the node's own HTTP server."""

    def __init__(
        self,
        config: AgentConfig,
        client: Client,
        *,
        network: PodNetwork,
        runtime: Runtime,
        images: Images,
        clock: Clock,
    ) -> None:
        self.config = config
        self._client = client
        self._clock = clock
        self._runtime = runtime
        config.root.mkdir(parents=True, exist_ok=True)
        self._objects = Objects(client, clock, self._object_changed)
        self._services = Cache().of(SERVICES, Service)
        self._events = Recorder(client, clock, random.Random(), "kubelet", config.node_name)
        self._directory = KubeletDir(config.kubelet, config.logs, config.cdi)
        self._drivers = Drivers(client, clock, config.node_name)
        self._driver_volumes = CsiVolumes(client, clock, self._drivers, self._directory, self._report)
        self._device_plugins = DevicePlugins(self._directory, clock, self._devices_changed)
        self._claim_drivers = ClaimDrivers(client, self._directory)
        self._pool_changed = asyncio.Event()
        cpus = Cpus(config, self._ended_pods, self._pool_changed.set)
        providers = Providers(client, clock, config.credential_providers, config.credential_programs)
        pulled = PulledVolumes(images.mountable(), self._objects, providers, clock, self._tell_of_pod)
        self.tools = Equipment(
            config=config,
            client=client,
            clock=clock,
            runtime=runtime,
            network=network,
            images=images,
            providers=providers,
            volumes=Volumes(self._directory, client, self._objects, pulled, self._driver_volumes, clock),
            devices=Devices(self._device_plugins, self._claim_drivers, cpus),
            objects=self._objects,
            events=self._events,
            resources=node.resources_of(config),
            services=self._services_of,
            hostname=config.node_name,
        )
        self.pods = Pods(self.tools, node.labels_of(config, config.node_name))
        self._guard = Guard(self.tools, self.pods)
        self._info = machineinfo.info(f"{runtime.name}://{runtime.version}", config.version)
        self.reporter = NodeReporter(
            config, client, clock, status=self._node_status, hostname=config.node_name, tell=self._tell
        )
        self.handle: Handle = streams.handle(self.tools, self.pods, serve.handle(self.tools, self.pods))

    async def run(self, ready: Callable[["Agent"], None] | None = None) -> None:
        """Everything at once, until cancelled."""
        self._directory.prepare()
        loglinks.sweep(self.config.logs)
        self.pods.restore(await self._runtime.observe())
        listed = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_exits(), name="exits")
            group.create_task(self._events.run(), name="events")
            informer = Informer(self._client, self._services, self._clock, random.Random())
            group.create_task(informer.run(), name="services")
            if self.config.static_pods is not None:  # they do not wait for the API
                group.create_task(StaticPods(self.tools, self.pods, self.config.static_pods).run(), name="static")
            self._guard.measure()
            await self.reporter.register()
            self._tell("Normal", "Starting", "Starting kubelet.")
            if self.config.enforces and self.config.runtime != "simulated" and not in_user_namespace():
                self._tell("Normal", "NodeAllocatableEnforced", "Updated Node Allocatable limit across pods")
            while not self._services.has_synced:
                await self._clock.sleep(0.01)
            group.create_task(self.reporter.run(), name="node")
            group.create_task(self.pods.statuses.run(), name="statuses")
            group.create_task(self.pods.tend(), name="tokens")
            group.create_task(self.pods.tend_drivers(), name="driver volumes")
            await self._start_plugins(group)
            group.create_task(self._guard.run(), name="guard")
            group.create_task(self._guard.follow_runtime(self._report), name="runtime")
            group.create_task(rotate_logs(self.tools, self.pods), name="logs")
            group.create_task(
                follow_pods(
                    self._client,
                    self._clock,
                    self.config.node_name,
                    seen=self.pods.seen,
                    gone=self.pods.gone,
                    listed=listed.set,
                ),
                name="pods",
            )
            group.create_task(
                follow_node(self._client, self._clock, self.config.node_name, self._relabelled), name="labels"
            )
            group.create_task(reclaim(self._client, self._clock, self.tools.hostname), name="local volumes")
            await listed.wait()
            await self.pods.clean_orphans()
            if self.tools.devices.cpus.policy == "static":
                group.create_task(Sharing(self.tools, self.pods, self._pool_changed).run(), name="processors")
            if ready is not None:
                ready(self)

    async def _start_plugins(self, group: asyncio.TaskGroup) -> None:
        """Use the plugins that there are, and follow their coming and going."""
        await self._drivers.announce()
        kinds: dict[str, PluginKind] = {
            "CSIPlugin": self._drivers, "DRAPlugin": self._claim_drivers, "DevicePlugin": self._device_plugins,
        }  # fmt: skip
        plugins = Plugins(self._directory, kinds, self._plugin_came)
        registration = Registration(self._directory, self._device_plugins.announced)
        group.create_task(registration.run(), name="device plugins")
        account = Account(self._directory, self.tools.devices, self._active_pods)
        group.create_task(account.run(), name="account of devices")
        group.create_task(self._drivers.follow_limits(), name="driver limits")
        await plugins.look()  # drivers that went on running are needed for what pods left behind
        group.create_task(plugins.run(), name="plugins")

    async def close(self) -> None:
        """Let go of everything but the containers."""
        await self.pods.close()
        self._objects.close()
        await self._drivers.close()
        await self.tools.devices.close()
        self._directory.close()
        await self._runtime.close()

    async def shut_down(self) -> None:
        """End every pod, those of critical priority last: what a node does before its machine goes off."""
        self._guard.announce_shutdown()
        with contextlib.suppress(ApiError, ConnectionError, TimeoutError):
            await self.reporter.report()
        graces = {0: self.config.shutdown_grace, CRITICAL_PRIORITY: self.config.shutdown_grace_critical}
        await self._guard.shut_down(self.config.shutdown_graces or graces)

    def _tell(self, kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        """Record an event about the node."""
        about = Reference("v1", "Node", "", self.config.node_name, self.config.node_name)
        self._events.record(Note(about, reason, message, kind))

    def _relabelled(self, labels: Mapping[str, str]) -> None:
        self.pods.labels = labels

    def _object_changed(self, resource: Resource, namespace: str, name: str) -> None:
        self.pods.changed(resource, namespace, name)

    async def _watch_exits(self) -> None:
        async for seen in self._runtime.watch():
            self.pods.exited(seen)

    def _node_status(self, before: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        health: Health = self._guard.health
        images = self.tools.images.listed()
        now = self._clock.now()
        return node.status_of(
            self.config, self._info, images, health=health, before=before, hostname=self.tools.hostname, now=now,
            in_use=self._driver_volumes.in_use(), devices=self._device_plugins.amounts(),
            able=self._runtime.abilities,
        )  # fmt: skip

    def _tell_of_pod(self, pod: Pod, kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        self.tools.tell(pod, kind, reason, message)

    def _active_pods(self) -> list[Pod]:
        return [one.pod for one in self.pods if not one.over]

    def _ended_pods(self) -> list[str]:
        return [one.pod.metadata.uid for one in self.pods if one.over]

    def _plugin_came(self) -> None:
        """Volumes and claims that wait for a driver need wait no longer."""
        for one in [one for one in self.pods if one.volumes == "none" and one.problem[0]]:
            self.pods.happen(one.pod.metadata.uid, ReferenceChanged(frozenset(), volumes=True))

    async def _devices_changed(self) -> None:
        for uid in self._device_plugins.holders():
            self.pods.statuses.mark(uid)
        await self.reporter.report()

    async def _report(self) -> None:
        await self.reporter.report()

    def _services_of(self, namespace: str) -> list[Object]:
        found = self._services.in_namespace(namespace)
        if namespace != "default" and (api := self._services.get("default", "kubernetes")) is not None:
            found = [*found, api]
        return [_as_object(one) for one in found]


def _as_object(service: Service) -> Object:
    ports = [
        {"name": one.name, "port": one.port, "protocol": one.protocol or "TCP"} for one in service.spec.ports or ()
    ]
    meta = {"name": service.metadata.name, "namespace": service.metadata.namespace}
    return {"metadata": meta, "spec": {"clusterIP": service.spec.clusterIP, "ports": ports}}
