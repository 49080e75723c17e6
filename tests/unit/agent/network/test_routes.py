from ipaddress import IPv4Address, IPv4Network
from typing import Any

import msgspec

from mizzen.agent.network.nodes import bridge_name, namespace_path, table_name
from mizzen.agent.network.routes import wanted_routes
from mizzen.api.views.core import Node


def node(name: str, address: str, **spec: Any) -> Node:
    addresses = [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}]
    return msgspec.convert({"metadata": {"name": name}, "spec": spec, "status": {"addresses": addresses}}, Node)


def test_every_other_nodes_pods_are_reached_through_its_address() -> None:
    nodes = (
        node("own", "172.30.0.1", podCIDR="10.1.0.0/24"),
        node("two", "172.30.0.2", podCIDR="10.1.1.0/24", podCIDRs=["10.1.1.0/24", "fd00::/64"]),
        node("new", "172.30.0.3"),
        Node(),
    )
    assert wanted_routes(nodes, "own") == {IPv4Network("10.1.1.0/24"): IPv4Address("172.30.0.2")}


def test_names_on_the_machine_are_short_and_differ_from_cluster_to_cluster() -> None:
    assert bridge_name("dev") != bridge_name("prod")
    assert len(bridge_name("a" * 60)) + len("-123456") <= 15
    assert bridge_name("dev") in table_name("dev")
    assert namespace_path("dev", "n1") != namespace_path("dev", "n2")
