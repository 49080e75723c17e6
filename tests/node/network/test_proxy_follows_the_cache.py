"""The proxy's shell on a real node: objects in, connections out."""

import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.node.network.background import Background, settled
from tests.node.network.conftest import Pod, World, get
from tests.node.network.test_services import ask_udp

from mizzen.api.views.core import Node as NodeView
from mizzen.api.views.core import Service
from mizzen.api.views.discovery import EndpointSlice
from mizzen.base.clock import SystemClock
from mizzen.client.cache import Cache, Table
from mizzen.client.resources import ENDPOINT_SLICES, NODES, SERVICES
from mizzen.net.nftables import Ruleset
from mizzen.proxy import run, shell

VIP = "10.96.3.4"


class Objects:
    """The objects of one Service, as an informer would fold them in."""

    def __init__(self, cache: Cache) -> None:
        self.services: Table[Any] = cache.of(SERVICES, Service)
        self.slices: Table[Any] = cache.of(ENDPOINT_SLICES, EndpointSlice)
        self.nodes: Table[Any] = cache.of(NODES, NodeView)
        self.revision = 0

    def lists(self, world: World) -> None:
        seen = [{"metadata": {"name": node.name}, "spec": {"podCIDR": str(node.pod_cidr)}} for node in world.nodes]
        self.nodes.replace([msgspec.convert(one, NodeView) for one in seen], "1")
        ports = [{"name": p, "protocol": p.upper(), "port": 80, "nodePort": 30080} for p in ("tcp", "udp")]
        spec = {
            "clusterIP": VIP,
            "type": "NodePort",
            "ports": ports,
            "externalTrafficPolicy": "Local",
            "healthCheckNodePort": 31000,
        }
        service = {"metadata": {"name": "web", "namespace": "d", "resourceVersion": "1"}, "spec": spec}
        self.services.replace([msgspec.convert(service, Service)], "1")
        self.slices.replace([], "1")

    def endpoints(self, *pods: Pod, node: str) -> None:
        self.revision += 1
        meta = {
            "name": "web-1",
            "namespace": "d",
            "labels": {"kubernetes.io/service-name": "web"},
            "resourceVersion": str(self.revision),
        }
        body = {
            "metadata": meta,
            "endpoints": [{"addresses": [pod.ip], "nodeName": node} for pod in pods],
            "ports": [{"name": p, "protocol": p.upper(), "port": 8080} for p in ("tcp", "udp")],
        }
        self.slices.put(msgspec.convert(body, EndpointSlice))


def test_endpoints_become_reachable_move_and_keep_udp_clients_whole(two_nodes: World) -> None:
    node, other = two_nodes.nodes
    a, b, client = (two_nodes.add_pod(node, name) for name in ("a", "b", "client"))
    for pod in (a, b):
        pod.serve_tcp(8080)
        pod.serve_udp(8080)
    cache = Cache()
    objects = Objects(cache)
    with Background(node.netns, lambda: run(cache, node.name, SystemClock())) as proxy:
        proxy.call(lambda: objects.lists(two_nodes))
        proxy.call(lambda: objects.endpoints(a, node=node.name))
        settled(lambda: client.get(VIP, 80), ("a", client.ip))
        settled(lambda: ask_udp(client.netns, VIP, 80, 5555), "a")
        settled(lambda: b'"localEndpoints":1' in _health(two_nodes, node.ip), True)
        proxy.call(lambda: objects.endpoints(b, node=node.name))
        settled(lambda: client.get(VIP, 80), ("b", client.ip))
        settled(lambda: ask_udp(client.netns, VIP, 80, 5555), "b")
        assert get(other.netns, node.ip, 30080)[0] == "b"
        proxy.call(lambda: objects.endpoints(node=node.name))
        settled(lambda: b"503" in _health(two_nodes, node.ip), True)


def test_rules_that_somebody_flushes_come_back(two_nodes: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "LOOK_SECONDS", 0.05)
    node = two_nodes.nodes[0]
    a, client = (two_nodes.add_pod(node, name) for name in ("a", "client"))
    a.serve_tcp(8080)
    cache = Cache()
    objects = Objects(cache)
    with Background(node.netns, lambda: run(cache, node.name, SystemClock())) as proxy:
        proxy.call(lambda: objects.lists(two_nodes))
        proxy.call(lambda: objects.endpoints(a, node=node.name))
        settled(lambda: client.get(VIP, 80), ("a", client.ip))
        node.run(lambda: _flushed(Ruleset()))
        settled(lambda: client.get(VIP, 80), ("a", client.ip))


def _flushed(ruleset: Ruleset) -> None:
    ruleset.apply("flush ruleset")
    ruleset.close()


def test_the_proxy_tells_how_it_is_and_keeps_half_closed_connections_for_an_hour(two_nodes: World) -> None:
    node, _ = two_nodes.nodes
    cache = Cache()
    objects = Objects(cache)
    with Background(node.netns, lambda: run(cache, node.name, SystemClock())) as proxy:
        settled(lambda: b" 503 " in _health(two_nodes, node.ip, 10256), True)
        proxy.call(lambda: objects.lists(two_nodes))
        settled(lambda: b" 200 " in _health(two_nodes, node.ip, 10256), True)
        assert node.run(lambda: _get("127.0.0.1", 10249, "/proxyMode")).endswith(b"nftables")
        timeout = Path("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait")
        assert node.run(timeout.read_text) == "3600\n"


def _health(world: World, ip: str, port: int = 31000) -> bytes:
    return world.on_machine(lambda: _get(ip, port, "/healthz"))


def _get(ip: str, port: int, path: str) -> bytes:
    with socket.create_connection((ip, port), 2) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        received = b""
        while chunk := connection.recv(1000):
            received += chunk
        return received
