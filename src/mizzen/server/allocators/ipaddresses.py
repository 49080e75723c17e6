"""IPAddress objects: one for every cluster address, so that users see who has it.

Ref: https://kubernetes.io/docs/reference/networking/virtual-ips/#ip-address-objects
"""

import asyncio
import ipaddress
from typing import Final

from mizzen.api.core.service import SERVICE
from mizzen.api.networking.ipaddress import IP_ADDRESS
from mizzen.base import log
from mizzen.machinery.errors import ApiError, Object
from mizzen.server.allocators.addresses import family_of
from mizzen.server.seams import Reader, Writer

MANAGED_BY: Final = "ipallocator.k8s.io"
_LABELS: Final = {"ipaddress.kubernetes.io/managed-by": MANAGED_BY}
_log = log.get("ipaddresses")


class IpAddresses:
    """Follows Services and keeps their IPAddress objects; `run` until cancelled."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer
        self._wanted: dict[str, Object] = {}
        self._due: asyncio.Queue[str] = asyncio.Queue()

    async def run(self) -> None:
        """Bring IPAddress objects in line with Services, then keep them so."""
        self._reader.subscribe(SERVICE, self._changed)
        self._reader.subscribe(IP_ADDRESS, self._lost)
        for stored in self._reader.list(IP_ADDRESS):
            if _is_ours(stored):
                self._due.put_nowait(stored["metadata"]["name"])
        while True:
            address = await self._due.get()
            try:
                await self._settle(address)
            except ApiError as error:
                _log.warning("address object not written", address=address, error=str(error))

    def _changed(self, key: str, old: Object | None, new: Object | None) -> None:
        before, after = _held(old), _held(new)
        for address in before - after:
            if self._wanted.get(address) == _reference(old or {}):
                del self._wanted[address]
                self._due.put_nowait(address)
        for address in after - before:
            self._wanted[address] = _reference(new or {})
            self._due.put_nowait(address)

    def _lost(self, key: str, old: Object | None, new: Object | None) -> None:
        address = (new or old or {})["metadata"]["name"]
        if new is None and address in self._wanted:
            self._due.put_nowait(address)

    async def _settle(self, address: str) -> None:
        wanted, stored = self._wanted.get(address), self._reader.get(IP_ADDRESS, "", address)
        if stored is not None and not _is_ours(stored):
            return
        if stored is not None and (wanted is None or stored["spec"].get("parentRef") != wanted):
            await self._writer.delete(IP_ADDRESS, "", address)
            stored = None
        if wanted is not None and stored is None:
            await self._writer.create(IP_ADDRESS, "", _object(address, wanted))


def _is_ours(stored: Object) -> bool:
    """Whether the object is one of those that follow Services, not somebody else's claim."""
    return (stored["metadata"].get("labels") or {}).get("ipaddress.kubernetes.io/managed-by") == MANAGED_BY


def _object(address: str, parent: Object) -> Object:
    labels = {**_LABELS, "ipaddress.kubernetes.io/ip-family": family_of(address)}
    return {
        "apiVersion": IP_ADDRESS.api_version,
        "kind": "IPAddress",
        "metadata": {"name": address, "labels": labels},
        "spec": {"parentRef": parent},
    }


def _reference(service: Object) -> Object:
    metadata = service["metadata"]
    return {"resource": "services", "namespace": metadata["namespace"], "name": metadata["name"]}


def _held(service: Object | None) -> set[str]:
    addresses = ((service or {}).get("spec") or {}).get("clusterIPs") or ()
    return {str(ipaddress.ip_address(address)) for address in addresses if address and address != "None"}
