"""The pods behind a Service: which ones, at which addresses and ports. Endpoints and EndpointSlices both start here."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mizzen.api.views.core import Pod, Service, ServicePort
from mizzen.client.cache import BY_LABEL, Cache, Index
from mizzen.client.resources import PODS, SERVICES
from mizzen.controllers.pods import is_finished, is_ready

BY_SELECTOR: Index[Any] = Index(
    "selector", lambda service: (min(service.spec.selector.items()),) if service.spec.selector else ()
)


@dataclass(frozen=True, slots=True)
class Port:
    """A service port as one pod serves it."""

    name: str
    protocol: str
    port: int
    appProtocol: str | None = None


def pods_of(cache: Cache, service: Service) -> tuple[Pod, ...]:
    """The pods a Service selects that have an address and are not finished, by name."""
    selector = service.spec.selector.items()
    first = min(selector)
    found = (
        pod
        for pod in cache.of(PODS, Pod).by(BY_LABEL, first)
        if pod.metadata.namespace == service.metadata.namespace
        and selector <= pod.metadata.labels.items()
        and pod.status.podIP
        and not is_finished(pod)
    )
    return tuple(sorted(found, key=lambda pod: pod.metadata.name))


def rest(pods: int) -> float:
    """Seconds between two looks at a Service with so many pods, which cost as many times the work of one."""
    return min(1.0, max(0, pods - 100) / 1000)


def keys_of_pod(cache: Cache, pod: Pod) -> Iterator[str]:
    """Keys of the Services that select a pod."""
    services = cache.of(SERVICES, Service)
    for pair in pod.metadata.labels.items():
        for service in services.by(BY_SELECTOR, pair):
            if (
                service.metadata.namespace == pod.metadata.namespace
                and service.spec.selector.items() <= pod.metadata.labels.items()
            ):
                yield f"{service.metadata.namespace}/{service.metadata.name}"


def pod_concerns(old: Pod, new: Pod) -> bool:
    """Whether a change of a pod can matter to a Service."""
    return (
        old.status.podIPs != new.status.podIPs
        or old.status.podIP != new.status.podIP
        or is_ready(old) != is_ready(new)
        or is_finished(old) != is_finished(new)
        or old.metadata.deletionTimestamp != new.metadata.deletionTimestamp
        or old.metadata.labels != new.metadata.labels
        or old.spec.nodeName != new.spec.nodeName
        or old.metadata.uid != new.metadata.uid
    )


def addresses(pod: Pod, family: str) -> tuple[str, ...]:
    """The pod's addresses of a family, IPv4 or IPv6; the first is the one that counts."""
    known = [one.ip for one in pod.status.podIPs] or [pod.status.podIP]
    return tuple(ip for ip in known if (":" in ip) == (family == "IPv6"))


def ports_of(service: Service, pod: Pod) -> tuple[Port, ...]:
    """The service's ports as this pod serves them; a named port that the pod lacks is left out."""
    found = ((port, _number(port, pod)) for port in service.spec.ports)
    return tuple(
        Port(port.name, port.protocol, number, port.appProtocol) for port, number in found if number is not None
    )


def _number(port: ServicePort, pod: Pod) -> int | None:
    if isinstance(port.targetPort, int):
        return port.targetPort or port.port
    if port.targetPort == "":
        return port.port
    containers: Iterable[Any] = (
        *pod.spec.containers,
        *(one for one in pod.spec.initContainers if one.restartPolicy == "Always"),
    )
    for container in containers:
        for have in container.ports:
            if have.name == port.targetPort and have.protocol == port.protocol:
                return int(have.containerPort)
    return None


def hostname(service: Service, pod: Pod) -> str | None:
    """The pod's own name under a headless service that is its subdomain."""
    if pod.spec.hostname and pod.spec.subdomain == service.metadata.name:
        return pod.spec.hostname
    return None


def families(service: Service) -> tuple[str, ...]:
    """The address families of a Service."""
    if service.spec.ipFamilies:
        return service.spec.ipFamilies
    return ("IPv6",) if ":" in service.spec.clusterIP else ("IPv4",)
