"""Routes to the pods of the other nodes, and into the cluster, kept as Nodes come, go, fall silent and get ranges."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network

from mizzen.agent.network.netlink import PROTO_MIZZEN, Netlink
from mizzen.api.views.core import Node
from mizzen.api.views.meta import is_true
from mizzen.base import log
from mizzen.client.cache import Cache
from mizzen.client.resources import NODES

_log = log.get("network")


def wanted_routes(nodes: Iterable[Node], own: str) -> Mapping[IPv4Network, IPv4Address]:
    """Through which node's address each other node's pods are reached."""
    routes = {}
    for node in nodes:
        address = _address(node)
        if node.metadata.name == own or not address:
            continue
        for cidr in node.spec.podCIDRs or (node.spec.podCIDR,):
            if cidr and ":" not in cidr:
                routes[IPv4Network(cidr)] = IPv4Address(address)
    return routes


def _address(node: Node) -> str:
    """The node's IPv4 address; "" when it has none."""
    address = next((one.address for one in node.status.addresses if one.type == "InternalIP"), "")
    return "" if ":" in address else address


def way_in(nodes: Iterable[Node], now: IPv4Address | None) -> IPv4Address | None:
    """By way of which node addresses are reached that all nodes answer for: the present one while it is ready."""
    ready = {
        node.metadata.name: IPv4Address(address)
        for node in nodes
        if (address := _address(node)) and is_true(node.status.conditions, "Ready")
    }
    if now in ready.values():
        return now
    return ready[min(ready)] if ready else now


async def lead(cache: Cache, through: Callable[[IPv4Address], None]) -> None:
    """Keep the way in on a node that is ready, until cancelled."""
    nodes = cache.of(NODES, Node)
    changed = asyncio.Event()

    def told(old: Node | None, new: Node | None) -> None:
        if old is None or new is None or old.status.conditions != new.status.conditions:
            changed.set()

    nodes.subscribe(told)
    present: IPv4Address | None = None
    try:
        while True:
            await changed.wait()
            changed.clear()
            wanted = way_in(nodes, present)
            if wanted is not None and wanted != present:
                through(wanted)
                present = wanted
    finally:
        nodes.unsubscribe(told)


async def run(cache: Cache, node: str) -> None:
    """Keep this node's routes in step with the Nodes of the cache, until cancelled."""
    nodes = cache.of(NODES, Node)
    changed = asyncio.Event()

    def told(old: Node | None, new: Node | None) -> None:
        if old is None or new is None or (old.spec, old.status.addresses) != (new.spec, new.status.addresses):
            changed.set()

    nodes.subscribe(told)
    try:
        while True:
            await changed.wait()
            changed.clear()
            if nodes.has_synced:
                apply(wanted_routes(nodes, node))
    finally:
        nodes.unsubscribe(told)


def apply(wanted: Mapping[IPv4Network, IPv4Address]) -> None:
    """Set the wanted routes through other nodes and delete those that are no longer wanted."""
    with Netlink() as net:
        present = {
            route.destination: route.via
            for route in net.routes()
            if route.protocol == PROTO_MIZZEN and route.via is not None and route.destination.prefixlen
        }
        for destination in present.keys() - wanted.keys():
            net.delete_route(destination)
        for destination, via in wanted.items():
            if present.get(destination) == via:
                continue
            try:
                net.set_route(destination, via=via)
            except OSError as error:  # the node is on no link of ours: the others must not suffer for it
                _log.warning("no route to a node's pods", cidr=str(destination), via=str(via), error=str(error))
