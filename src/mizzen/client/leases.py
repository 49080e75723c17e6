"""Leader election by Lease: whoever holds a valid Lease runs, everybody else waits for it to lapse.

Ref: https://kubernetes.io/docs/concepts/architecture/leases/#leader-election
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mizzen.api.views.coordination import Lease, LeaseSpec
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.client.client import Client
from mizzen.client.resources import LEASES
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError, Object

_log = log.get("leases")


@dataclass(frozen=True, slots=True)
class Election:
    """Who runs for what: a Lease's name, this candidate's identity, and the times in seconds."""

    name: str
    identity: str
    namespace: str = "kube-system"
    duration: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0


class Candidate:
    """One candidate. It judges others' leases by its own clock, from when it last saw them change."""

    def __init__(self, client: Client, clock: Clock, election: Election) -> None:
        self._client = client
        self._clock = clock
        self._election = election
        self._seen: LeaseSpec | None = None
        self._seen_at = 0.0

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait until elected, then run `work` until it ends or the lease is lost; released in the end."""
        while not await self._acquire():
            await self._clock.sleep(self._election.retry)
        _log.info("became leader", lease=self._election.name, identity=self._election.identity)
        working = asyncio.ensure_future(work())
        renewing = asyncio.ensure_future(self._renew())
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost = renewing.done()
            for task in (working, renewing):
                task.cancel()
            await asyncio.gather(working, renewing, return_exceptions=True)
            if not lost:
                await self._release()
        if working.done() and not working.cancelled():
            working.result()

    async def _renew(self) -> None:
        """Return when the lease could not be renewed in time."""
        last = self._clock.monotonic()
        while self._clock.monotonic() - last < self._election.renew_deadline:
            await self._clock.sleep(self._election.retry)
            if await self._acquire():
                last = self._clock.monotonic()
        _log.warning("lost the lease", lease=self._election.name)

    async def _acquire(self) -> bool:
        try:
            lease = await self._client.get(LEASES, self._election.name, self._election.namespace, view=Lease)
        except ApiError as error:
            if error.code != 404:
                return False
            return await self._try(None)
        except ConnectionError:
            return False
        if lease.spec != self._seen:
            self._seen, self._seen_at = lease.spec, self._clock.monotonic()
        holder = lease.spec.holderIdentity
        lasts = lease.spec.leaseDurationSeconds or self._election.duration
        if holder and holder != self._election.identity and self._clock.monotonic() < self._seen_at + lasts:
            return False
        return await self._try(lease)

    async def _try(self, lease: Lease | None) -> bool:
        """Write the lease as ours; a conflict means that somebody was faster."""
        now = times.format_micro(self._clock.now())
        ours = lease is not None and lease.spec.holderIdentity == self._election.identity
        transitions = 0 if lease is None else (lease.spec.leaseTransitions or 0) + (0 if ours else 1)
        spec: Object = {
            "holderIdentity": self._election.identity,
            "leaseDurationSeconds": int(self._election.duration),
            "acquireTime": lease.spec.acquireTime if lease is not None and ours else now,
            "renewTime": now,
            "leaseTransitions": transitions,
        }
        return await self._write(lease, spec)

    async def _write(self, lease: Lease | None, spec: Object) -> bool:
        election = self._election
        meta: Object = {"name": election.name, "namespace": election.namespace}
        try:
            if lease is None:
                body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}
                await self._client.create(LEASES, body, election.namespace)
            else:
                patch = {"metadata": {"resourceVersion": lease.metadata.resourceVersion}, "spec": spec}
                await self._client.patch(LEASES, election.name, patch, election.namespace)
        except (ApiError, ConnectionError):
            return False
        return True

    async def _release(self) -> None:
        """Leave the lease free for others, so that they need not wait for it to lapse."""
        try:
            lease = await self._client.get(LEASES, self._election.name, self._election.namespace, view=Lease)
        except (ApiError, ConnectionError):
            return
        if lease.spec.holderIdentity == self._election.identity:
            await self._write(lease, {"holderIdentity": "", "leaseDurationSeconds": 1})
