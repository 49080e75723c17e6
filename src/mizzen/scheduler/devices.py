"""Allocating devices: which of a node's devices satisfy a ResourceClaim's requests and constraints.

Requests are served one after the other with backtracking, so that a constraint over several of them can be met.
Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from mizzen.api.views.core import NodeSelector, Taint, Toleration
from mizzen.api.views.meta import View
from mizzen.api.views.resource import ResourceSlice
from mizzen.machinery import quantity
from mizzen.machinery.cel import CelError, compile_expression
from mizzen.machinery.cel.library import quantity_value
from mizzen.machinery.errors import Object

MOST_STEPS: Final = 10_000
"""How many combinations are tried before a claim counts as not allocatable."""


class Selector(View, frozen=True, gc=False):
    cel: Mapping[str, str] = msgspec.field(default_factory=dict)


class Request(View, frozen=True, gc=False):
    """What is asked for exactly; also one alternative of `firstAvailable`."""

    name: str = ""
    deviceClassName: str = ""
    selectors: tuple[Selector, ...] = ()
    allocationMode: str = "ExactCount"
    count: int = 1
    adminAccess: bool = False
    tolerations: tuple[Toleration, ...] = ()


class DeviceRequest(View, frozen=True, gc=False):
    name: str = ""
    exactly: Request | None = None
    firstAvailable: tuple[Request, ...] = ()


class Constraint(View, frozen=True, gc=False):
    requests: tuple[str, ...] = ()
    matchAttribute: str | None = None


class Devices(View, frozen=True, gc=False):
    requests: tuple[DeviceRequest, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    config: tuple[dict[str, Any], ...] = ()


Id = tuple[str, str, str]
"""Driver, pool and device."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device of a pool; `attributes` and `capacity` by qualified name."""

    id: Id
    attributes: Mapping[str, Any]
    capacity: Mapping[str, int]
    taints: tuple[Taint, ...]

    def variable(self) -> Object:
        """The device as selectors see it: attributes and capacity by domain."""
        attributes: dict[str, dict[str, Any]] = {}
        for name, value in self.attributes.items():
            domain, _, short = name.rpartition("/")
            attributes.setdefault(domain, {})[short] = value
        capacity: dict[str, dict[str, Any]] = {}
        for name, nanos in self.capacity.items():
            domain, _, short = name.rpartition("/")
            capacity.setdefault(domain, {})[short] = quantity_value(nanos)
        return {"driver": self.id[0], "attributes": attributes, "capacity": capacity}


Picked = tuple[tuple[str, Device, bool], ...]
"""The chosen devices with the name of their request, and whether for administration only."""
ClassSelectors = Callable[[str], tuple[str, ...] | None]
"""The expressions of a DeviceClass; None when there is no such class."""


def on_node(slices: Iterable[ResourceSlice], name: str, labels: dict[str, str]) -> tuple[Device, ...]:
    """The devices that a node can use, of the newest generation of each pool."""
    reachable = [one for one in slices if _reaches(one.spec, name, labels)]
    newest: dict[tuple[str, str], int] = {}
    for one in reachable:
        pool = one.spec.get("pool") or {}
        key = (one.spec.get("driver", ""), pool.get("name", ""))
        newest[key] = max(newest.get(key, 0), pool.get("generation", 0))
    found: list[Device] = []
    for one in sorted(reachable, key=lambda one: one.metadata.name):
        pool = one.spec.get("pool") or {}
        driver, pool_name = one.spec.get("driver", ""), pool.get("name", "")
        if pool.get("generation", 0) == newest[driver, pool_name]:
            found.extend(_device(driver, pool_name, entry) for entry in one.spec.get("devices") or ())
    return tuple(found)


def _reaches(spec: Mapping[str, Any], name: str, labels: dict[str, str]) -> bool:
    if spec.get("nodeName"):
        return bool(spec["nodeName"] == name)
    if spec.get("nodeSelector"):
        return msgspec.convert(spec["nodeSelector"], NodeSelector).matches(name, labels)
    return bool(spec.get("allNodes"))


