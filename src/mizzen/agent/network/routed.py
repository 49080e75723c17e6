"""Pods on routed links: no bridge, no address translation between pods, a route for each pod on its node.

The pod sees its address as a /32 and everything else behind 169.254.1.1; both ends know each other's link-layer
address from the start, so nothing is ever asked for by ARP.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Final, Protocol

from mizzen.agent.network.addresses import Addresses, HostPort
from mizzen.agent.network.hostports import HostPorts
from mizzen.agent.network.netlink import Netlink
from mizzen.base import log
from mizzen.net.nftables import RulesetError

_log = log.get("agent")
_GATEWAY: Final = IPv4Address("169.254.1.1")
_GATEWAY_NETWORK: Final = IPv4Network("169.254.1.1/32")
_EVERYWHERE: Final = IPv4Network("0.0.0.0/0")


@dataclass(frozen=True, slots=True)
class PodAttachment:
    """What the network must know of a pod."""

    uid: str
    namespace: str
    name: str
    host_ports: tuple[HostPort, ...] = ()


class PodNetwork(Protocol):
    """How a pod's network namespace is joined to the cluster's network. All calls may be repeated."""

    async def attach(self, pod: PodAttachment, netns: Path) -> tuple[str, ...]:
        """Join a namespace to the network; answers the pod's addresses. Raises OSError, AddressesExhausted."""

    async def detach(self, uid: str) -> None:
        """Take a pod off the network and give its address back, whether or not its namespace still exists."""

    def hold(self, uid: str, ips: Sequence[str]) -> None:
        """A restart has found a pod at work with these addresses: nobody else may get them."""


class RoutedNetwork:
    """Attaches pods of the node whose network namespace this process is in."""

    def __init__(self, state: Path, pod_cidr: IPv4Network, node_address: IPv4Address, *, mtu: int = 0) -> None:
        self._addresses = Addresses(state / "addresses.json", pod_cidr)
        self._node_address = node_address
        self._mtu = mtu
        self._host_ports = HostPorts()
        self._host_ports.restore(self._addresses.leases)
        with Netlink() as net:
            # Without it, packets to a pod that is gone would go back and forth between node and machine.
            net.set_unreachable(pod_cidr)

    async def attach(self, pod: PodAttachment, netns: Path) -> tuple[str, ...]:
        lease = self._addresses.lease(pod.uid, pod.host_ports)
        link = link_name(pod.uid)
        self._join(link, netns, IPv4Address(lease.ip))
        if lease.ports:
            with self._table_restored():
                self._host_ports.open(lease, link)
        return (lease.ip,)

    async def detach(self, uid: str) -> None:
        with Netlink() as net:
            net.delete_link(link_name(uid))
        lease = self._addresses.release(uid)
        if lease is not None and lease.ports:
            with self._table_restored():
                self._host_ports.close(lease)

    @contextmanager
    def _table_restored(self) -> Iterator[None]:
        """Lay down the table of host ports anew if it is gone: somebody has flushed the packet filter."""
        try:
            yield
        except RulesetError as error:
            _log.warning("host ports refused, loading all of them", error=str(error))
            self._host_ports.restore(self._addresses.leases)

    def hold(self, uid: str, ips: Sequence[str]) -> None:
        for ip in ips:
            self._addresses.hold(uid, ip)

    def _join(self, near: str, netns: Path, ip: IPv4Address) -> None:
        near_mac, pod_mac = bytes.fromhex("eeeeeeeeeeee"), b"\x0a\x58" + ip.packed
        with Netlink() as net, Netlink(netns) as there:
            host = net.link(near)
            if host is None or there.link("eth0") is None:
                if host is not None:
                    net.delete_link(near)
                self._add_link(net, near, near_mac, netns, pod_mac)
            # Also when there were links: whoever made them may have been killed before it came to the rest.
            host, eth0 = net.need(near), there.need("eth0")
            there.set_up(there.need("lo").index)
            there.add_address(eth0.index, IPv4Interface((ip, 32)))
            there.set_up(eth0.index)
            there.set_route(_GATEWAY_NETWORK, index=eth0.index)
            there.set_route(_EVERYWHERE, index=eth0.index, via=_GATEWAY)
            there.set_neighbour(eth0.index, _GATEWAY, near_mac)
            net.set_neighbour(host.index, ip, pod_mac)
            net.set_route(IPv4Network((ip, 32)), index=host.index, source=self._node_address)

    def _add_link(self, net: Netlink, near: str, near_mac: bytes, netns: Path, pod_mac: bytes) -> None:
        fd = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            net.add_veth(near, "eth0", fd, self._mtu, mac=near_mac, peer_mac=pod_mac)
        finally:
            os.close(fd)


def link_name(uid: str) -> str:
    """The name of the host's end of a pod's link."""
    return "pod" + sha256(uid.encode()).hexdigest()[:12]
