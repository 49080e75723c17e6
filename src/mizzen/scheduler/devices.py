"""Allocating devices: which of a node's devices satisfy a ResourceClaim's requests and constraints.

Requests are served one after the other with backtracking, so that a constraint over several of them can be met.
Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from mizzen.api.views.core import Quantity, Toleration
from mizzen.api.views.meta import View
from mizzen.machinery import quantity
from mizzen.scheduler.inventory import Amounts, Device, Id, Inventory, PoolId, Taken, qualified

MOST_STEPS: Final = 10_000
"""How many combinations are tried before a claim counts as not allocatable."""
MOST_DEVICES: Final = 32
"""How many devices a claim can have."""


class Selector(View, frozen=True, gc=False):
    cel: Mapping[str, str] = msgspec.field(default_factory=dict)


class CapacityRequest(View, frozen=True, gc=False):
    requests: dict[str, Quantity] = msgspec.field(default_factory=dict)


class Request(View, frozen=True, gc=False):
    """What is asked for exactly; also one alternative of `firstAvailable`."""

    name: str = ""
    deviceClassName: str = ""
    selectors: tuple[Selector, ...] = ()
    allocationMode: str = "ExactCount"
    count: int = 1
    adminAccess: bool = False
    tolerations: tuple[Toleration, ...] = ()
    capacity: CapacityRequest | None = None


class DeviceRequest(View, frozen=True, gc=False):
    name: str = ""
    exactly: Request | None = None
    firstAvailable: tuple[Request, ...] = ()


class Constraint(View, frozen=True, gc=False):
    requests: tuple[str, ...] = ()
    matchAttribute: str | None = None
    distinctAttribute: str | None = None


class Devices(View, frozen=True, gc=False):
    requests: tuple[DeviceRequest, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    config: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Pick:
    """A chosen device: for which request, whether for administration only, and how much of a shared one."""

    request: str
    device: Device
    admin: bool = False
    part: Amounts | None = None
    tolerations: tuple[Toleration, ...] = ()


Picked = tuple[Pick, ...]
ClassSelectors = Callable[[str], tuple[str, ...] | None]
"""The expressions of a DeviceClass; None when there is no such class."""


def with_picks(taken: Taken, picked: Picked) -> Taken:
    """What is taken once these are, too."""
    parts = {id: dict(amounts) for id, amounts in taken.parts.items()}
    whole = {one.device.id for one in picked if one.part is None and not one.admin}
    for one in picked:
        if one.part is not None and not one.admin:
            mine = parts.setdefault(one.device.id, {})
            for name, nanos in one.part.items():
                mine[name] = mine.get(name, 0) + nanos
    return Taken(taken.devices | whole, parts)


def allocate(
    wanted: Devices, devices: Sequence[Device], inventory: Inventory, taken: Taken, selectors_of: ClassSelectors
) -> Picked | None:
    """Devices for every request of a claim, or None when there are not enough that fit."""
    search = _Search(wanted, devices, inventory, taken, selectors_of)
    return next(search.solutions(0, ()), None)


@dataclass(slots=True)
class _Search:
    wanted: Devices
    devices: Sequence[Device]
    inventory: Inventory
    taken: Taken
    selectors_of: ClassSelectors
    steps: int = 0
    _left: dict[PoolId, Counter[tuple[str, str]]] = field(default_factory=dict)

    def solutions(self, at: int, chosen: Picked) -> Iterator[Picked]:
        """Ways to serve the requests from `at` on, beside what is chosen already."""
        if at == len(self.wanted.requests):
            yield chosen
            return
        request = self.wanted.requests[at]
        alternatives = (request.exactly,) if request.exactly else request.firstAvailable
        for one in alternatives:
            if one is None:
                continue
            name = request.name if request.exactly else f"{request.name}/{one.name}"
            for more in self._served(one, name, chosen):
                yield from self.solutions(at + 1, more)

    def _served(self, request: Request, name: str, chosen: Picked) -> Iterator[Picked]:
        fitting = [one for one in self.devices if self._fits(request, one)]
        if request.allocationMode != "All":
            complete = [one for one in fitting if one.pool not in self.inventory.incomplete]
            yield from self._picks(request, name, complete, request.count, chosen)
            return
        if not fitting or any(one.pool in self.inventory.incomplete for one in self.devices):
            return  # which devices are all is not known while a pool changes
        every = chosen
        for one in fitting:
            pick = self._pick(request, name, one, every)
            if pick is None:
                return
            every = (*every, pick)
        if self._agree(every) and len(every) <= MOST_DEVICES:
            yield every

    def _picks(
        self, request: Request, name: str, fitting: Sequence[Device], left: int, chosen: Picked
    ) -> Iterator[Picked]:
        if not left:
            yield chosen
            return
        if len(chosen) + left > MOST_DEVICES:
            return
        for at, one in enumerate(fitting):
            self.steps += 1
            if self.steps > MOST_STEPS:
                return
            pick = self._pick(request, name, one, chosen)
            if pick is not None and self._agree((*chosen, pick)):
                # Of a shared device the same request can have several parts only through other requests.
                yield from self._picks(request, name, fitting[at + 1 :], left - 1, (*chosen, pick))

    def _pick(self, request: Request, name: str, device: Device, chosen: Picked) -> Pick | None:
        """The device for the request, when it is free beside what is chosen."""
        if request.adminAccess:
            return Pick(name, device, admin=True, tolerations=request.tolerations)
        part = _part(request, device) if device.shared else None
        if device.shared:
            assert part is not None
            used = with_picks(self.taken, chosen).parts.get(device.id, {})
            if any(used.get(key, 0) + nanos > device.capacity[key] for key, nanos in part.items()):
                return None
        elif device.id in self.taken.devices or any(one.device.id == device.id and not one.admin for one in chosen):
            return None
        if device.drains and not self._has_counters(device, chosen):
            return None
        return Pick(name, device, part=part, tolerations=request.tolerations)

    def _has_counters(self, device: Device, chosen: Picked) -> bool:
        """Whether the counters that the pool's devices share suffice for one more."""
        known = self._left.get(device.pool)
        if known is None:
            used = self.taken.devices | self.taken.parts.keys()
            known = self._left[device.pool] = self.inventory.left(device.pool, used)
        mine = {one.device.id: one.device for one in chosen if one.device.pool == device.pool and not one.admin}
        if device.id in self.taken.parts or device.id in mine:
            return True  # a shared device takes from the counters once
        rest = Counter(known)
        for one in mine.values():
            if one.id not in self.taken.parts:
                rest.subtract(one.drains)
        return all(nanos <= rest[counter] for counter, nanos in device.drains.items())

    def _fits(self, request: Request, device: Device) -> bool:
        of_class = self.selectors_of(request.deviceClassName)
        if of_class is None:
            return False
        if not request.adminAccess and any(not _tolerates(request, one.effect, one) for one in device.taints):
            return False
        if _part(request, device) is None:
            return False
        expressions = (*of_class, *(one.cel.get("expression", "true") for one in request.selectors))
        return all(self.inventory.satisfies(device, expression) for expression in expressions)

    def _agree(self, chosen: Picked) -> bool:
        """Whether the constraints hold among what is chosen so far."""
        for constraint in self.wanted.constraints:
            name = constraint.matchAttribute or constraint.distinctAttribute
            if name is None:
                continue
            meant = constraint.requests
            values = [
                one.device.attributes.get(name)
                for one in chosen
                if not meant or one.request in meant or one.request.partition("/")[0] in meant
            ]
            if None in values:
                return False
            if constraint.matchAttribute and any(value != values[0] for value in values):
                return False
            if constraint.distinctAttribute and any(value in values[:at] for at, value in enumerate(values)):
                return False
        return True


