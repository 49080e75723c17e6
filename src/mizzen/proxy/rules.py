"""What Services mean on one node: which address and port leads to which endpoints. Pure.

`service_rules` decides for one Service, `rules` for all.
Ref: "Virtual IPs and Service Proxies" in the Kubernetes reference.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from mizzen.api.views.core import Service, ServicePort
from mizzen.api.views.discovery import Endpoint, EndpointSlice

SERVICE_LABEL = "kubernetes.io/service-name"
OTHER_PROXY_LABEL = "service.kubernetes.io/service-proxy-name"
HEADLESS_LABEL = "service.kubernetes.io/headless"
_AFFINITY_SECONDS = 10800


class Target(NamedTuple):
    """An endpoint's address and port."""

    ip: str
    port: int


class Frontend(NamedTuple):
    """What clients connect to; an empty `ip` means every address of the node."""

    ip: str
    protocol: str
    port: int


@dataclass(frozen=True, slots=True)
class Backend:
    """Where a frontend leads. Without any endpoint, connections are refused, or dropped where a policy asks for it.

    `within`: endpoints for clients on this node, where they differ from those for clients elsewhere.
    `masquerade`: replies must come back through this node. `affinity`: seconds a client stays with its endpoint.
    """

    endpoints: tuple[Target, ...] = ()
    within: tuple[Target, ...] = ()
    masquerade: bool = False
    affinity: int = 0
    drops: bool = False
    sources: tuple[str, ...] = ()
    is_cluster_ip: bool = False


class Health(NamedTuple):
    """What a load balancer is told about this node: a Service's name and its number of endpoints here."""

    namespace: str
    name: str
    endpoints: int


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """The node that the rules are for, and the ranges of its pods."""

    name: str
    zone: str = ""
    pods: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All that a node's packet filter and health checks need.

    `local`: addresses of endpoints on this node, whose connections to themselves need masquerading.
    `pods`: the ranges of all pods of the cluster; `own_pods`: those of this node.
    """

    frontends: Mapping[Frontend, Backend] = field(default_factory=dict)
    local: frozenset[str] = frozenset()
    health: Mapping[int, Health] = field(default_factory=dict)
    pods: frozenset[str] = frozenset()
    own_pods: frozenset[str] = frozenset()


def rules(
    services: Iterable[Service], slices: Iterable[EndpointSlice], node: NodeInfo, pods: frozenset[str] = frozenset()
) -> RuleSet:
    """The rules of all Services on one node."""
    by_service: dict[tuple[str, str], list[EndpointSlice]] = {}
    for piece in slices:
        by_service.setdefault(service_of(piece), []).append(piece)
    return merged(
        (
            service_rules(service, by_service.get((service.metadata.namespace, service.metadata.name), ()), node)
            for service in services
        ),
        pods,
        node.pods,
    )


def merged(
    parts: Iterable[RuleSet], pods: frozenset[str] = frozenset(), own_pods: frozenset[str] = frozenset()
) -> RuleSet:
    """Several Services' rules as one. The first to claim an address and port keeps it."""
    frontends: dict[Frontend, Backend] = {}
    health: dict[int, Health] = {}
    local: set[str] = set()
    for part in parts:
        for frontend, backend in part.frontends.items():
            frontends.setdefault(frontend, backend)
        health.update(part.health)
        local |= part.local
    return RuleSet(frontends, frozenset(local), health, pods, own_pods)


def service_of(piece: EndpointSlice) -> tuple[str, str]:
    """(namespace, name) of the Service that a slice belongs to; the name is empty for none."""
    return piece.metadata.namespace, piece.metadata.labels.get(SERVICE_LABEL, "")


def is_proxied(service: Service) -> bool:
    """Whether this proxy gives the Service its virtual address."""
    spec = service.spec
    return (
        spec.type != "ExternalName"
        and spec.clusterIP not in ("", "None")
        and not service.metadata.labels.keys() & {OTHER_PROXY_LABEL, HEADLESS_LABEL}
    )


def service_rules(service: Service, slices: Iterable[EndpointSlice], node: NodeInfo) -> RuleSet:
    """One Service's rules; none for headless Services, ExternalNames and those of another proxy."""
    if not is_proxied(service):
        return RuleSet()
    pieces = [piece for piece in slices if piece.addressType == "IPv4"]
    frontends: dict[Frontend, Backend] = {}
    local: set[str] = set()
    ready: set[str] = set()
    for port in service.spec.ports:
        found = _endpoints(port, pieces)
        local |= {target.ip for target, endpoint in found.items() if endpoint.nodeName == node.name}
        ready |= {target.ip for target, endpoint in _on_node(found, node).items() if _is_ready(endpoint)}
        frontends.update(_port_rules(service, port, found, node))
    health: dict[int, Health] = {}
    if service.spec.healthCheckNodePort and service.spec.externalTrafficPolicy == "Local":
        meta = service.metadata
        health[service.spec.healthCheckNodePort] = Health(meta.namespace, meta.name, len(ready))
    return RuleSet(frontends, frozenset(local), health)


