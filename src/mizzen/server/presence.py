"""Each API server's Lease in kube-system, by which others know which servers there are; those of lost ones go.

Ref: https://kubernetes.io/docs/concepts/architecture/leases/#api-server-identity
"""

import base64
import hashlib
from typing import Final

from mizzen.api.coordination.lease import LEASE
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError, Object
from mizzen.server.seams import Reader, Writer

NAMESPACE: Final = "kube-system"
LABEL: Final = "apiserver.kubernetes.io/identity"
SERVER: Final = "kube-apiserver"
RENEW_SECONDS: Final = 10.0
LASTS_SECONDS: Final = 3600
_SWEEP_SECONDS: Final = 3600.0
_log = log.get("presence")


def lease_name(hostname: str) -> str:
    """What the server on this host is called, always the same: `apiserver-` and 26 letters or digits."""
    digest = hashlib.sha256(hostname.encode()).digest()[:16]
    return f"apiserver-{base64.b32encode(digest).decode().rstrip('=').lower()}"


class Presence:
    """The Lease of one server; `run` until cancelled. `uid` is another one at every start."""

    def __init__(self, reader: Reader, writer: Writer, clock: Clock, hostname: str, uid: str) -> None:
        self._reader = reader
        self._writer = writer
        self._clock = clock
        self._hostname = hostname
        self._name = lease_name(hostname)
        self._holder = f"{self._name}_{uid}"

    async def run(self) -> None:
        """Renew the Lease, and once an hour remove those that nobody has renewed for an hour."""
        swept = self._clock.monotonic() - _SWEEP_SECONDS
        while True:
            try:
                await self._renew()
                if self._clock.monotonic() - swept >= _SWEEP_SECONDS:
                    swept = self._clock.monotonic()
                    await self._sweep()
            except (ApiError, OSError) as error:
                _log.warning("lease not renewed", lease=self._name, error=str(error))
            await self._clock.sleep(RENEW_SECONDS)

    async def _renew(self) -> None:
        if self._reader.get(LEASE, NAMESPACE, self._name) is not None:
            await self._writer.modify(LEASE, NAMESPACE, self._name, self._take)
            return
        lease: Object = {"metadata": {"name": self._name, "namespace": NAMESPACE}}
        self._take(lease)
        await self._writer.create(LEASE, NAMESPACE, lease)

    def _take(self, lease: Object) -> None:
        """The Lease is this server's, from now on for an hour."""
        labels = lease["metadata"].setdefault("labels", {})
        labels |= {LABEL: SERVER, "kubernetes.io/hostname": self._hostname}
        lease["spec"] = {
            "holderIdentity": self._holder,
            "leaseDurationSeconds": LASTS_SECONDS,
            "renewTime": times.format_micro(self._clock.now()),
        }

    async def _sweep(self) -> None:
        now = self._clock.now()
        for lease in tuple(self._reader.list(LEASE, NAMESPACE)):
            metadata = lease["metadata"]
            if (metadata.get("labels") or {}).get(LABEL) == SERVER and _has_lapsed(lease.get("spec") or {}, now):
                await self._writer.delete(LEASE, NAMESPACE, metadata["name"])
                _log.info("lease of a lost server removed", lease=metadata["name"])


def _has_lapsed(spec: Object, now: float) -> bool:
    renewed = spec.get("renewTime")
    return not renewed or times.parse(renewed) + (spec.get("leaseDurationSeconds") or 0) < now
