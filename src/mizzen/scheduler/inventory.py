"""The devices there are: pools out of ResourceSlices, which devices a node can use, and what is left of them.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from mizzen.api.views.core import NodeSelector, Taint
from mizzen.api.views.resource import DeviceTaintRule, ResourceSlice
from mizzen.machinery import quantity
from mizzen.machinery.cel import CelError, compile_expression
from mizzen.machinery.cel.library import quantity_value, version_value
from mizzen.machinery.errors import Object

Id = tuple[str, str, str]
"""Driver, pool and device."""
PoolId = tuple[str, str]
Counters = Mapping[tuple[str, str], int]
"""Billionths, by the name of the counter set and of the counter."""
Amounts = Mapping[str, int]
"""Billionths, by the qualified name of a capacity."""
_SELECTED: Final = ("driver", "pool", "device")
_KINDS: Final = ("string", "int", "bool", "version", "strings", "ints", "bools", "versions")


@dataclass(frozen=True, slots=True)
class Place:
    """The nodes that can use a device: one by name, those of a selector, or all."""

    node: str = ""
    selector: NodeSelector | None = None

    def reaches(self, name: str, labels: dict[str, str]) -> bool:
        if self.node:
            return self.node == name
        return self.selector is None or self.selector.matches(name, labels)


@dataclass(frozen=True, slots=True)
class Device:
    """A device of a pool; `attributes` and `capacity` by qualified name.

    `shared`: many claims can have parts of its capacity, dealt out by `policies`. `drains`: what it takes of the
    counters that the devices of its pool share. `conditions` must become true, and none of `failures`, before the
    device can be used. `binds`: once allocated it serves the node alone that it was allocated for.
    """

    id: Id
    attributes: Mapping[str, Any]
    capacity: Amounts
    taints: tuple[Taint, ...]
    place: Place = Place()
    shared: bool = False
    policies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    drains: Counters = field(default_factory=dict)
    conditions: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    binds: bool = False

    @property
    def pool(self) -> PoolId:
        return self.id[:2]

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
        return {
            "driver": self.id[0],
            "attributes": attributes,
            "capacity": capacity,
            "allowMultipleAllocations": self.shared,
        }


@dataclass(frozen=True, slots=True)
class Taken:
    """What is allocated already, or about to be: whole devices, and parts of shared ones."""

    devices: frozenset[Id] = frozenset()
    parts: Mapping[Id, Amounts] = field(default_factory=dict)


class Inventory:
    """The devices of the newest generation of every pool, by the nodes that can use them."""

    def __init__(self, slices: Iterable[ResourceSlice], rules: Iterable[DeviceTaintRule] = ()) -> None:
        self._rules = tuple(rules)
        self._of_node: dict[str, list[Device]] = defaultdict(list)
        self._elsewhere: list[Device] = []
        self._by_id: dict[Id, Device] = {}
        self._counters: dict[PoolId, dict[tuple[str, str], int]] = defaultdict(dict)
        self._verdicts: dict[tuple[str, Id], bool] = {}
        self._conditional = False
        self.incomplete: set[PoolId] = set()
        """Pools of which not all slices are there yet; nothing is taken from them."""
        for pool, members in _newest(slices).items():
            expected = {(one.spec.get("pool") or {}).get("resourceSliceCount", len(members)) for one in members}
            if expected != {len(members)}:
                self.incomplete.add(pool)
            for one in members:
                self._add(pool, one.spec)

    def on_node(self, name: str, labels: dict[str, str]) -> tuple[Device, ...]:
        """The devices that a node can use, those that can be used at once first."""
        mine = (*self._of_node.get(name, ()), *(one for one in self._elsewhere if one.place.reaches(name, labels)))
        return tuple(sorted(mine, key=lambda one: bool(one.conditions))) if self._conditional else mine

    def satisfies(self, device: Device, expression: str) -> bool:
        """Whether a device satisfies a selector; one whose evaluation fails (a missing attribute) does not."""
        known = self._verdicts.get((expression, device.id))
        if known is None:
            try:
                known = compile_expression(expression, ("device",)).holds({"device": device.variable()})
            except CelError:
                known = False
            self._verdicts[expression, device.id] = known
        return known

    def left(self, pool: PoolId, used: Iterable[Id]) -> Counter[tuple[str, str]]:
        """What is left of a pool's shared counters beside these devices."""
        rest = Counter(self._counters.get(pool, {}))
        for id in used:
            if id[:2] == pool and (device := self._by_id.get(id)) is not None:
                rest.subtract(device.drains)
        return rest

    def _add(self, pool: PoolId, spec: Mapping[str, Any]) -> None:
        for counters in spec.get("sharedCounters") or ():
            for name, value in (counters.get("counters") or {}).items():
                self._counters[pool][counters.get("name", ""), name] = _nanos(value)
        everywhere = _place(spec)
        for entry in spec.get("devices") or ():
            place = _place(entry) if spec.get("perDeviceNodeSelection") else everywhere
            if place is None:
                continue
            device = self._device(pool, entry, place)
            self._by_id[device.id] = device
            self._conditional |= bool(device.conditions)
            (self._of_node[place.node] if place.node else self._elsewhere).append(device)

    def _device(self, pool: PoolId, entry: Mapping[str, Any], place: Place) -> Device:
        driver = pool[0]
        capacity = {qualified(name, driver): value for name, value in (entry.get("capacity") or {}).items()}
        id = (*pool, entry["name"])
        taints = [msgspec.convert(one, Taint) for one in entry.get("taints") or ()]
        return Device(
            id=id,
            attributes={
                qualified(name, driver): _attribute(value) for name, value in (entry.get("attributes") or {}).items()
            },
            capacity={name: _nanos(value) for name, value in capacity.items()},
            taints=(*taints, *self._taints_of(id)),
            place=place,
            shared=bool(entry.get("allowMultipleAllocations")),
            policies={name: value["requestPolicy"] for name, value in capacity.items() if value.get("requestPolicy")},
            drains={
                (one.get("counterSet", ""), name): _nanos(value)
                for one in entry.get("consumesCounters") or ()
                for name, value in (one.get("counters") or {}).items()
            },
            conditions=tuple(entry.get("bindingConditions") or ()),
            failures=tuple(entry.get("bindingFailureConditions") or ()),
            binds=bool(entry.get("bindsToNode")),
        )

    def _taints_of(self, id: Id) -> Iterator[Taint]:
        """The taints that rules give to a device."""
        for rule in self._rules:
            selector = rule.spec.get("deviceSelector")
            if selector is None:
                continue  # an empty selector means all devices, none at all no device
            if all(selector.get(key) in (None, value) for key, value in zip(_SELECTED, id, strict=True)):
                yield msgspec.convert(rule.spec.get("taint") or {}, Taint)


