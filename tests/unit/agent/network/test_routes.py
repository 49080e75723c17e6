import asyncio
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import msgspec

from mizzen.agent.network.nodes import bridge_name, namespace_path, table_name
from mizzen.agent.network.routes import lead, wanted_routes, way_in
from mizzen.api.views.core import Node
from mizzen.client.cache import Cache
from mizzen.client.resources import NODES


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


def reporting(name: str, address: str, ready: str) -> Node:
    status = {
        "addresses": [{"type": "InternalIP", "address": address}],
        "conditions": [{"type": "Ready", "status": ready}],
    }
    return msgspec.convert({"metadata": {"name": name, "resourceVersion": "1"}, "status": status}, Node)


def test_the_way_in_leaves_a_node_that_is_lost_and_does_not_come_back_for_it() -> None:
    first, second = reporting("a", "172.30.0.1", "True"), reporting("b", "172.30.0.2", "True")
    lost = reporting("a", "172.30.0.1", "Unknown")
    assert way_in([second, first], None) == IPv4Address("172.30.0.1")
    assert way_in([lost, second], IPv4Address("172.30.0.1")) == IPv4Address("172.30.0.2")
    assert way_in([first, second], IPv4Address("172.30.0.2")) == IPv4Address("172.30.0.2")
    assert way_in([lost], IPv4Address("172.30.0.1")) == IPv4Address("172.30.0.1"), "there is no better one"


async def test_the_way_in_follows_the_nodes() -> None:
    cache = Cache()
    table = cache.of(NODES, Node)
    table.replace([reporting("a", "172.30.0.1", "True"), reporting("b", "172.30.0.2", "True")], "1")
    taken: asyncio.Queue[IPv4Address] = asyncio.Queue()
    following = asyncio.create_task(lead(cache, taken.put_nowait))
    assert await taken.get() == IPv4Address("172.30.0.1")
    gone = reporting("a", "172.30.0.1", "Unknown")
    table.put(msgspec.structs.replace(gone, metadata=msgspec.structs.replace(gone.metadata, resourceVersion="2")))
    assert await taken.get() == IPv4Address("172.30.0.2")
    following.cancel()
