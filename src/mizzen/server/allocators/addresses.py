"""Cluster addresses of Services, from the ranges of the ServiceCIDR objects.

Ref: https://kubernetes.io/docs/concepts/services-networking/cluster-ip-allocation/
"""

import ipaddress
from random import Random
from typing import Final

from mizzen.api.networking.ipaddress import IP_ADDRESS
from mizzen.api.networking.servicecidr import SERVICE_CIDR
from mizzen.machinery.errors import Object
from mizzen.server.allocators.pools import Exhausted, Pool, Taken
from mizzen.server.seams import Reader

_LARGEST_RANGE: Final = 1 << 20
"""Of huge IPv6 ranges only the beginning is used."""


class AddressProblem(Exception):
    """An address cannot be had; the text says why, as the original does."""


class Addresses:
    """All addresses that Services may have, by range.

    Ranges may overlap: who has an address is known by its family. What an IPAddress object of somebody else names is
    theirs as long as the object is there.
    """

    def __init__(self, reader: Reader, ranges: tuple[str, ...], rng: Random) -> None:
        self._rng = rng
        self._pools: dict[str, Pool] = {}
        self._owners: dict[str, dict[int, str]] = {"IPv4": {}, "IPv6": {}}
        self._fixed = ranges
        for cidr in ranges:
            self._add(cidr)
        reader.subscribe(SERVICE_CIDR, self._changed)
        reader.subscribe(IP_ADDRESS, self._claimed)

    @property
    def families(self) -> tuple[str, ...]:
        """The families of the cluster, the preferred one first."""
        return tuple(dict.fromkeys(family_of(cidr.partition("/")[0]) for cidr in self._pools))

    def take(self, address: str, owner: str) -> bool:
        """Give this address; answers whether it is new to its owner. Raises AddressProblem."""
        parsed = ipaddress.ip_address(address)
        pools = [pool for cidr, pool in self._pools.items() if family_of(cidr.partition("/")[0]) == family_of(address)]
        pool = next((pool for pool in pools if int(parsed) in pool), None)
        if pool is None:
            valid = ", ".join(cidr for cidr in self._pools if family_of(cidr.partition("/")[0]) == family_of(address))
            raise AddressProblem(
                f"the provided IP ({address}) is not in the valid range. The range of valid IPs is {valid}"
            )
        try:
            return pool.take(int(parsed), owner)
        except Taken:
            raise AddressProblem("provided IP is already allocated") from None

    def draw(self, family: str, owner: str) -> str:
        """Give any free address of a family. Raises AddressProblem."""
        for cidr, pool in self._pools.items():
            if family_of(cidr.partition("/")[0]) != family:
                continue
            try:
                return str(_address(pool.draw(owner), family))
            except Exhausted:
                continue
        raise AddressProblem("range is full")

    def record(self, address: str, owner: str) -> None:
        """A stored Service has this address."""
        self._owners[family_of(address)][int(ipaddress.ip_address(address))] = owner

    def free(self, address: str, owner: str) -> None:
        number, owners = int(ipaddress.ip_address(address)), self._owners[family_of(address)]
        if owners.get(number) == owner:
            del owners[number]

    def _add(self, cidr: str) -> None:
        network = ipaddress.ip_network(cidr, strict=False)
        first = int(network.network_address) + 1
        # The broadcast address of IPv4 is never given.
        last = int(network.broadcast_address) - (1 if network.version == 4 else 0)
        last = min(last, first + _LARGEST_RANGE)
        size = last - first + 1
        owners = self._owners[family_of(cidr.partition("/")[0])]
        self._pools[cidr] = Pool(first, last, reserved(size, 16, 256), self._rng, owners)

    def _changed(self, key: str, old: Object | None, new: Object | None) -> None:
        before = set((old or {}).get("spec", {}).get("cidrs") or ())
        usable = new is not None and not new["metadata"].get("deletionTimestamp")
        after = (new or {}).get("spec", {}).get("cidrs") or () if usable else ()
        for cidr in after:
            if cidr not in self._pools:
                self._add(cidr)
        for cidr in before - set(after) - set(self._fixed):
            self._pools.pop(cidr, None)

    def _claimed(self, key: str, old: Object | None, new: Object | None) -> None:
        claim = new or old or {}
        parent = claim["spec"].get("parentRef") or {}
        if parent.get("resource") == "services" and not parent.get("group"):
            return  # Services themselves tell which addresses they have.
        address, owner = claim["metadata"]["name"], f"IPAddress {claim['metadata']['uid']}"
        if new is None:
            self.free(address, owner)
        else:
            self._owners[family_of(address)].setdefault(int(ipaddress.ip_address(address)), owner)


def reserved(size: int, divisor: int, most: int) -> int:
    """How many of the lowest numbers of a range are kept for those who ask for one."""
    return min(max(16, size // divisor), most) if size > 16 else 0


def family_of(address: str) -> str:
    return "IPv6" if ":" in address else "IPv4"


def _address(number: int, family: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.IPv6Address(number) if family == "IPv6" else ipaddress.IPv4Address(number)
