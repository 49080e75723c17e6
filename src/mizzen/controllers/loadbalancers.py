"""Services of type LoadBalancer: addresses from a configured pool, or else those of the nodes.

Ref: https://kubernetes.io/docs/concepts/services-networking/service/#loadbalancer
"""

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from mizzen.api.views.core import LoadBalancerIngress, Node, Service
from mizzen.api.views.meta import is_true, plain
from mizzen.client.cache import Cache
from mizzen.client.resources import NODES, SERVICES
from mizzen.controllers.config import Config
from mizzen.controllers.ownership import Identity, about
from mizzen.controllers.status import created_at
from mizzen.reconcile.controller import Controller, Watch
from mizzen.reconcile.plan import NOTHING, Action, Note, Patch, Plan

IDENTITY = Identity("v1", "Service")
EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
_KEY = "services"
Port = tuple[str, str, int]
"""(family, protocol, number)."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All Services that have or want addresses from outside, and the nodes."""

    services: tuple[Service, ...]
    nodes: tuple[Node, ...]


def observe(cache: Cache, key: str) -> Snapshot:
    services = [one for one in cache.of(SERVICES, Service) if _is_ours(one) or one.status.loadBalancer.ingress]
    ordered = sorted(services, key=lambda one: (one.metadata.namespace, one.metadata.name))
    nodes = sorted(cache.of(NODES, Node), key=lambda node: node.metadata.name)
    return Snapshot(tuple(ordered), tuple(nodes))


def _is_ours(service: Service) -> bool:
    return service.spec.type == "LoadBalancer" and service.spec.loadBalancerClass is None


def reconcile(config: Config, seen: Snapshot, now: float) -> Plan:
    # What is given back in this round is free in the next one: the write that gives it back may yet fail.
    used = {one.ip for service in seen.services for one in service.status.loadBalancer.ingress}
    holders = {} if config.load_balancer_pool else _holders(seen.services)
    actions: list[Action] = []
    notes: list[Note] = []
    for service in seen.services:
        if service.metadata.deleting or (service.spec.type == "LoadBalancer" and not _is_ours(service)):
            continue
        rival = next((one for port in _ports(service) if (one := holders.get(port, service)) is not service), None)
        wanted = _addresses(config, seen, service, used) if _is_ours(service) and rival is None else ()
        if not wanted and _is_ours(service):
            notes.append(_lacking(config, service, rival))
        if wanted == service.status.loadBalancer.ingress:
            continue
        used.update(one.ip for one in wanted)
        status = {"loadBalancer": {"ingress": [plain(one) for one in wanted] or None}}
        meta = service.metadata
        subject = about(meta, IDENTITY)
        note = Note(subject, "EnsuredLoadBalancer", "Ensured load balancer") if wanted else None
        actions.append(
            Patch(
                SERVICES, meta.namespace, meta.name, {"status": status}, subresource="status", uid=meta.uid, note=note
            )
        )
    return Plan(tuple(actions), tuple(notes)) if actions or notes else NOTHING


def _ports(service: Service) -> Iterator[Port]:
    family = service.spec.ipFamilies[0] if service.spec.ipFamilies else "IPv4"
    return ((family, port.protocol, port.port) for port in service.spec.ports)


def _holders(services: Iterable[Service]) -> dict[Port, Service]:
    """Who has which port of the nodes: those with addresses keep theirs, else the oldest comes first; all or none."""

    def turn(one: Service) -> tuple[bool, float, str, str]:
        meta = one.metadata
        return not one.status.loadBalancer.ingress, created_at(meta), meta.namespace, meta.name

    holders: dict[Port, Service] = {}
    for service in sorted(filter(_is_ours, services), key=turn):
        ports = tuple(_ports(service))
        if holders.keys().isdisjoint(ports):
            holders.update(dict.fromkeys(ports, service))
    return holders


def _lacking(config: Config, service: Service, rival: Service | None) -> Note:
    """A word on a Service that gets no address."""
    why = "no address of the pool is free" if config.load_balancer_pool else "no node is ready"
    if config.load_balancer_pool and service.spec.loadBalancerIP:
        why = f"{service.spec.loadBalancerIP} is not free in the pool"
    if rival is not None:
        why = f"{rival.metadata.namespace}/{rival.metadata.name} has one of its ports on all nodes"
    text = f"Error syncing load balancer: failed to ensure load balancer: {why}"
    return Note(about(service.metadata, IDENTITY), "SyncLoadBalancerFailed", text, "Warning")


def _addresses(config: Config, seen: Snapshot, service: Service, used: set[str]) -> tuple[LoadBalancerIngress, ...]:
    if not config.load_balancer_pool:
        own = dict.fromkeys(_of_nodes(seen.nodes, service))
        return tuple(LoadBalancerIngress(ip=ip, ipMode="VIP") for ip in own)
    have = service.status.loadBalancer.ingress
    asked = service.spec.loadBalancerIP
    if have and (not asked or have[0].ip == asked):
        return have
    free = [ip for ip in _pool(config.load_balancer_pool) if ip not in used]
    found = (asked if asked in free else "") if asked else next(iter(free), "")
    return (LoadBalancerIngress(ip=found, ipMode="VIP"),) if found else ()


def _of_nodes(nodes: Iterable[Node], service: Service) -> Iterator[str]:
    """The external (or else internal) addresses of ready nodes, in the service's first family."""
    family = service.spec.ipFamilies[0] if service.spec.ipFamilies else "IPv4"
    for node in nodes:
        if EXCLUDED in node.metadata.labels or not is_true(node.status.conditions, "Ready"):
            continue
        for kind in ("ExternalIP", "InternalIP"):
            found = [one.address for one in node.status.addresses if one.type == kind]
            fitting = [ip for ip in found if (":" in ip) == (family == "IPv6")]
            if fitting:
                yield fitting[0]
                break


def _pool(parts: Iterable[str]) -> list[str]:
    """Every address of addresses, ranges (a-b) and CIDRs, at most some thousands."""
    found: list[str] = []
    for part in parts:
        first, dash, last = part.partition("-")
        if dash:
            low, high = ipaddress.ip_address(first.strip()), ipaddress.ip_address(last.strip())
            found += (str(low + step) for step in range(min(4096, int(high) - int(low) + 1)))
        else:
            network = ipaddress.ip_network(part, strict=False)
            found += (str(ip) for ip, _ in zip(network.hosts(), range(4096), strict=False))
    return found


def controller(config: Config) -> Controller:
    """Gives out addresses; all services are one key, so that none is given twice."""
    return Controller(
        name="service-lb",
        watches=(
            Watch(SERVICES, Service, lambda _cache, _one: (_KEY,)),
            Watch(
                NODES,
                Node,
                lambda _cache, _node: (_KEY,),
                lambda old, new: (
                    old.status.addresses != new.status.addresses
                    or old.metadata.labels != new.metadata.labels
                    or is_true(old.status.conditions, "Ready") != is_true(new.status.conditions, "Ready")
                ),
            ),
        ),
        observe=observe,
        reconcile=partial(reconcile, config),
        component="service-controller",
    )
