"""What is written into a ResourceClaim's status: the devices it got, their configuration, and the nodes for them."""

import uuid
from collections.abc import Iterable, Sequence

import msgspec

from mizzen.api.views.core import NodeSelectorTerm
from mizzen.api.views.resource import ResourceClaim
from mizzen.machinery import quantity
from mizzen.machinery.errors import Object
from mizzen.scheduler.devices import Devices, Pick, Picked
from mizzen.scheduler.inventory import Place


def allocation(
    picked: Picked, wanted: Devices, uid: str, class_config: Sequence[Object], node: str, stamp: str = ""
) -> Object:
    """`status.allocation` of the claim with this uid, for a pod of this node. `stamp`: when it is allocated."""
    own = [{"source": "FromClaim", **entry} for entry in wanted.config]
    config = [*({"source": "FromClass", **entry} for entry in class_config), *own]
    selector = _selector(Place(node) if one.device.binds else one.device.place for one in picked)
    return {
        "devices": {
            "results": [_result(one, uid, number) for number, one in enumerate(picked)],
            **({"config": config} if config else {}),
        },
        **({"nodeSelector": selector} if selector else {}),
        **({"allocationTimestamp": stamp} if stamp else {}),
    }


def _result(one: Pick, uid: str, number: int) -> Object:
    driver, pool, device = one.device.id
    result: Object = {"request": one.request, "driver": driver, "pool": pool, "device": device}
    if one.admin:
        result["adminAccess"] = True
    if one.tolerations:
        result["tolerations"] = [msgspec.to_builtins(toleration) for toleration in one.tolerations]
    if one.part is not None:
        result["consumedCapacity"] = {
            name.removeprefix(f"{driver}/"): str(quantity.Quantity(nanos, quantity.Format.BINARY))
            for name, nanos in one.part.items()
        }
        result["shareID"] = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{uid} {one.request} {number}"))
    if one.device.conditions:
        result["bindingConditions"] = list(one.device.conditions)
    if one.device.failures:
        result["bindingFailureConditions"] = list(one.device.failures)
    return result


def _selector(places: Iterable[Place]) -> Object:
    """The nodes on which all of the devices can be used; nothing when that is every node."""
    expressions: dict[str, Object] = {}
    fields: dict[str, Object] = {}
    for place in places:
        terms = place.selector.nodeSelectorTerms if place.selector is not None else ()
        if place.node:
            on = {"key": "metadata.name", "operator": "In", "values": [place.node]}
            fields[repr(on)] = on
        for one in terms[:1] or (NodeSelectorTerm(),):
            expressions |= {repr(each): msgspec.to_builtins(each) for each in one.matchExpressions}
            fields |= {repr(each): msgspec.to_builtins(each) for each in one.matchFields}
    if not expressions and not fields:
        return {}
    term: Object = {}
    if expressions:
        term["matchExpressions"] = list(expressions.values())
    if fields:
        term["matchFields"] = list(fields.values())
    return {"nodeSelectorTerms": [term]}


def readiness(claims: Iterable[ResourceClaim]) -> str | None:
    """Whether all devices of the claims can be used: "" when they can, what went wrong, or None while some cannot yet.

    Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/#device-binding-conditions
    """
    waits = False
    for claim in claims:
        told = {_key(one): one for one in claim.status.devices}
        for result in ((claim.status.allocation or {}).get("devices") or {}).get("results") or ():
            conditions = told.get(_key(result), {}).get("conditions") or ()
            true = {one["type"] for one in conditions if one.get("status") == "True"}
            if failed := [one for one in result.get("bindingFailureConditions") or () if one in true]:
                device = "/".join((result["driver"], result["pool"], result["device"]))
                return f"claim {claim.metadata.name} binding failed: device {device} has condition {failed[0]}"
            waits |= not true.issuperset(result.get("bindingConditions") or ())
    return None if waits else ""


def _key(one: Object) -> tuple[str, ...]:
    return tuple(str(one.get(name) or "") for name in ("driver", "pool", "device", "shareID"))
