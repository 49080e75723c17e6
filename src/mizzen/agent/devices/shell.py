"""The devices of the node's pods, whoever they come from."""

from dataclasses import replace

from mizzen.agent.cpus.shell import Cpus
from mizzen.agent.devices import ledger
from mizzen.agent.devices.claims import ClaimDrivers
from mizzen.agent.devices.ledger import Granted
from mizzen.agent.devices.plugins import DevicePlugins
from mizzen.api.views.podspec import Container, Pod
from mizzen.machinery.errors import Object
from mizzen.wire.protobuf import Message


class Devices:
    """What a pod's life needs of device plugins, of drivers of dynamic resources, and of processors of its own."""

    def __init__(self, plugins: DevicePlugins, claims: ClaimDrivers, cpus: Cpus) -> None:
        self._plugins = plugins
        self._claims = claims
        self.cpus = cpus

    def concern(self, pod: Pod) -> bool:
        """Whether `admit` has anything to do for a pod."""
        return self.cpus.concern(pod) or any(True for _ in ledger.wanted(pod, self._plugins.offers))

    async def admit(self, pod: Pod) -> tuple[str, str] | None:
        """Give a new pod its processors and devices of plugins; answers reason and message when it cannot have them."""
        refused = self.cpus.admit(pod)
        return refused if refused is not None else await self._plugins.admit(pod)

    async def prepare(self, pod: Pod) -> None:
        """Have the claims of a pod made ready. Raises ClaimFailure."""
        await self._claims.prepare(pod)

    async def granted(self, pod: Pod, container: Container) -> Granted:
        """What a container that is about to start gets. Raises DeviceFailure."""
        found = await self._plugins.prepared(pod, container)
        return replace(found, cdi=(*found.cdi, *self._claims.cdi_devices(pod, container)))

    def health(self, pod: Pod, container: Container) -> list[Object]:
        """What a container has, and how that is, as its status shows it."""
        return [*self._plugins.health(pod.metadata.uid, container.name), *self._claims.health(pod, container)]

    def healthy(self) -> dict[str, frozenset[str]]:
        """The devices that plugins can give, by resource."""
        return {name: offer.healthy for name, offer in self._plugins.offers.items()}

    def account(self, pod: Pod, container: Container) -> Message:
        """What a container has, for those who ask the node."""
        uid = pod.metadata.uid
        devices = [
            {"resource_name": one.resource, "device_ids": one.devices}
            for one in self._plugins.assigned
            if (one.pod, one.container) == (uid, container.name)
        ]
        return {
            "devices": devices,
            "cpu_ids": sorted(self.cpus.own(uid, container.name)),
            "dynamic_resources": self._claims.account(pod, container),
        }

    async def release(self, uid: str) -> None:
        """A pod needs its devices no more; may be repeated. Raises OSError."""
        await self._claims.release(uid)
        self._plugins.release(uid)
        self.cpus.release(uid)

    def holders(self) -> set[str]:
        """The uids of the pods that have devices or processors."""
        return self._plugins.holders() | self._claims.holders() | self.cpus.holders()

    async def close(self) -> None:
        """Let go of plugins and drivers."""
        await self._plugins.close()
        await self._claims.close()
