"""What the agent's parts share, handed around as one value."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from mizzen.agent.config import AgentConfig
from mizzen.agent.devices.shell import Devices
from mizzen.agent.images.policy import Images
from mizzen.agent.images.providers import Providers
from mizzen.agent.network.routed import PodNetwork
from mizzen.agent.objects import Objects
from mizzen.agent.resources import Size, container_limits, pod_limits
from mizzen.agent.runtime.base import Limits, Runtime
from mizzen.agent.volumes.shell import Volumes
from mizzen.api.views.podspec import Container, Pod
from mizzen.base.clock import Clock
from mizzen.client.client import Client
from mizzen.machinery.errors import Object
from mizzen.reconcile.events import Recorder
from mizzen.reconcile.plan import Note, Reference


@dataclass(frozen=True, slots=True)
class Resources:
    """What the node has: amounts in nanos by resource."""

    allocatable: Mapping[str, int] = field(default_factory=dict)
    unreserved: Mapping[str, int] = field(default_factory=dict)
    """What pods together are held to."""
    size: Size = field(default_factory=Size)


@dataclass(frozen=True, slots=True)
class Equipment:
    """The seams and parts behind every instruction."""

    config: AgentConfig
    client: Client
    clock: Clock
    runtime: Runtime
    network: PodNetwork
    images: Images
    providers: Providers
    volumes: Volumes
    devices: Devices
    objects: Objects
    events: Recorder
    resources: Resources
    services: Callable[[str], Iterable[Object]]
    """The services of a namespace, and default/kubernetes."""
    hostname: str

    def pod_limits(self, pod: Pod) -> Limits:
        """What a pod as a whole is held to."""
        limits = pod_limits(pod, self.config.pod_pids, self.resources.size)
        containers = (*(pod.spec.initContainers or ()), *pod.spec.containers)
        own = any(self.devices.cpus.own(pod.metadata.uid, one.name) for one in containers)
        return replace(limits, cpu_quota=0) if own or not self.config.quotas else limits

    def container_limits(self, pod: Pod, container: Container) -> Limits:
        """What a container is held to; processors of its own bound it without a quota."""
        limits = container_limits(pod, container, self.resources.size)
        cpus = self.devices.cpus.given(pod.metadata.uid, container)
        limits = replace(limits, cpus=cpus, ends_whole=self.config.ends_whole)
        own = self.devices.cpus.own(pod.metadata.uid, container.name)
        return replace(limits, cpu_quota=0) if own or not self.config.quotas else limits

    def pod_home(self, uid: str) -> Path:
        """The directory of a pod."""
        return self.config.kubelet / "pods" / uid

    def pod_logs(self, pod: Pod) -> Path:
        """The directory of a pod's logs."""
        meta = pod.metadata
        return self.config.logs / "pods" / f"{meta.namespace}_{meta.name}_{meta.uid}"

    def log_path(self, pod: Pod, container: str, attempt: int) -> Path:
        """The log of one attempt."""
        return self.pod_logs(pod) / container / f"{attempt}.log"

    def message_file(self, uid: str, container: str, attempt: int) -> Path:
        """Where an attempt leaves its termination message."""
        return self.pod_home(uid) / "containers" / container / str(attempt)

    def tell(
        self, pod: Pod, kind: Literal["Normal", "Warning"], reason: str, message: str, container: str = ""
    ) -> None:
        """Record an event about a pod or one of its containers."""
        meta, path = pod.metadata, ""
        for key in ("initContainers", "containers", "ephemeralContainers"):
            if container and any(one.name == container for one in getattr(pod.spec, key) or ()):
                path = f"spec.{key}{{{container}}}"
        about = Reference("v1", "Pod", meta.namespace, meta.name, meta.uid, meta.resourceVersion, path)
        self.events.record(Note(about, reason, message, kind))