def _device(driver: str, pool: str, entry: Mapping[str, Any]) -> Device:
    basic = entry.get("basic") or entry
    attributes = {
        _qualified(name, driver): next(iter(value.values()), None)
        for name, value in (basic.get("attributes") or {}).items()
    }
    capacity = {
        _qualified(name, driver): quantity.parse(value.get("value", 0) if isinstance(value, dict) else value).nanos
        for name, value in (basic.get("capacity") or {}).items()
    }
    taints = tuple(msgspec.convert(one, Taint) for one in basic.get("taints") or ())
    return Device((driver, pool, entry["name"]), attributes, capacity, taints)


def _qualified(name: str, driver: str) -> str:
    return name if "/" in name else f"{driver}/{name}"


def allocate(
    wanted: Devices, devices: Sequence[Device], taken: frozenset[Id], selectors_of: ClassSelectors
) -> Picked | None:
    """Devices for every request of a claim, or None when there are not enough that fit."""
    search = _Search(wanted, devices, taken, selectors_of)
    return next(search.solutions(0, ()), None)


@dataclass(slots=True)
class _Search:
    wanted: Devices
    devices: Sequence[Device]
    taken: frozenset[Id]
    selectors_of: ClassSelectors
    steps: int = 0

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
        if request.allocationMode == "All":
            every = (*chosen, *((name, one, request.adminAccess) for one in fitting))
            if fitting and all(self._is_free(one, request, chosen) for one in fitting) and self._agree(every):
                yield every
            return
        yield from self._picks(request, name, fitting, request.count, chosen)

    def _picks(
        self, request: Request, name: str, fitting: Sequence[Device], left: int, chosen: Picked
    ) -> Iterator[Picked]:
        if not left:
            yield chosen
            return
        for at, one in enumerate(fitting):
            self.steps += 1
            if self.steps > MOST_STEPS:
                return
            if not self._is_free(one, request, chosen):
                continue
            more = (*chosen, (name, one, request.adminAccess))
            if self._agree(more):
                yield from self._picks(request, name, fitting[at + 1 :], left - 1, more)

    def _is_free(self, device: Device, request: Request, chosen: Picked) -> bool:
        if request.adminAccess:
            return True
        return device.id not in self.taken and all(one.id != device.id for _, one, _ in chosen)

    def _fits(self, request: Request, device: Device) -> bool:
        of_class = self.selectors_of(request.deviceClassName)
        if of_class is None:
            return False
        for taint in device.taints:
            if taint.effect in ("NoSchedule", "NoExecute") and not any(t.tolerates(taint) for t in request.tolerations):
                return False
        expressions = (*of_class, *(one.cel.get("expression", "true") for one in request.selectors))
        return all(matches(expression, device) for expression in expressions)

    def _agree(self, chosen: Picked) -> bool:
        """Whether the constraints hold among what is chosen so far."""
        for constraint in self.wanted.constraints:
            if constraint.matchAttribute is None:
                continue
            names = constraint.requests
            values = [
                one.attributes.get(constraint.matchAttribute)
                for name, one, _ in chosen
                if not names or name in names or name.partition("/")[0] in names
            ]
            if values and (values[0] is None or any(value != values[0] for value in values)):
                return False
        return True


def matches(expression: str, device: Device) -> bool:
    """Whether a device satisfies a selector; one whose evaluation fails (a missing attribute) does not."""
    try:
        return compile_expression(expression, ("device",)).holds({"device": device.variable()})
    except CelError:
        return False


def allocation(picked: Picked, wanted: Devices, node: str, class_config: Sequence[Object]) -> Object:
    """`status.allocation` of a claim for these devices on a node."""
    results = [
        {
            "request": name,
            "driver": one.id[0],
            "pool": one.id[1],
            "device": one.id[2],
            **({"adminAccess": True} if admin else {}),
        }
        for name, one, admin in picked
    ]
    own = [{"source": "FromClaim", **entry} for entry in wanted.config]
    config = [*({"source": "FromClass", **entry} for entry in class_config), *own]
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    return {
        "devices": {"results": results, **({"config": config} if config else {})},
        "nodeSelector": {"nodeSelectorTerms": [{"matchFields": [field]}]},
    }