def _tolerates(request: Request, effect: str, taint: Any) -> bool:
    return effect not in ("NoSchedule", "NoExecute") or any(one.tolerates(taint) for one in request.tolerations)


def _part(request: Request, device: Device) -> Amounts | None:
    """How much of each capacity the request takes of a device; None when the device has, or gives, no such amount."""
    asked = request.capacity.requests if request.capacity is not None else {}
    amounts = {qualified(name, device.id[0]): quantity.parse(value).nanos for name, value in asked.items()}
    if any(name not in device.capacity for name in amounts):
        return None
    part: dict[str, int] = {}
    for name, has in device.capacity.items():
        part[name] = _dealt(device.policies.get(name) or {}, amounts.get(name), has)
        if part[name] > has:
            return None
    return part


def _dealt(policy: Mapping[str, Any], asked: int | None, has: int) -> int:
    """How much a request gets: the policy's default, or the next amount that it allows; more than all for none."""
    if asked is None:
        return quantity.parse(policy["default"]).nanos if policy.get("default") is not None else has
    if policy.get("validValues"):
        fitting = [nanos for one in policy["validValues"] if (nanos := quantity.parse(one).nanos) >= asked]
        return min(fitting, default=has + 1)
    limits = policy.get("validRange")
    if not limits:
        return asked
    least = quantity.parse(limits.get("min", 0)).nanos
    most = quantity.parse(limits["max"]).nanos if limits.get("max") is not None else has
    amount = max(asked, least)
    if limits.get("step") is not None:
        step = quantity.parse(limits["step"]).nanos
        amount = least + -(-(amount - least) // step) * step
    return amount if amount <= most else has + 1


def taken_by(results: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Id, Amounts | None]]:
    """The devices of an allocation, with the part where it is of a shared one."""
    for one in results:
        if one.get("adminAccess"):
            continue
        id = (one["driver"], one["pool"], one["device"])
        part = one.get("consumedCapacity")
        shared = one.get("shareID") is not None or part is not None
        amounts = {qualified(name, id[0]): quantity.parse(value).nanos for name, value in (part or {}).items()}
        yield id, amounts if shared else None
