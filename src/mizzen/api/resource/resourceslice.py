"""ResourceSlice (resource.k8s.io/v1): devices that a driver offers in one pool."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.resource import devices
from mizzen.api.rules import fields, node_selector
from mizzen.machinery import names, quantity
from mizzen.machinery.errors import FieldError, Object, duplicate, invalid, required

DEVICE_LIMIT = 128
ATTRIBUTE_LIMIT = 32
VALUE_LIMIT = 64
POOL_NAME_LIMIT = 253
_PLACES = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
_VALUES = ("bool", "bools", "int", "ints", "string", "strings", "version", "versions")


def validate(slice_: Object, old: Object | None) -> Iterator[FieldError]:
    spec = slice_.get("spec") or {}
    pool = spec.get("pool") or {}
    yield from devices.driver_errors("spec.driver", spec.get("driver"))
    yield from _pool_errors("spec.pool", pool)
    if spec.get("nodeName"):
        yield from fields.subdomain("spec.nodeName", spec["nodeName"])
    if spec.get("nodeSelector") is not None:
        yield from node_selector.errors("spec.nodeSelector", spec["nodeSelector"])
    shared = spec.get("sharedCounters") or []
    if not shared or spec.get("devices"):
        yield from _place_errors(spec)
    offered = spec.get("devices") or []
    yield from devices.limited("spec.devices", offered, DEVICE_LIMIT)
    seen: set[str] = set()
    for i, device in enumerate(offered):
        path, device_name = f"spec.devices[{i}]", device.get("name") or ""
        yield from _device_errors(path, device)
        if device_name in seen:
            yield duplicate(f"{path}.name", device_name)
        seen.add(device_name)
    if old is not None:
        stored = old.get("spec") or {}
        for field in ("driver", "nodeName"):
            yield from fields.unchanged(f"spec.{field}", spec.get(field), stored.get(field))
        yield from fields.unchanged("spec.pool.name", pool.get("name"), (stored.get("pool") or {}).get("name"))


def _place_errors(spec: Object) -> Iterator[FieldError]:
    given = [field for field in _PLACES if spec.get(field)]
    choice = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
    if not given:
        yield required("spec", choice)
    elif len(given) > 1:
        yield invalid("spec", f"{{{', '.join(f'`{field}`' for field in given)}}}", choice)


def _pool_errors(path: str, pool: Object) -> Iterator[FieldError]:
    pool_name = pool.get("name") or ""
    if not pool_name:
        yield required(f"{path}.name")
    elif len(pool_name) > POOL_NAME_LIMIT:
        yield invalid(f"{path}.name", pool_name, f"must be no more than {POOL_NAME_LIMIT} characters")
    for segment in pool_name.split("/") if pool_name else ():
        yield from fields.subdomain(f"{path}.name", segment)
    if (pool.get("resourceSliceCount") or 0) <= 0:
        yield invalid(f"{path}.resourceSliceCount", pool.get("resourceSliceCount") or 0, "must be greater than zero")
    if (pool.get("generation") or 0) < 0:
        detail = "must be greater than or equal to zero"
        yield invalid(f"{path}.generation", pool["generation"], detail)


def _device_errors(path: str, device: Object) -> Iterator[FieldError]:
    if device.get("name"):
        yield from fields.label(f"{path}.name", device["name"])
    else:
        yield required(f"{path}.name")
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    if len(attributes) + len(capacity) > ATTRIBUTE_LIMIT:
        detail = f"the total number of attributes and capacities must not exceed {ATTRIBUTE_LIMIT}"
        yield invalid(path, len(attributes) + len(capacity), detail)
    for key, value in attributes.items():
        where = f"{path}.attributes[{key}]"
        yield from _key_errors(where, key)
        given = [field for field in _VALUES if value.get(field) is not None]
        if not given:
            yield required(where, "exactly one value must be specified")
        elif len(given) > 1:
            yield invalid(where, value, "exactly one value must be specified")
        elif isinstance(value[given[0]], str) and len(value[given[0]]) > VALUE_LIMIT:
            yield invalid(f"{where}.{given[0]}", value[given[0]], f"must be no more than {VALUE_LIMIT} characters")
    for key, entry in capacity.items():
        yield from _key_errors(f"{path}.capacity[{key}]", key)
        if quantity.parse((entry or {}).get("value", "0")).nanos < 0:
            yield invalid(f"{path}.capacity[{key}].value", entry["value"], "must be greater than or equal to 0")
    for i, taint in enumerate(device.get("taints") or ()):
        yield from devices.taint_errors(f"{path}.taints[{i}]", taint)


def _key_errors(path: str, key: str) -> Iterator[FieldError]:
    """`identifier`, or `domain/identifier`."""
    domain, slash, identifier = key.rpartition("/")
    if slash:
        yield from devices.driver_errors(path, domain)
    yield from fields.matches(path, identifier, names.c_identifier)


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
