"""The networks of a cluster on this machine: made at `up`, removed at `down`."""

import ipaddress
from pathlib import Path

from mizzen.agent.network import nodes
from mizzen.cluster.config import ClusterConfig


def routes(own: str = "") -> list[ipaddress.IPv4Network]:
    """The destinations that this machine has routes for; without the default route, and without a cluster's own."""
    found = []
    bridge = nodes.bridge_name(own)
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        fields = line.split()
        if own and fields[0] == bridge:
            continue
        destination, mask = (int.from_bytes(bytes.fromhex(fields[i])[::-1], "big") for i in (1, 7))
        if mask:
            found.append(ipaddress.IPv4Network((destination, bin(mask).count("1"))))
    return found


def create(config: ClusterConfig) -> None:
    """Make what is missing of the bridge, the nodes' namespaces and the way out. Raises OSError."""
    prefix = ipaddress.IPv4Network(config.node_cidr).prefixlen
    gateway = ipaddress.IPv4Interface(f"{config.gateway}/{prefix}")
    nodes.create_bridge(config.tag, gateway)
    for number in range(1, config.nodes + 1):
        address = ipaddress.IPv4Interface(f"{config.node_address(number)}/{prefix}")
        node = nodes.NodeNetwork(config.node_name(number), address, ipaddress.IPv4Network(config.node_pod_cidr(number)))
        nodes.create_node_namespace(config.tag, node, gateway.ip)
    inner = [ipaddress.IPv4Network(cidr) for cidr in (config.node_cidr, config.pod_cidr)]
    nodes.connect_outside(config.tag, inner, (ipaddress.IPv4Network(config.service_cidr),))
    if config.load_balancer_pool:
        lead_through(config, ipaddress.IPv4Address(config.node_address(1)))


def lead_through(config: ClusterConfig, node: ipaddress.IPv4Address) -> None:
    """Let the machine reach the pool of load balancer addresses by way of a node. Raises OSError."""
    nodes.route_by_way_of(config.tag, ipaddress.IPv4Network(config.load_balancer_pool), node)


def delete(config: ClusterConfig) -> None:
    """Remove everything of it, whatever is there."""
    nodes.delete_cluster(config.tag)


def namespace_path(config: ClusterConfig, number: int) -> Path:
    """The file of a node's network namespace."""
    return nodes.namespace_path(config.tag, config.node_name(number))
