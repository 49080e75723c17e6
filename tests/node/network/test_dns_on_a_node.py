"""DNS on the node's own loopback address, asked from a pod; the pod's resolver is played by dnslib."""

import dnslib
import pytest
from tests.node.network.background import Background, settled
from tests.node.network.conftest import Pod, World
from tests.unit.dns.objects import service

from mizzen.agent.network import nodes
from mizzen.api.views.core import Service
from mizzen.api.views.discovery import EndpointSlice
from mizzen.base.clock import SystemClock
from mizzen.client.cache import Cache
from mizzen.client.resources import ENDPOINT_SLICES, SERVICES
from mizzen.dns import run
from mizzen.proxy.nftables import NftablesPlane
from mizzen.proxy.rules import NodeInfo, rules

DNS = "10.96.0.10"
NAME = "web.default.svc.cluster.local"


def _ask(pod: Pod, name: str, *, tcp: bool = False) -> dnslib.DNSRecord:
    question = dnslib.DNSRecord.question(name)
    return pod.run(lambda: dnslib.DNSRecord.parse(question.send(DNS, tcp=tcp, timeout=5)))


def test_a_pod_is_answered_on_the_cluster_address_by_its_own_node(two_nodes: World) -> None:
    node = two_nodes.nodes[0]
    pod = two_nodes.add_pod(node, "a")
    node.run(lambda: nodes.add_local_address(DNS))
    plane = node.run(NftablesPlane)
    plane.apply(rules((service("web", "10.96.3.4"),), (), NodeInfo(node.name)))
    cache = Cache()
    services = cache.of(SERVICES, Service)
    services.replace([], "1")
    with Background(node.netns, lambda: run(cache, SystemClock(), address=DNS, upstream=())) as server:
        with pytest.raises(ConnectionRefusedError):
            _ask(pod, NAME, tcp=True)
        server.call(lambda: cache.of(ENDPOINT_SLICES, EndpointSlice).replace([], "1"))
        settled(lambda: _ask(pod, NAME, tcp=True).header.rcode, 3)
        server.call(lambda: services.put(service("web", "10.96.3.4")))
        assert [str(one.rdata) for one in _ask(pod, NAME).rr] == ["10.96.3.4"]
    plane.close()
