import itertools
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.node.network.conftest import PODS, Node, Pod, World, get

from mizzen.agent.network.netlink import inside
from mizzen.agent.network.nodes import add_local_address
from mizzen.api.views.core import Service
from mizzen.api.views.discovery import EndpointSlice
from mizzen.proxy import script
from mizzen.proxy.nftables import NftablesPlane
from mizzen.proxy.rules import NodeInfo, RuleSet, rules

VIP = "10.96.3.4"


class Services:
    """A data plane on each node, fed with whole states."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.planes = {node.name: node.run(NftablesPlane) for node in world.nodes}
        self.service: dict[str, Any] = {}

    def apply(
        self, endpoints: list[tuple[Pod, Node]] | list[dict[str, Any]], protocol: str = "TCP", **spec: Any
    ) -> None:
        ports = [{"name": "p", "protocol": protocol, "port": 80, "targetPort": 8080, **spec.pop("port", {})}]
        status = spec.pop("status", {})
        body = {
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"clusterIP": VIP, "ports": ports, **spec},
            "status": status,
        }
        piece = {
            "metadata": {"namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
            "endpoints": [
                one if isinstance(one, dict) else {"addresses": [one[0].ip], "nodeName": one[1].name}
                for one in endpoints
            ],
            "ports": [{"name": "p", "protocol": protocol, "port": 8080}],
        }
        service, slices = msgspec.convert(body, Service), (msgspec.convert(piece, EndpointSlice),)
        for node in self.world.nodes:
            self.planes[node.name].apply(
                rules(
                    (service,), slices, NodeInfo(node.name, "", frozenset({str(node.pod_cidr)})), frozenset({str(PODS)})
                )
            )

    def ruleset(self, node: Node) -> str:
        return self.planes[node.name]._ruleset.apply(f"list table ip {script.TABLE}")

    def close(self) -> None:
        for plane in self.planes.values():
            plane.close()


@pytest.fixture
def services(two_nodes: World) -> Iterator[Services]:
    made = Services(two_nodes)
    yield made
    made.close()


@pytest.fixture
def three(two_nodes: World) -> list[tuple[Pod, Node]]:
    one, two = two_nodes.nodes
    placed = [(two_nodes.add_pod(node, name), node) for name, node in (("a", one), ("b", one), ("c", two))]
    for pod, _ in placed:
        pod.serve_tcp(8080)
        pod.serve_udp(8080)
    return placed


def spread(netns: Path, ip: str, port: int, times: int = 60) -> Counter[str]:
    return Counter(get(netns, ip, port)[0] for _ in range(times))


def ask_udp(netns: Path, ip: str, port: int, local_port: int = 0) -> str:
    def work() -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind(("0.0.0.0", local_port))
            client.settimeout(2)
            client.connect((ip, port))
            client.send(b"?")
            return client.recv(100).decode()

    return inside(netns, work)


def test_a_node_speaks_to_its_own_endpoints_as_itself_whatever_else_is_on_its_loopback(
    services: Services, two_nodes: World
) -> None:
    node = two_nodes.nodes[0]
    node.run(lambda: add_local_address("10.96.0.10"))
    host = Pod("host", node.netns, node.ip)
    host.serve_tcp(8080)
    host.serve_udp(8080)
    for protocol in ("TCP", "UDP"):
        services.apply([(host, node)], protocol, type="NodePort", port={"nodePort": 30080})
        for ip, port in ((VIP, 80), (node.ip, 30080)):
            if protocol == "TCP":
                assert host.get(ip, port) == ("host", node.ip)
            else:
                assert ask_udp(node.netns, ip, port) == "host"
    host.close()


def test_connections_to_a_cluster_ip_are_spread_over_all_endpoints(
    services: Services, three: list[tuple[Pod, Node]]
) -> None:
    services.apply(three)
    client = services.world.add_pod(services.world.nodes[0], "client")
    assert set(spread(client.netns, VIP, 80)) == {"a", "b", "c"}
    _, peer = client.get(VIP, 80)
    assert peer == client.ip
    for node in services.world.nodes:
        assert set(spread(node.netns, VIP, 80)) == {"a", "b", "c"}


def test_a_pod_reaches_itself_through_its_service(services: Services, three: list[tuple[Pod, Node]]) -> None:
    services.apply(three[:1])
    pod, node = three[0]
    assert pod.get(VIP, 80) == ("a", node.ip)


def test_a_removed_endpoint_gets_no_more_connections_and_a_new_one_gets_its_share(
    services: Services, three: list[tuple[Pod, Node]]
) -> None:
    services.apply(three)
    client = services.world.add_pod(services.world.nodes[1], "client")
    services.apply(three[1:])
    assert set(spread(client.netns, VIP, 80)) == {"b", "c"}
    services.apply(three)
    assert set(spread(client.netns, VIP, 80)) == {"a", "b", "c"}
    services.apply([three[2]])
    assert set(spread(client.netns, VIP, 80, 20)) == {"c"}


def test_without_endpoints_a_connection_is_refused_at_once(services: Services, three: list[tuple[Pod, Node]]) -> None:
    client = services.world.add_pod(services.world.nodes[0], "client")
    services.apply(three, type="NodePort", port={"nodePort": 30080})
    services.apply([], type="NodePort", port={"nodePort": 30080})
    node = services.world.nodes[0]
    for netns, ip, port in (
        (client.netns, VIP, 80),
        (node.netns, VIP, 80),
        (services.world.machine, node.ip, 30080),
        (client.netns, VIP, 81),
        (node.netns, VIP, 81),
    ):
        with pytest.raises(ConnectionRefusedError):
            get(netns, ip, port)
    services.apply(three, type="NodePort", port={"nodePort": 30080})
    assert client.get(VIP, 80)[1] == client.ip


def test_a_node_port_answers_on_every_node_and_masquerades(services: Services, three: list[tuple[Pod, Node]]) -> None:
    services.apply(three, type="NodePort", port={"nodePort": 30080})
    one, two = services.world.nodes
    for node in (one, two):
        assert set(spread(services.world.machine, node.ip, 30080)) == {"a", "b", "c"}
        assert get(services.world.machine, node.ip, 30080)[1] == node.ip
        assert set(spread(one.netns, node.ip, 30080)) == {"a", "b", "c"}
    client = services.world.add_pod(one, "client")
    assert set(spread(client.netns, two.ip, 30080)) == {"a", "b", "c"}


def test_external_traffic_policy_local_keeps_the_clients_address_and_uses_only_endpoints_of_the_node(
    services: Services, three: list[tuple[Pod, Node]]
) -> None:
    local = {"type": "NodePort", "port": {"nodePort": 30080}, "externalTrafficPolicy": "Local"}
    services.apply(three, **local)
    one, two = services.world.nodes
    assert set(spread(services.world.machine, two.ip, 30080, 20)) == {"c"}
    assert get(services.world.machine, two.ip, 30080) == ("c", "172.31.7.1")
    client = services.world.add_pod(one, "client")
    assert set(spread(client.netns, one.ip, 30080)) == {"a", "b", "c"}
    assert set(spread(client.netns, two.ip, 30080, 20)) == {"c"}
    services.apply(three[:2], **local)
    with pytest.raises(TimeoutError):
        get(services.world.machine, two.ip, 30080)
    assert set(spread(two.netns, two.ip, 30080)) == {"a", "b"}


def test_client_affinity_survives_changes_of_other_endpoints(services: Services, three: list[tuple[Pod, Node]]) -> None:
    sticky = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 100}}}
    services.apply(three, **sticky)
    client = services.world.add_pod(services.world.nodes[0], "client")
    (chosen,) = spread(client.netns, VIP, 80, 20)
    others = [one for one in three if one[0].name != chosen]
    stays = next(one for one in three if one[0].name == chosen)
    services.apply([others[0], stays], **sticky)
    assert set(spread(client.netns, VIP, 80, 20)) == {chosen}
    services.apply(three, **sticky)
    assert set(spread(client.netns, VIP, 80, 20)) == {chosen}
    services.apply(others, **sticky)
    (second,) = spread(client.netns, VIP, 80, 20)
    assert second != chosen
    services.apply([], **sticky)
    services.apply([stays], **sticky)
    assert set(spread(client.netns, VIP, 80, 20)) == {chosen}


def test_external_ips_and_load_balancer_addresses_lead_to_the_service(
    services: Services, three: list[tuple[Pod, Node]]
) -> None:
    services.apply(
        three,
        type="LoadBalancer",
        externalIPs=["198.51.100.7"],
        loadBalancerSourceRanges=["203.0.113.0/24"],
        status={"loadBalancer": {"ingress": [{"ip": "198.51.100.8"}]}},
    )
    client = services.world.add_pod(services.world.nodes[0], "client")
    assert set(spread(client.netns, "198.51.100.7", 80)) == {"a", "b", "c"}
    with pytest.raises(TimeoutError):
        client.get("198.51.100.8", 80)
    services.apply(three, type="LoadBalancer", status={"loadBalancer": {"ingress": [{"ip": "198.51.100.8"}]}})
    assert set(spread(client.netns, "198.51.100.8", 80)) == {"a", "b", "c"}


def test_udp_is_spread_as_well(services: Services, three: list[tuple[Pod, Node]]) -> None:
    services.apply(three, "UDP")
    client = services.world.add_pod(services.world.nodes[0], "client")
    assert {ask_udp(client.netns, VIP, 80) for _ in range(40)} == {"a", "b", "c"}


def test_increments_leave_the_same_table_as_a_whole_load(services: Services, three: list[tuple[Pod, Node]]) -> None:
    node = services.world.nodes[0]
    for chosen in itertools.chain(itertools.permutations(three), itertools.combinations(three, 1), ([], three)):
        services.apply(list(chosen), type="NodePort", port={"nodePort": 30080})
    grown = _maps(services.ruleset(node))
    services.planes[node.name]._applied = None
    services.apply(three, type="NodePort", port={"nodePort": 30080})
    assert _maps(services.ruleset(node)).keys() == grown.keys()
    assert {name: len(found) for name, found in _maps(services.ruleset(node)).items()} == {
        name: len(found) for name, found in grown.items()
    }
    services.planes[node.name].apply(RuleSet())
    assert not any(_maps(services.ruleset(node)).values())


def test_a_packet_out_of_the_window_does_not_end_the_connection(services: Services, two_nodes: World) -> None:
    here, there = two_nodes.nodes
    client, server = two_nodes.add_pod(here, "client"), two_nodes.add_pod(there, "server")
    services.apply([(server, there)])
    listener = server.run(lambda: socket.create_server(("0.0.0.0", 8080)))
    raw = server.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP))
    connection = client.run(lambda: socket.create_connection((VIP, 80), timeout=2))
    accepted, (_, port) = listener.accept()
    with listener, raw, connection, accepted:
        accepted.settimeout(2)
        connection.sendall(b"?")
        assert accepted.recv(1) == b"?"
        while (packet := raw.recv(2000))[-1:] != b"?":
            pass
        seen, wanted = struct.unpack("!II", packet[24:32])
        raw.sendto(_segment(server.ip, 8080, client.ip, port, (wanted + 2**30, seen + 1)), (client.ip, 0))
        connection.sendall(b"!")
        assert accepted.recv(1) == b"!"
        accepted.sendall(b".")
        assert connection.recv(1) == b"."


def _segment(source: str, port: int, target: str, target_port: int, numbers: tuple[int, int]) -> bytes:
    """A TCP segment with data; `numbers`: its sequence number, and the one it acknowledges."""
    header = struct.pack("!HHIIHH", port, target_port, *(one % 2**32 for one in numbers), 0x5018, 1024)
    pseudo = socket.inet_aton(source) + socket.inet_aton(target) + struct.pack("!HH", socket.IPPROTO_TCP, 24)
    total = sum(struct.unpack("!18H", pseudo + header + b"\0\0\0\0boom"))
    total = (total & 0xFFFF) + (total >> 16)
    return header + struct.pack("!HH", ~(total + (total >> 16)) & 0xFFFF, 0) + b"boom"


def test_a_table_deleted_by_somebody_else_is_laid_down_again(services: Services, three: list[tuple[Pod, Node]]) -> None:
    services.apply(three)
    plane = services.planes[services.world.nodes[0].name]
    plane._ruleset.delete_table("ip", script.TABLE)
    services.apply(three[:1])
    client = services.world.add_pod(services.world.nodes[0], "client")
    assert client.get(VIP, 80)[0] == "a"


def _maps(listing: str) -> dict[str, list[str]]:
    """The elements of each set and map of a table as nft lists it."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in listing.replace("\n\t\t\t     ", " ").splitlines():
        words = line.split()
        if words[:1] and words[0] in ("map", "set"):
            name = words[1]
            found[name] = []
        elif words[:1] == ["elements"]:
            found[name] = [one.strip() for one in line.split("{")[1].rstrip(" }").split(",")]
    return found