def _port_rules(
    service: Service, port: ServicePort, found: Mapping[Target, Endpoint], node: NodeInfo
) -> Iterable[tuple[Frontend, Backend]]:
    spec, protocol = service.spec, port.protocol.lower()
    affinity = _affinity(service)
    everywhere = _near(found, node)
    here = _usable(_on_node(found, node))
    inner_local = spec.internalTrafficPolicy == "Local"
    for ip in spec.clusterIPs or (spec.clusterIP,):
        if ":" not in ip:
            yield (
                Frontend(ip, protocol, port.port),
                Backend(
                    here if inner_local else everywhere,
                    affinity=affinity,
                    drops=inner_local and bool(everywhere),
                    is_cluster_ip=True,
                ),
            )
    if spec.externalTrafficPolicy == "Local":
        outer = Backend(here, within=everywhere, affinity=affinity, drops=bool(everywhere))
    else:
        outer = Backend(everywhere, masquerade=True, affinity=affinity)
    for ip in spec.externalIPs:
        if ":" not in ip:
            yield Frontend(ip, protocol, port.port), outer
    guarded = Backend(
        outer.endpoints, outer.within, outer.masquerade, outer.affinity, outer.drops, spec.loadBalancerSourceRanges
    )
    for ingress in service.status.loadBalancer.ingress if spec.type == "LoadBalancer" else ():
        if ingress.ip and ":" not in ingress.ip and ingress.ipMode != "Proxy":
            yield Frontend(ingress.ip, protocol, port.port), guarded
    if port.nodePort and spec.type in ("NodePort", "LoadBalancer"):
        yield Frontend("", protocol, port.nodePort), outer


def _affinity(service: Service) -> int:
    if service.spec.sessionAffinity != "ClientIP":
        return 0
    config = service.spec.sessionAffinityConfig
    seconds = config.clientIP.timeoutSeconds if config is not None and config.clientIP is not None else None
    return seconds or _AFFINITY_SECONDS


def _endpoints(port: ServicePort, slices: Iterable[EndpointSlice]) -> dict[Target, Endpoint]:
    """The endpoints of one port, in order of address: slices name their ports as the Service does."""
    found: dict[Target, Endpoint] = {}
    for piece in slices:
        number = next(
            (one.port for one in piece.ports if one.name == port.name and one.protocol == port.protocol), None
        )
        if number is None:
            continue
        for endpoint in piece.endpoints:
            if not endpoint.addresses:
                continue
            target = Target(endpoint.addresses[0], number)
            if target not in found or _is_ready(endpoint):
                found[target] = endpoint
    return dict(sorted(found.items()))


def _is_ready(endpoint: Endpoint) -> bool:
    return endpoint.conditions.ready is not False


def _on_node(found: Mapping[Target, Endpoint], node: NodeInfo) -> dict[Target, Endpoint]:
    return {target: endpoint for target, endpoint in found.items() if endpoint.nodeName == node.name}


def _usable(found: Mapping[Target, Endpoint]) -> tuple[Target, ...]:
    """The ready endpoints; when there are none, those that still serve while they terminate."""
    ready = tuple(target for target, endpoint in found.items() if _is_ready(endpoint))
    return ready or tuple(
        target
        for target, endpoint in found.items()
        if endpoint.conditions.serving is not False and endpoint.conditions.terminating
    )


def _near(found: Mapping[Target, Endpoint], node: NodeInfo) -> tuple[Target, ...]:
    """The usable endpoints that are hinted to this node, or to its zone; all of them unless every one has hints."""
    usable = _usable(found)
    hints = [found[target].hints for target in usable]
    by_node = tuple(
        target
        for target, hint in zip(usable, hints, strict=True)
        if hint is not None and any(one.name == node.name for one in hint.forNodes)
    )
    if by_node and all(hint is not None and hint.forNodes for hint in hints):
        return by_node
    by_zone = tuple(
        target
        for target, hint in zip(usable, hints, strict=True)
        if hint is not None and any(one.name == node.zone for one in hint.forZones)
    )
    if node.zone and by_zone and all(hint is not None and hint.forZones for hint in hints):
        return by_zone
    return usable
