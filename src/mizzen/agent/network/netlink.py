"""Links, addresses, routes and neighbours by raw rtnetlink: one socket, one round trip a change, no processes.

`with Netlink(netns) as net:` talks to the kernel about one network namespace (None: the caller's own).
What exists already, or is gone already, is no error: every call may be repeated.
"""

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from mizzen.agent.runtime import syscalls
from mizzen.agent.runtime.namespaces import in_thread

T = TypeVar("T")

_REQUEST, _ACK, _DUMP, _REPLACE, _EXCL, _CREATE = 0x1, 0x4, 0x300, 0x100, 0x200, 0x400
_ERROR, _DONE = 2, 3
_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_NEWADDR, _DELADDR = 20, 21
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_NEWNEIGH = 28
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 1, 3, 4, 10, 18, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC = 1, 4, 5, 7
_NDA_DST, _NDA_LLADDR = 1, 2
_IFF_UP: Final = 1
_ONLINK: Final = 4
_PERMANENT: Final = 0x80
_SCOPE_UNIVERSE, _SCOPE_LINK, SCOPE_HOST = 0, 253, 254
_TABLE_MAIN, _UNICAST, _UNREACHABLE = 254, 1, 7
PROTO_MIZZEN: Final = 0x4D
"""Marks the routes that Mizzen keeps, so that stale ones can be told from other people's."""

