"""What a pod asks of a node: resources with the arithmetic of init and side-car containers, and host ports.

Amounts are whole numbers by resource name: millicores for cpu, bytes or plain counts for everything else.
Ref: https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mizzen.api.views.core import Container, ContainerStatus, Pod, Quantity
from mizzen.machinery import quantity

Amounts = Mapping[str, int]
DEFAULT_MILLICORES = 100
DEFAULT_BYTES = 200 * 1024 * 1024
"""What scoring assumes for a container that asks for nothing, so that such containers spread too."""


@dataclass(frozen=True, slots=True)
class HostPort:
    """A port of the node that a pod takes."""

    address: str
    protocol: str
    port: int

    def conflicts(self, other: "HostPort") -> bool:
        if self.port != other.port or self.protocol != other.protocol:
            return False
        return self.address == other.address or "0.0.0.0" in (self.address, other.address)


def amount(resource: str, value: Quantity) -> int:
    """Millicores for cpu, whole units for everything else, rounded up."""
    parsed = quantity.parse(value)
    return parsed.milli if resource == "cpu" else parsed.value


def amounts(values: Mapping[str, Quantity]) -> dict[str, int]:
    return {name: amount(name, value) for name, value in values.items()}


def requested(pod: Pod) -> dict[str, int]:
    """The pod's effective request: side-cars run beside everything after them, other init containers one by one.

    A resize counts at the larger of what is wanted and what the node still holds; requests of the whole pod replace
    the sums of its containers.
    """
    held = {one.name: one for one in (*pod.status.containerStatuses, *pod.status.initContainerStatuses)}
    refused = any(one.type == "PodResizePending" and one.reason == "Infeasible" for one in pod.status.conditions)
    return _peak(pod, lambda container: _held(container, held.get(container.name), refused=refused), refused=refused)


def _peak(pod: Pod, of: Callable[[Container], Amounts], *, refused: bool) -> dict[str, int]:
    """The most that a pod takes at any time, by what each of its containers takes."""
    spec, status = pod.spec, pod.status
    running: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in spec.initContainers:
        own = of(container)
        if container.restartPolicy == "Always":
            _add(running, own)
            _raise(peak, running)
        else:
            _raise(peak, {name: running.get(name, 0) + value for name, value in own.items()})
    for container in spec.containers:
        _add(running, of(container))
    _raise(peak, running)
    if spec.resources is not None:
        whole = {} if refused and status.allocatedResources else amounts(spec.resources.requests)
        _raise(whole, amounts(status.allocatedResources))
        if status.resources is not None:
            _raise(whole, amounts(status.resources.requests))
        peak |= {name: value for name, value in whole.items() if is_of_the_pod(name)}
    _add(peak, amounts(spec.overhead))
    return peak


def is_of_the_pod(resource: str) -> bool:
    """Whether a pod may ask for this resource as a whole."""
    return resource in ("cpu", "memory") or resource.startswith("hugepages-")


def is_resized(pod: Pod) -> bool:
    """Whether what the node holds for the pod is reported, so that its status matters for its request."""
    return bool(pod.status.allocatedResources or pod.status.resources is not None) or any(
        one.allocatedResources or one.resources is not None
        for one in (*pod.status.containerStatuses, *pod.status.initContainerStatuses)
    )


def _held(container: Container, status: ContainerStatus | None, *, refused: bool) -> dict[str, int]:
    """What a container takes: what it wants, or what it has where that is more; a refused resize wants nothing."""
    wanted = amounts(container.resources.requests)
    if status is None or not (status.allocatedResources or status.resources is not None):
        return wanted
    has = amounts(status.allocatedResources)
    if status.resources is not None:
        _raise(has, amounts(status.resources.requests))
    if refused:
        return has
    _raise(has, wanted)
    return has


def scored(pod: Pod) -> tuple[int, int]:
    """Millicores and bytes as scoring counts them, with the assumed amounts where a container asks for none."""

    def of(container: Container) -> Amounts:
        wanted = container.resources.requests
        cpu = amount("cpu", wanted["cpu"]) if "cpu" in wanted else DEFAULT_MILLICORES
        memory = amount("memory", wanted["memory"]) if "memory" in wanted else DEFAULT_BYTES
        return {"cpu": cpu, "memory": memory}

    peak = _peak(pod, of, refused=False)
    return peak.get("cpu", 0), peak.get("memory", 0)


def host_ports(pod: Pod) -> tuple[HostPort, ...]:
    """The node's ports that the pod's containers take."""
    every = (*pod.spec.containers, *(one for one in pod.spec.initContainers if one.restartPolicy == "Always"))
    return tuple(
        HostPort(port.hostIP or "0.0.0.0", port.protocol or "TCP", port.hostPort)
        for container in every
        for port in container.ports
        if port.hostPort
    )


def _add(total: dict[str, int], more: Amounts) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _raise(peak: dict[str, int], level: Amounts) -> None:
    for name, value in level.items():
        if value > peak.get(name, 0):
            peak[name] = value
