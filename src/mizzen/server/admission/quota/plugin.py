"""ResourceQuota, the last plugin: what an object takes is reserved in the quota's status before it is stored.

A reservation is one compare-and-set on the quota, so concurrent creates never exceed it. Whatever is reserved and
not stored after all is found by the quota controller when it counts again; what it counted while a reservation was
on its way to the store, or just before it got there, may lack that, and gives no room.
"""

from collections.abc import Awaitable, Mapping, Sequence
from functools import partial
from typing import Final

from mizzen.api.core.resourcequota import RESOURCE_QUOTA
from mizzen.api.kind import Kind
from mizzen.base.clock import Clock
from mizzen.machinery import quantity
from mizzen.machinery.errors import Errors, Object
from mizzen.machinery.quantity import ZERO
from mizzen.server.admission import matching
from mizzen.server.admission.plugin import Plugin, refusal
from mizzen.server.admission.podresources import Amounts
from mizzen.server.admission.quota import scopes, usage
from mizzen.server.admission.quota.pending import Pending
from mizzen.server.seams import Admission, Operation, Reader, Writer

_GROWING: Final = frozenset({("services", ""), ("persistentvolumeclaims", ""), ("pods", "resize")})
"""Updates that may take more than before."""


class ResourceQuota(Plugin):
    """Keeps namespaces within their quotas."""

    name = "ResourceQuota"

    def __init__(self, reader: Reader, writer: Writer, clock: Clock) -> None:
        self._reader = reader
        self._writer = writer
        self._pending = Pending(clock)

    def handles(self, operation: Operation, kind: Kind, subresource: str) -> bool:
        if not kind.namespaced or kind.plural in ("events", "bindings") or kind.group in matching.REVIEWS:
            return False
        if operation == "CREATE":
            return not subresource
        if kind is RESOURCE_QUOTA:
            return operation == "UPDATE" and subresource == "status"
        return operation == "UPDATE" and not kind.group and (kind.plural, subresource) in _GROWING

    def validate(self, admission: Admission) -> Awaitable[None] | None:
        if admission.kind is RESOURCE_QUOTA and admission.operation == "UPDATE":
            self._check_count(admission)
            return None
        quotas = [quota for quota in self._reader.list(RESOURCE_QUOTA, admission.namespace) if _limited(quota)]
        if not quotas or admission.object is None:
            return None
        touched: list[tuple[str, Amounts]] = []
        for quota in sorted(quotas, key=lambda known: str(known["metadata"]["name"])):
            if not scopes.covers(quota, admission.kind.plural, admission.object):
                continue
            limited = _limited(quota)
            taken = {name: amount for name, amount in _delta(admission, quota).items() if name in limited}
            _check_stated(admission, quota)
            if taken:
                _check(admission, quota, taken)
                touched.append((quota["metadata"]["name"], taken))
        if not touched or admission.dry_run:
            return None
        return self._reserve(admission, touched)

    async def _reserve(self, admission: Admission, quotas: Sequence[tuple[str, Amounts]]) -> None:
        for name, taken in quotas:
            change = partial(_take, admission, taken)
            quota = (admission.namespace, name)
            self._pending.begin(quota)
            admission.done.append(partial(self._pending.end, quota))
            await self._writer.modify(RESOURCE_QUOTA, admission.namespace, name, change, subresource="status")

    def _check_count(self, admission: Admission) -> None:
        """Raises ApiError 409 for a count that gives room which something on its way may have taken."""
        quota = (admission.namespace, admission.name)
        if self._pending.has(quota) and _gives_room(admission.old or {}, admission.object or {}):
            raise Errors.conflict(
                "", RESOURCE_QUOTA.plural, admission.name, "what was just admitted may not be counted"
            )


def _gives_room(old: Object, new: Object) -> bool:
    before, after = ((quota.get("status") or {}).get("used") or {} for quota in (old, new))
    return any(
        name in after and quantity.parse(after[name]).nanos < quantity.parse(amount).nanos
        for name, amount in before.items()
    )


def _take(admission: Admission, taken: Amounts, quota: Object) -> None:
    """Count in what an object takes. Raises ApiError 403 when it is too much."""
    _check(admission, quota, taken)
    used = quota["status"].get("used") or {}
    quota["status"]["used"] = used | {
        name: str(quantity.parse(used.get(name, "0")).plus(amount)) for name, amount in taken.items()
    }


def _limited(quota: Object) -> Mapping[str, str]:
    """The limits in force: those that the quota controller has counted for."""
    limits: Mapping[str, str] = (quota.get("status") or {}).get("hard") or {}
    return limits


def _delta(admission: Admission, quota: Object) -> Amounts:
    """What is taken in addition: all of it where the quota did not cover the object before. What becomes free is left
    to the controller."""
    after = usage.of(admission.kind, admission.object or {})
    if admission.operation == "CREATE" or admission.old is None:
        return after
    if not scopes.covers(quota, admission.kind.plural, admission.old):
        return after
    before = usage.of(admission.kind, admission.old)
    grown = {name: amount.minus(before.get(name, ZERO)) for name, amount in after.items()}
    return {name: amount for name, amount in grown.items() if amount.nanos > 0}


def _check_stated(admission: Admission, quota: Object) -> None:
    if admission.kind.plural != "pods" or admission.kind.group or admission.object is None:
        return
    missing = usage.unstated(admission.object, set(_limited(quota)))
    if missing:
        told = "; ".join(f"{name} for: {','.join(names)}" for name, names in sorted(missing.items()))
        raise refusal(admission, f"failed quota: {quota['metadata']['name']}: must specify {told}")


def _check(admission: Admission, quota: Object, taken: Amounts) -> None:
    """Raises ApiError 403 when the quota has no room."""
    limits, used = _limited(quota), (quota.get("status") or {}).get("used") or {}
    exceeded = [
        name
        for name, amount in sorted(taken.items())
        if name in limits
        and amount.nanos > 0
        and quantity.parse(used.get(name, "0")).nanos + amount.nanos > quantity.parse(limits[name]).nanos
    ]
    if not exceeded:
        return
    requested = ",".join(f"{name}={taken[name]}" for name in exceeded)
    current = ",".join(f"{name}={used.get(name, '0')}" for name in exceeded)
    allowed = ",".join(f"{name}={limits[name]}" for name in exceeded)
    name = quota["metadata"]["name"]
    why = f"exceeded quota: {name}, requested: {requested}, used: {current}, limited: {allowed}"
    raise refusal(admission, why)