_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEIGHBOUR = struct.Struct("=BxxxiHBB")
_ATTRIBUTE = struct.Struct("=HH")


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface; `mac` is empty where the kind has none."""

    index: int
    name: str
    mtu: int
    up: bool
    mac: bytes = b""
    master: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """An IPv4 route of the main table; the default route has destination 0.0.0.0/0."""

    destination: IPv4Network
    via: IPv4Address | None
    index: int
    protocol: int


class Netlink:  # shape: a method for each kernel request that is used
    """A conversation with the kernel about the links and routes of one network namespace.

    Raises: OSError with the kernel's errno and what was asked.
    """

    def __init__(self, netns: Path | None = None) -> None:
        self._socket = _open(netns)
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def link(self, name: str) -> Link | None:
        """The link of that name."""
        try:
            answers = self._ask(_GETLINK, 0, _LINK.pack(0, 0, 0, 0, 0) + _name(name), f"look up link {name}")
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        return _parsed_link(answers[0])

    def links(self) -> list[Link]:
        """Every link of the namespace."""
        return [_parsed_link(body) for body in self._ask(_GETLINK, _DUMP, _LINK.pack(0, 0, 0, 0, 0), "list links")]

    def routes(self) -> list[Route]:
        """The IPv4 routes of the main table."""
        bodies = self._ask(_GETROUTE, _DUMP, _ROUTE.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0), "list routes")
        return [route for body in bodies if (route := _parsed_route(body)) is not None]

    def add_bridge(self, name: str) -> Link:
        """Make a bridge, or answer the one there is."""
        info = _nested(_IFLA_LINKINFO, _attribute(_INFO_KIND, b"bridge"))
        self._make_link(_LINK.pack(0, 0, 0, 0, 0) + _name(name) + info, f"add bridge {name}")
        return self.need(name)

    def add_veth(
        self, name: str, peer: str, netns: int | None = None, mtu: int = 0, *, mac: bytes = b"", peer_mac: bytes = b""
    ) -> None:
        """Make a pair of virtual links, up on the near side; the peer may start in the namespace of a descriptor."""
        there = _LINK.pack(0, 0, 0, 0, 0) + _name(peer)
        here = _LINK.pack(0, 0, 0, _IFF_UP, _IFF_UP) + _name(name)
        if netns is not None:
            there += _attribute(_IFLA_NET_NS_FD, struct.pack("=I", netns))
        if mac:
            here += _attribute(_IFLA_ADDRESS, mac)
        if peer_mac:
            there += _attribute(_IFLA_ADDRESS, peer_mac)
        if mtu:
            there += _attribute(_IFLA_MTU, struct.pack("=I", mtu))
            here += _attribute(_IFLA_MTU, struct.pack("=I", mtu))
        data = _nested(_INFO_DATA, _attribute(_VETH_PEER, there))
        info = _nested(_IFLA_LINKINFO, _attribute(_INFO_KIND, b"veth") + data)
        self._ask(_NEWLINK, _ACK | _CREATE | _EXCL, here + info, f"add veth {name}")

    def delete_link(self, name: str) -> None:
        """Delete a link, and with it its addresses, routes and veth peer."""
        body = _LINK.pack(0, 0, 0, 0, 0) + _name(name)
        self._lenient(_DELLINK, _ACK, body, f"delete link {name}", errno.ENODEV)

    def set_up(self, index: int, *, master: int | None = None) -> None:
        """Bring a link up, enslaved to a bridge if one is given."""
        body = _LINK.pack(0, 0, index, _IFF_UP, _IFF_UP)
        if master is not None:
            body += _attribute(_IFLA_MASTER, struct.pack("=I", master))
        self._ask(_NEWLINK, _ACK, body, f"set link {index} up")

    def add_address(self, index: int, address: IPv4Interface, *, reach: int = _SCOPE_UNIVERSE) -> None:
        """Give a link an address; `reach`: how far away one may be to be spoken to from it by default."""
        host = address.ip.packed
        scope = max(reach, _SCOPE_LINK) if address.ip.is_link_local else reach
        body = _ADDRESS.pack(socket.AF_INET, address.network.prefixlen, 0, scope, index)
        body += _attribute(_IFA_LOCAL, host) + _attribute(_IFA_ADDRESS, host)
        self._lenient(_NEWADDR, _ACK | _CREATE | _REPLACE, body, f"add address {address}", errno.EEXIST)

    def delete_address(self, index: int, address: IPv4Interface) -> None:
        """Take an address from a link."""
        body = _ADDRESS.pack(socket.AF_INET, address.network.prefixlen, 0, 0, index)
        body += _attribute(_IFA_LOCAL, address.ip.packed)
        self._lenient(_DELADDR, _ACK, body, f"delete address {address}", errno.EADDRNOTAVAIL)

    def set_route(
        self,
        destination: IPv4Network,
        *,
        index: int = 0,
        via: IPv4Address | None = None,
        source: IPv4Address | None = None,
        onlink: bool = False,
    ) -> None:
        """Add a route, or replace the one to the same destination."""
        body = _route_header(destination, via is None, _ONLINK if onlink else 0)
        if index:
            body += _attribute(_RTA_OIF, struct.pack("=I", index))
        if via is not None:
            body += _attribute(_RTA_GATEWAY, via.packed)
        if source is not None:
            body += _attribute(_RTA_PREFSRC, source.packed)
        self._ask(_NEWROUTE, _ACK | _CREATE | _REPLACE, body, f"set route to {destination}")

    def set_unreachable(self, destination: IPv4Network) -> None:
        """Answer at once that nobody is there, wherever no narrower route says otherwise."""
        body = _route_header(destination, False, 0, _UNREACHABLE)
        self._ask(_NEWROUTE, _ACK | _CREATE | _REPLACE, body, f"set {destination} unreachable")

    def delete_route(self, destination: IPv4Network) -> None:
        """Delete the route to a destination."""
        body = _ROUTE.pack(socket.AF_INET, destination.prefixlen, 0, 0, _TABLE_MAIN, 0, 255, 0, 0)
        body += _attribute(_RTA_DST, destination.network_address.packed)
        self._lenient(_DELROUTE, _ACK, body, f"delete route to {destination}", errno.ESRCH)

    def set_neighbour(self, index: int, address: IPv4Address, mac: bytes) -> None:
        """Fix a neighbour's link-layer address, so that it is never asked for."""
        body = _NEIGHBOUR.pack(socket.AF_INET, index, _PERMANENT, 0, 0)
        body += _attribute(_NDA_DST, address.packed) + _attribute(_NDA_LLADDR, mac)
        self._ask(_NEWNEIGH, _ACK | _CREATE | _REPLACE, body, f"set neighbour {address}")

    def need(self, name: str) -> Link:
        """The link of that name. Raises OSError ENODEV."""
        found = self.link(name)
        if found is None:
            raise OSError(errno.ENODEV, f"no link {name}")
        return found

    def _make_link(self, body: bytes, what: str) -> None:
        self._lenient(_NEWLINK, _ACK | _CREATE | _EXCL, body, what, errno.EEXIST)

    def _lenient(self, kind: int, flags: int, body: bytes, what: str, accepted: int) -> None:
        try:
            self._ask(kind, flags, body, what)
        except OSError as error:
            if error.errno != accepted:
                raise

    def _ask(self, kind: int, flags: int, body: bytes, what: str) -> list[bytes]:
        self._sequence += 1
        header = _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, self._sequence, 0)
        self._socket.send(header + body)
        answers: list[bytes] = []
        while True:
            for got, sequence, payload in _messages(self._socket.recv(1 << 17)):
                if sequence != self._sequence:
                    continue
                if got == _DONE:
                    return answers
                if got == _ERROR:
                    code = -struct.unpack_from("=i", payload)[0]
                    if code:
                        raise OSError(code, f"{what}: {os.strerror(code)}")
                    return answers
                answers.append(payload)
                if not flags & (_DUMP | _ACK):
                    return answers


