"""ResourceSlice (resource.k8s.io/v1): devices that a driver offers in one pool."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.resource import devices, identifiers, offers
from mizzen.api.rules import fields, node_selector
from mizzen.machinery.errors import FieldError, Object, duplicate, invalid, required

DEVICE_LIMIT = 128
ADVANCED_LIMIT = 64
"""Devices with taints, counters or lists of attributes are larger, so fewer fit."""
SET_LIMIT = 8
_PLACES = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")


def validate(slice_: Object, old: Object | None) -> Iterator[FieldError]:
    spec = slice_.get("spec") or {}
    pool = spec.get("pool") or {}
    yield from identifiers.driver("spec.driver", spec.get("driver") or "")
    yield from identifiers.pool("spec.pool.name", pool.get("name") or "")
    if (count := pool.get("resourceSliceCount") or 0) <= 0:
        yield invalid("spec.pool.resourceSliceCount", count, "must be greater than zero")
    if (generation := pool.get("generation") or 0) < 0:
        yield invalid("spec.pool.generation", generation, "must be greater than or equal to zero")
    if old is not None:
        stored = old.get("spec") or {}
        yield from fields.unchanged("spec.pool.name", pool.get("name"), (stored.get("pool") or {}).get("name"))
        for field in ("driver", "nodeName"):
            yield from fields.unchanged(f"spec.{field}", spec.get(field), stored.get(field))
    yield from _place_errors(spec)
    if spec.get("sharedCounters") is not None and spec.get("devices") is not None:
        yield invalid("spec", "", "only one of `sharedCounters` or `devices` is allowed")
    yield from _devices_errors("spec.devices", spec.get("devices") or [], bool(spec.get("perDeviceNodeSelection")))
    yield from offers.counter_errors("spec.sharedCounters", spec.get("sharedCounters") or [], SET_LIMIT, "name")


def _place_errors(spec: Object) -> Iterator[FieldError]:
    """Which nodes reach the devices: said in one way."""
    node, selector = spec.get("nodeName"), spec.get("nodeSelector")
    if node:
        yield from fields.subdomain("spec.nodeName", node)
    elif node is not None:
        yield invalid("spec.nodeName", node, "must be either unset or set to a non-empty string")
    if selector is not None:
        yield from node_selector.errors("spec.nodeSelector", selector)
        if len(terms := selector.get("nodeSelectorTerms") or []) != 1:
            detail = "must have exactly one node selector term"
            yield invalid("spec.nodeSelector.nodeSelectorTerms", terms, detail)
    for field in ("allNodes", "perDeviceNodeSelection"):
        if spec.get(field) is False:
            yield invalid(f"spec.{field}", False, "must be either unset or set to true")
    given = [field for field in _PLACES if spec.get(field) or spec.get(field) == {}]
    choice = f"exactly one of {', '.join(f'`{field}`' for field in _PLACES)} is required"
    if not given:
        yield required("spec", choice)
    elif len(given) > 1:
        text = f"{{{', '.join(f'`{field}`' for field in given)}}}"
        yield invalid("spec", text, f"{choice}, but multiple fields are set")


def _devices_errors(path: str, offered: list[Object], placed: bool) -> Iterator[FieldError]:
    limit = ADVANCED_LIMIT if any(map(offers.is_advanced, offered)) else DEVICE_LIMIT
    yield from devices.limited(path, offered, limit)
    seen: set[str] = set()
    for i, device in enumerate(offered if len(offered) <= limit else ()):
        yield from offers.device_errors(f"{path}[{i}]", device, placed=placed)
        if (name_ := device.get("name") or "") in seen:
            yield duplicate(f"{path}[{i}]", name_)
        seen.add(name_)


RESOURCE_SLICE = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceSlice",
    plural="resourceslices",
    namespaced=False,
    singular="resourceslice",
    validate=validate,
    has_generation=True,
    table=Table(
        columns=(NAME, Column("Node"), Column("Driver"), Column("Pool"), AGE),
        row=lambda slice_, now: [
            name(slice_),
            slice_["spec"].get("nodeName") or "",
            slice_["spec"].get("driver", ""),
            (slice_["spec"].get("pool") or {}).get("name", ""),
            age(slice_, now),
        ],
    ),
    selectable={
        "spec.nodeName": lambda slice_: slice_["spec"].get("nodeName") or "",
        "spec.driver": lambda slice_: slice_["spec"].get("driver") or "",
    },
)
