"""The DNS of one node: follows Services and EndpointSlices, and answers on the cluster's DNS address.

The address is put on the node's own loopback link by the caller (`agent.network.nodes.add_local_address`).
"""

import asyncio
import random
from collections.abc import Sequence

from mizzen.api.views.core import Service
from mizzen.api.views.discovery import EndpointSlice
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.client.cache import Cache, Index, Key
from mizzen.client.resources import ENDPOINT_SLICES, SERVICES
from mizzen.dns.forward import Address, Forwarder, machine_upstreams
from mizzen.dns.server import Server, listen
from mizzen.dns.zone import Zone, service_names

_log = log.get("dns")
SERVICE_LABEL = "kubernetes.io/service-name"
BY_SERVICE: Index[EndpointSlice] = Index(
    "service", lambda piece: ((piece.metadata.namespace, piece.metadata.labels.get(SERVICE_LABEL, "")),)
)


class Follower:
    """Keeps a zone in step with the cache, one Service at a time, as its objects change."""

    def __init__(self, cache: Cache, zone: Zone, server: Server) -> None:
        self._services = cache.of(SERVICES, Service)
        self._slices = cache.of(ENDPOINT_SLICES, EndpointSlice)
        self._zone = zone
        self._server = server
        self.synced = asyncio.Event()
        self._services.subscribe(self._service_changed)
        self._slices.subscribe(self._slice_changed)

    def close(self) -> None:
        self._services.unsubscribe(self._service_changed)
        self._slices.unsubscribe(self._slice_changed)

    def _service_changed(self, old: Service | None, new: Service | None) -> None:
        if (seen := new or old) is not None:
            self._update((seen.metadata.namespace, seen.metadata.name))
        self._note_sync()

    def _slice_changed(self, old: EndpointSlice | None, new: EndpointSlice | None) -> None:
        for seen in (old, new):
            if seen is not None:
                self._update((seen.metadata.namespace, seen.metadata.labels.get(SERVICE_LABEL, "")))
        self._note_sync()

    def _note_sync(self) -> None:
        if self._services.has_synced and self._slices.has_synced:
            self.synced.set()

    def _update(self, key: Key) -> None:
        service = self._services.get(*key)
        if service is None:
            names = {}
        elif service.spec.clusterIP == "None":
            names = dict(service_names(service, self._slices.by(BY_SERVICE, key), self._zone.domain))
        else:
            names = dict(service_names(service, (), self._zone.domain))
        self._zone.replace(key, names)
        self._server.refresh()


async def run(
    cache: Cache,
    clock: Clock,
    *,
    address: str,
    port: int = 53,
    domain: str = "cluster.local",
    upstream: Sequence[Address] | None = None,
) -> None:
    """Answer on this address until cancelled, from when the cache is whole: an early NXDOMAIN would be believed.

    Raises: OSError when the address cannot be bound.
    `upstream`: who is asked about names outside the cluster; None: the resolvers of the machine.
    """
    zone = Zone(domain)
    found = machine_upstreams() if upstream is None else upstream
    others = [one for one in found if one[0] != address]  # never ourselves
    server = Server(zone, Forwarder(others, clock, random.Random()))
    follower = Follower(cache, zone, server)
    try:
        await follower.synced.wait()
        listeners = await listen(server, address, port)
        _log.info("answering", address=address, port=listeners.port)
        try:
            await asyncio.Event().wait()
        finally:
            listeners.close()
    finally:
        server.close()
        follower.close()