def _open(netns: Path | None) -> socket.socket:
    def connect() -> socket.socket:
        return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)

    return connect() if netns is None else inside(netns, connect)


def inside(netns: Path, work: Callable[[], T]) -> T:
    """Do something in another network namespace, and answer its outcome; the calling thread never moves."""

    def body() -> T:
        fd = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(fd, syscalls.CLONE_NEWNET)
        finally:
            os.close(fd)
        return work()

    return in_thread(body)


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, at)
        yield kind, sequence, data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def _nested(kind: int, value: bytes) -> bytes:
    return _attribute(kind | 0x8000, value)


def _name(name: str) -> bytes:
    return _attribute(_IFLA_IFNAME, name.encode() + b"\0")


def _attributes(data: bytes, at: int) -> dict[int, bytes]:
    found = {}
    while at + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


def _parsed_link(body: bytes) -> Link:
    _, _, index, flags, _ = _LINK.unpack_from(body)
    found = _attributes(body, _LINK.size)
    return Link(
        index,
        found[_IFLA_IFNAME].rstrip(b"\0").decode(),
        struct.unpack("=I", found[_IFLA_MTU])[0],
        bool(flags & _IFF_UP),
        found.get(_IFLA_ADDRESS, b""),
        struct.unpack("=I", found.get(_IFLA_MASTER, bytes(4)))[0],
    )


def _parsed_route(body: bytes) -> Route | None:
    family, prefix, _, _, table, protocol, _, kind, _ = _ROUTE.unpack_from(body)
    if family != socket.AF_INET or table != _TABLE_MAIN or kind != _UNICAST:
        return None
    found = _attributes(body, _ROUTE.size)
    destination = IPv4Network((found.get(_RTA_DST, bytes(4)), prefix))
    via = IPv4Address(found[_RTA_GATEWAY]) if _RTA_GATEWAY in found else None
    return Route(destination, via, struct.unpack("=I", found.get(_RTA_OIF, bytes(4)))[0], protocol)


def _route_header(destination: IPv4Network, direct: bool, flags: int, kind: int = _UNICAST) -> bytes:
    scope = _SCOPE_LINK if direct else _SCOPE_UNIVERSE
    header = _ROUTE.pack(socket.AF_INET, destination.prefixlen, 0, 0, _TABLE_MAIN, PROTO_MIZZEN, scope, kind, flags)
    return header + (_attribute(_RTA_DST, destination.network_address.packed) if destination.prefixlen else b"")