def qualified(name: str, driver: str) -> str:
    """The name with its domain, which is the driver's where none is given."""
    return name if "/" in name else f"{driver}/{name}"


def _newest(slices: Iterable[ResourceSlice]) -> dict[PoolId, list[ResourceSlice]]:
    """The slices of the newest generation of each pool, by name."""
    found: dict[PoolId, list[ResourceSlice]] = {}
    generations: dict[PoolId, int] = {}
    for one in sorted(slices, key=lambda one: one.metadata.name):
        pool = one.spec.get("pool") or {}
        key, generation = (one.spec.get("driver", ""), pool.get("name", "")), pool.get("generation", 0)
        if generation > generations.get(key, -1):
            generations[key], found[key] = generation, []
        if generation == generations[key]:
            found[key].append(one)
    return found


def _place(spec: Mapping[str, Any]) -> Place | None:
    if spec.get("nodeName"):
        return Place(spec["nodeName"])
    if spec.get("nodeSelector"):
        return Place(selector=msgspec.convert(spec["nodeSelector"], NodeSelector))
    return Place() if spec.get("allNodes") else None


def _attribute(value: Mapping[str, Any]) -> Any:
    """The value as expressions see it; versions are compared as such."""
    kind = next((one for one in _KINDS if value.get(one) is not None), "")
    return version_value(value[kind]) if kind == "version" else value.get(kind)


def _nanos(value: Any) -> int:
    return quantity.parse(value.get("value", 0) if isinstance(value, Mapping) else value).nanos
