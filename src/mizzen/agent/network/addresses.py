"""Which pod has which address: a small file, so that addresses survive a restart of the agent.

Addresses go round the node's range: one that was just given back is the last to be handed out again.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import msgspec
import orjson


class AddressesExhausted(Exception):
    """Every address of the node's range is taken."""


class HostPort(msgspec.Struct, frozen=True):
    """A port of the node that leads to a container's port; an empty `host_ip` means every address of the node."""

    port: int
    container_port: int
    protocol: str = "TCP"
    host_ip: str = ""


class Lease(msgspec.Struct, frozen=True):
    """What one pod holds."""

    ip: str
    ports: tuple[HostPort, ...] = ()


class _State(msgspec.Struct):
    cidr: str = ""
    last: str = ""
    leases: dict[str, Lease] = {}


class Addresses:
    """The leases of one node's pods, by pod uid, kept in a file that is replaced at every change."""

    def __init__(self, path: Path, cidr: IPv4Network) -> None:
        self._path = path
        self._cidr = cidr
        try:
            self._state = msgspec.json.decode(path.read_bytes(), type=_State)
        except (FileNotFoundError, msgspec.DecodeError):
            self._state = _State()
        if self._state.cidr != str(cidr):
            self._state = _State(cidr=str(cidr))
        self._taken = {lease.ip for lease in self._state.leases.values()}

    @property
    def leases(self) -> Mapping[str, Lease]:
        return self._state.leases

    def lease(self, uid: str, ports: tuple[HostPort, ...] = ()) -> Lease:
        """The lease of a pod, made if it has none. Raises AddressesExhausted."""
        held = self._state.leases.get(uid)
        if held is not None and held.ports == ports:
            return held
        ip = held.ip if held is not None else self._next()
        lease = self._state.leases[uid] = Lease(ip, ports)
        self._taken.add(ip)
        self._state.last = ip if held is None else self._state.last
        self._save()
        return lease

    def hold(self, uid: str, ip: str) -> None:
        """A pod has this address, also if the file has lost that."""
        held = self._state.leases.get(uid)
        if held is not None and held.ip == ip:
            return
        if held is not None:
            self._taken.discard(held.ip)
        self._state.leases[uid] = Lease(ip, held.ports if held is not None else ())
        self._taken.add(ip)
        self._save()

    def release(self, uid: str) -> Lease | None:
        """Give a pod's lease back; answers what it was."""
        lease = self._state.leases.pop(uid, None)
        if lease is not None:
            self._taken.discard(lease.ip)
            self._save()
        return lease

    def _next(self) -> str:
        # The first address names the network, the second is by custom the node's.
        first, size = int(self._cidr.network_address) + 2, self._cidr.num_addresses - 3
        start = int(IPv4Address(self._state.last)) + 1 - first if self._state.last else 0
        for step in range(size):
            ip = str(IPv4Address(first + (start + step) % size))
            if ip not in self._taken:
                return ip
        raise AddressesExhausted(f"all {max(size, 0)} addresses of {self._cidr} are taken")

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(orjson.dumps(msgspec.to_builtins(self._state)))
        fresh.replace(self._path)
