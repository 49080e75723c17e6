"""Several nodes on one machine: a network namespace each, joined by a bridge in the namespace of the caller.

Every name derives from the cluster's, so that clusters coexist and `delete_cluster` finds all that one left behind.
The machine routes pod addresses through their nodes, and pods reach the outside behind the machine's own address.
"""

import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Final

from mizzen.agent.network.netlink import SCOPE_HOST, Netlink, inside
from mizzen.agent.runtime import syscalls
from mizzen.agent.runtime.namespaces import in_thread, is_bound
from mizzen.net.nftables import Ruleset

NAMESPACES: Final = Path("/run/netns")
EVERYWHERE: Final = IPv4Network("0.0.0.0/0")
_FORWARDING: Final = Path("/proc/sys/net/ipv4/ip_forward")


@dataclass(frozen=True, slots=True)
class NodeNetwork:
    """Where one node stands: its address on the bridge (with the bridge's prefix) and the addresses of its pods."""

    name: str
    address: IPv4Interface
    pod_cidr: IPv4Network


def bridge_name(cluster: str) -> str:
    """The bridge of a cluster: 8 characters, a hash of the name."""
    return "mz" + hashlib.sha256(cluster.encode()).hexdigest()[:6]


def table_name(cluster: str) -> str:
    """The nftables table of a cluster in the machine's own namespace."""
    return "mizzen_" + bridge_name(cluster)


def namespace_path(cluster: str, node: str) -> Path:
    """The file that a node's network namespace is bound to; `ip netns` knows it by its last part."""
    return NAMESPACES / f"mizzen-{cluster}-{node}"


def create_bridge(cluster: str, gateway: IPv4Interface) -> None:
    """Make the bridge with its address, and let the machine forward between it and the outside."""
    with Netlink() as net:
        bridge = net.add_bridge(bridge_name(cluster))
        net.add_address(bridge.index, gateway)
        net.set_up(bridge.index)
    _FORWARDING.write_text("1")


def route_by_way_of(cluster: str, destination: IPv4Network, node: IPv4Address) -> None:
    """Let the machine reach addresses that the nodes answer for; the route goes with the bridge."""
    with Netlink() as net:
        net.set_route(destination, index=net.need(bridge_name(cluster)).index, via=node)


def create_node_namespace(cluster: str, node: NodeNetwork, gateway: IPv4Address, *, mtu: int = 0) -> Path:
    """Make a node's namespace, join it to the bridge, and route its pods to it; answers the namespace's file."""
    path = namespace_path(cluster, node.name)
    if not is_bound(path):
        _bind_new_namespace(path)
    near = _port_name(cluster, node.name)
    with Netlink() as net, Netlink(path) as there:
        bridge = net.need(bridge_name(cluster))
        if there.link("eth0") is None:
            net.delete_link(near)
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                net.add_veth(near, "eth0", fd, mtu)
            finally:
                os.close(fd)
        net.set_up(net.need(near).index, master=bridge.index)
        loopback, eth0 = there.need("lo"), there.need("eth0")
        there.set_up(loopback.index)
        there.add_address(eth0.index, node.address)
        there.set_up(eth0.index)
        there.set_route(EVERYWHERE, via=gateway)
        net.set_route(node.pod_cidr, via=node.address.ip)
    inside(path, prepare_node)
    return path


def prepare_node() -> None:
    """Set what a node needs of the network namespace it is in: forwarding, and no reverse-path filter.

    Clients of a pod that is gone shall hear so each time, not once a second; the kernel's total limit stays.
    """
    _FORWARDING.write_text("1")
    Path("/proc/sys/net/ipv4/icmp_ratelimit").write_text("0")
    Path("/proc/sys/net/ipv4/conf/all/rp_filter").write_text("0")


def add_local_address(address: str) -> None:
    """Make an address this node's own, on its loopback link: what serves it here needs no translation.

    It must not reach beyond the host: the kernel would masquerade what the node sends to itself as this address.
    """
    with Netlink() as net:
        loopback = net.need("lo")
        net.set_up(loopback.index)
        net.add_address(loopback.index, IPv4Interface(f"{address}/32"), reach=SCOPE_HOST)


def connect_outside(cluster: str, sources: Sequence[IPv4Network], virtual: Sequence[IPv4Network] = ()) -> None:
    """Let these addresses reach everything but one another behind the machine's own address.

    What is sent to a virtual address that no node has translated is refused: it must not leave the machine.
    """
    ranges = ", ".join(sorted(str(one) for one in sources))
    table = table_name(cluster)
    refusal = "".join(
        f"    ip saddr {{ {ranges} }} ip daddr {one} meta l4proto tcp reject with tcp reset\n"
        f"    ip saddr {{ {ranges} }} ip daddr {one} reject with icmp type port-unreachable\n"
        for one in virtual
    )
    ruleset = Ruleset()
    try:
        ruleset.apply(
            f"add table ip {table}\ndelete table ip {table}\n"
            f"table ip {table} {{\n"
            "  chain postrouting {\n"
            "    type nat hook postrouting priority srcnat;\n"
            f"    ip saddr {{ {ranges} }} ip daddr != {{ {ranges} }} masquerade\n"
            "  }\n"
            "  chain forward {\n"
            "    type filter hook forward priority filter;\n"
            f"{refusal}"
            "  }\n}\n"
        )
    finally:
        ruleset.close()


def delete_node_namespace(cluster: str, node: str) -> None:
    """Delete a node's namespace and its link; processes still in it keep it alive, without a way out."""
    with Netlink() as net:
        net.delete_link(_port_name(cluster, node))
    _unbind(namespace_path(cluster, node))


def delete_cluster(cluster: str) -> None:
    """Delete the bridge, every node's namespace and the packet filter of a cluster, whatever is there of them."""
    bridge = bridge_name(cluster)
    with Netlink() as net:
        ports = [link.name for link in net.links() if link.name.startswith(f"{bridge}-")]
        for name in (*ports, bridge):
            net.delete_link(name)
    for path in NAMESPACES.glob(f"mizzen-{cluster}-*"):
        # The pattern also fits clusters whose name goes on after ours; theirs are connected.
        if _port_name(cluster, path.name.removeprefix(f"mizzen-{cluster}-")) in ports or not _is_connected(path):
            _unbind(path)
    ruleset = Ruleset()
    try:
        ruleset.delete_table("ip", table_name(cluster))
    finally:
        ruleset.close()


def _port_name(cluster: str, node: str) -> str:
    return f"{bridge_name(cluster)}-{hashlib.sha256(node.encode()).hexdigest()[:6]}"


def _is_connected(path: Path) -> bool:
    if not is_bound(path):
        return False
    with Netlink(path) as net:
        return net.link("eth0") is not None


def _bind_new_namespace(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()

    def body() -> None:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        syscalls.mount("/proc/thread-self/ns/net", str(path), "", syscalls.MS_BIND)

    in_thread(body)


def _unbind(path: Path) -> None:
    with contextlib.suppress(OSError):  # not mounted: an empty file left by a restart of the machine
        syscalls.unmount(str(path))
    path.unlink(missing_ok=True)
