"""The proxy of one node: watches Services, EndpointSlices and Nodes, and applies what they mean, in batches."""

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final

from mizzen.api.views.core import Node, Service
from mizzen.api.views.discovery import EndpointSlice
from mizzen.base import log, metrics
from mizzen.base.clock import Clock
from mizzen.client.cache import Cache, Index, Key
from mizzen.client.resources import ENDPOINT_SLICES, NODES, SERVICES
from mizzen.proxy import conntrack
from mizzen.proxy.health import Standing, is_eligible, node_answer, proxy_answer, service_answer
from mizzen.proxy.listeners import Address, Listeners, Page
from mizzen.proxy.nftables import DataPlane, NftablesPlane
from mizzen.proxy.rules import Health, NodeInfo, RuleSet, is_proxied, merged, service_of, service_rules

_log = log.get("proxy")
_GATHER_SECONDS = 0.005
LOOK_SECONDS = 30.0
"""How often it is seen to that the rules are there: whoever loads another packet filter may flush all that there is."""
_NODE_HEALTH: Final[Address] = ("0.0.0.0", 10256)
_ABOUT: Final[Address] = ("127.0.0.1", 10249)
_DURATIONS: Final = tuple(0.001 * 2**n for n in range(15))
BY_SERVICE: Index[EndpointSlice] = Index("service", lambda piece: (service_of(piece),))


class Proxy:
    """Knows which Services changed since it was last asked, and works out the rules of those alone."""

    def __init__(self, cache: Cache, node: str, unserved: Iterable[str]) -> None:
        self._services = cache.of(SERVICES, Service)
        self._slices = cache.of(ENDPOINT_SLICES, EndpointSlice)
        self._nodes = cache.of(NODES, Node)
        self._node = NodeInfo(node)
        self._unserved = frozenset(unserved)
        self._parts: dict[Key, RuleSet] = {}
        self._pods: frozenset[str] = frozenset()
        self._dirty: set[Key] = set()
        self.changed = asyncio.Event()
        self._services.subscribe(self._service_changed)
        self._slices.subscribe(self._slice_changed)
        self._nodes.subscribe(self._node_changed)

    @property
    def has_synced(self) -> bool:
        return self._services.has_synced and self._slices.has_synced and self._nodes.has_synced

    def rules(self) -> RuleSet:
        """The rules as of now."""
        for key in self._dirty:
            service = self._services.get(*key)
            if service is None or not is_proxied(service) or service.spec.clusterIP in self._unserved:
                self._parts.pop(key, None)
            else:
                self._parts[key] = service_rules(service, self._slices.by(BY_SERVICE, key), self._node)
        self._dirty.clear()
        return merged(self._parts.values(), self._pods, self._node.pods)

    @property
    def is_eligible(self) -> bool:
        """Whether load balancers may send new traffic to this node."""
        own = self._nodes.get("", self._node.name)
        return own is None or is_eligible(own)

    def close(self) -> None:
        self._services.unsubscribe(self._service_changed)
        self._slices.unsubscribe(self._slice_changed)
        self._nodes.unsubscribe(self._node_changed)

    def _service_changed(self, old: Service | None, new: Service | None) -> None:
        if (seen := new or old) is not None:
            self._dirty.add((seen.metadata.namespace, seen.metadata.name))
        self.changed.set()

    def _slice_changed(self, old: EndpointSlice | None, new: EndpointSlice | None) -> None:
        self._dirty.update(service_of(seen) for seen in (old, new) if seen is not None)
        self.changed.set()

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if old is not None and new is not None and (old.spec, old.metadata.labels) == (new.spec, new.metadata.labels):
            return  # a heartbeat
        self._pods = _ranges(self._nodes)
        own = self._nodes.get("", self._node.name)
        zone = own.metadata.labels.get("topology.kubernetes.io/zone", "") if own is not None else ""
        if zone != self._node.zone:
            self._dirty.update(self._parts)
        self._node = NodeInfo(self._node.name, zone, _ranges((own,) if own is not None else ()))
        self.changed.set()


def _ranges(nodes: Iterable[Node]) -> frozenset[str]:
    """The IPv4 ranges of these nodes' pods."""
    found = {cidr for node in nodes for cidr in node.spec.podCIDRs or (node.spec.podCIDR,)}
    return frozenset(cidr for cidr in found if cidr and ":" not in cidr)


class Account:
    """How the proxy fares, and the pages that tell it."""

    def __init__(self, proxy: Proxy, clock: Clock) -> None:
        self._proxy, self._clock = proxy, clock
        self._standing = Standing()
        self._durations = metrics.Histogram(_DURATIONS)

    def change_came(self) -> None:
        self._standing = Standing(self._standing.applied, self._standing.waiting or self._clock.now())

    def rules_are_in_place(self, since: float) -> None:
        """`since`: when applying them began, as the clock's monotonic seconds."""
        self._standing = Standing(self._clock.now())
        self._durations.observe(self._clock.monotonic() - since)

    def pages(self, health: Mapping[int, Health]) -> dict[Address, Page]:
        services: dict[Address, Page] = {
            ("0.0.0.0", port): partial(service_answer, one) for port, one in health.items()
        }
        return {_NODE_HEALTH: self._node, _ABOUT: self._about, **services}

    def _node(self, path: str) -> bytes:
        return node_answer(self._standing, path, self._clock.now(), eligible=self._proxy.is_eligible)

    def _about(self, path: str) -> bytes:
        return proxy_answer(self._standing, self._durations, path)


async def run(
    cache: Cache, node: str, clock: Clock, *, unserved: Iterable[str] = (), plane: DataPlane | None = None
) -> None:
    """Keep this node's virtual addresses in step with the cache, until cancelled; the rules outlive the call.

    `unserved`: cluster addresses that something on this node answers itself (the cluster's DNS).
    """
    plane = plane or NftablesPlane()
    proxy, listeners = Proxy(cache, node, unserved), Listeners()
    account, applied = Account(proxy, clock), RuleSet()
    looking = asyncio.create_task(_look_after(plane, proxy, clock), name="rules")
    try:
        await listeners.apply(account.pages({}))
        while True:
            await proxy.changed.wait()
            account.change_came()
            await clock.sleep(_GATHER_SECONDS)
            proxy.changed.clear()
            if not proxy.has_synced:
                continue
            began = clock.monotonic()
            wanted = proxy.rules()
            plane.apply(wanted)
            account.rules_are_in_place(began)
            for flow in conntrack.stale(applied.frontends, wanted.frontends):
                await conntrack.forget(flow)
            if wanted.health != applied.health:
                await listeners.apply(account.pages(wanted.health))
            applied = wanted
    finally:
        looking.cancel()
        proxy.close()
        listeners.close()
        plane.close()


async def _look_after(plane: DataPlane, proxy: Proxy, clock: Clock) -> None:
    while True:
        await clock.sleep(LOOK_SECONDS)
        if not plane.stands():
            _log.warning("the rules are gone, loading all of them")
            proxy.changed.set()
