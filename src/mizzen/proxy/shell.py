"""The proxy of one node: watches Services, EndpointSlices and Nodes, and applies what they mean, in batches."""

import asyncio
from collections.abc import Iterable

from mizzen.api.views.core import Node, Service
from mizzen.api.views.discovery import EndpointSlice
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.client.cache import Cache, Index, Key
from mizzen.client.resources import ENDPOINT_SLICES, NODES, SERVICES
from mizzen.proxy import conntrack
from mizzen.proxy.health import HealthChecks
from mizzen.proxy.nftables import DataPlane, NftablesPlane
from mizzen.proxy.rules import NodeInfo, RuleSet, is_proxied, merged, service_of, service_rules

_log = log.get("proxy")
_GATHER_SECONDS = 0.005
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


async def run(
    cache: Cache, node: str, clock: Clock, *, unserved: Iterable[str] = (), plane: DataPlane | None = None
) -> None:
    """Keep this node's virtual addresses in step with the cache, until cancelled; the rules outlive the call.

    `unserved`: cluster addresses that something on this node answers itself (the cluster's DNS).
    """
    plane = plane or NftablesPlane()
    proxy, checks = Proxy(cache, node, unserved), HealthChecks()
    applied = RuleSet()
    try:
        while True:
            await proxy.changed.wait()
            await clock.sleep(_GATHER_SECONDS)
            proxy.changed.clear()
            if not proxy.has_synced:
                continue
            wanted = proxy.rules()
            plane.apply(wanted)
            for flow in conntrack.stale(applied.frontends, wanted.frontends):
                await conntrack.forget(flow)
            if wanted.health != applied.health:
                await checks.apply(wanted.health)
            applied = wanted
    finally:
        proxy.close()
        checks.close()
        plane.close()
