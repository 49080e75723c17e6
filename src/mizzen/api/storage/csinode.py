"""CSINode (storage.k8s.io/v1): the storage drivers of one node."""

from collections.abc import Iterable, Iterator

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.rules import fields, volume_sources
from mizzen.machinery.errors import FieldError, Object, duplicate, invalid, required

NODE_ID_LIMIT = 192


def default(node: Object) -> None:
    spec = node.setdefault("spec", {})
    if not spec.get("drivers"):
        spec["drivers"] = None
    for driver in spec["drivers"] or ():
        driver["topologyKeys"] = driver.get("topologyKeys") or None


def validate(node: Object, old: Object | None) -> Iterator[FieldError]:
    """On update the drivers are looked at twice, as clients know it from the causes."""
    drivers = (node.get("spec") or {}).get("drivers") or ()
    errors = list(_drivers_errors(drivers))
    yield from errors
    if old is None:
        return
    yield from errors
    stored = {driver.get("name"): driver for driver in ((old.get("spec") or {}).get("drivers") or ())}
    for driver in drivers:
        before = stored.get(driver.get("name"))
        if before is not None and _kept(before) != _kept(driver):
            yield invalid("CSINodeDriver", driver, "field is immutable")


def _drivers_errors(drivers: Iterable[Object]) -> Iterator[FieldError]:
    seen: set[str] = set()
    for i, driver in enumerate(drivers):
        path, driver_name = f"spec.drivers[{i}]", driver.get("name") or ""
        yield from volume_sources.csi_driver_name(f"{path}.name", driver_name)
        yield from _driver_errors(path, driver)
        if driver_name in seen:
            yield duplicate(f"{path}.name", driver_name)
        seen.add(driver_name)


def _kept(driver: Object) -> Object:
    """What of a driver may not change while it is registered: all but how much the node can attach."""
    return {field: value for field, value in driver.items() if field != "allocatable" and value}


def _driver_errors(path: str, driver: Object) -> Iterator[FieldError]:
    node_id = driver.get("nodeID") or ""
    if not node_id:
        yield required(f"{path}.nodeID")
    elif len(node_id) > NODE_ID_LIMIT:
        yield invalid(f"{path}.nodeID", node_id, f"must be {NODE_ID_LIMIT} characters or less")
    keys: set[str] = set()
    for key in driver.get("topologyKeys") or ():
        if not key:
            yield required(path)
        if key in keys:
            yield duplicate(path, key)
        keys.add(key)
        yield from fields.qualified_name(path, key)
    yield from fields.not_negative(f"{path}.allocatable.count", (driver.get("allocatable") or {}).get("count"))


CSI_NODE = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="CSINode",
    plural="csinodes",
    namespaced=False,
    singular="csinode",
    default=default,
    validate=validate,
    revalidates_metadata=2,
    compares_metadata=0,
    returns_deleted=True,
    unconditional_update=False,
    table=Table(
        columns=(NAME, Column("Drivers", type="integer"), AGE),
        row=lambda node, now: [name(node), len((node.get("spec") or {}).get("drivers") or ()), age(node, now)],
    ),
)
