"""ResourceClaim (resource.k8s.io/v1): devices that pods ask for, and which they got."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import METADATA, Column, Kind, Table
from mizzen.api.resource import devices
from mizzen.api.rules import fields
from mizzen.machinery.errors import FieldError, Object, duplicate, forbidden, required

RESERVED_LIMIT = 256


def default(claim: Object) -> None:
    devices.default_claim(claim.setdefault("spec", {}))
    claim.setdefault("status", {})


def prepare(claim: Object, old: Object | None) -> None:
    claim["status"] = {} if old is None else old.get("status") or {}


def validate(claim: Object, old: Object | None) -> Iterator[FieldError]:
    spec = claim.get("spec") or {}
    if old is not None:
        yield from fields.unchanged("spec", spec, old.get("spec"))
        return
    yield from devices.claim_errors("spec", spec)


def validate_status(claim: Object, old: Object | None) -> Iterator[FieldError]:
    status, stored = claim.get("status") or {}, (old or {}).get("status") or {}
    reserved = status.get("reservedFor") or []
    yield from devices.limited("status.reservedFor", reserved, RESERVED_LIMIT)
    seen: set[str] = set()
    for i, consumer in enumerate(reserved):
        path = f"status.reservedFor[{i}]"
        for field in ("resource", "name", "uid"):
            if not consumer.get(field):
                yield required(f"{path}.{field}")
        if consumer.get("uid") in seen:
            yield duplicate(path, consumer.get("uid"))
        seen.add(consumer.get("uid") or "")
    allocation = status.get("allocation")
    if allocation is None:
        if reserved:
            yield forbidden("status.reservedFor", "may not be specified when `allocated` is not set")
        if stored.get("allocation") is not None and reserved:
            yield forbidden("status.allocation", "may not be removed while the claim is reserved")
    elif stored.get("allocation") is not None:
        yield from fields.unchanged("status.allocation", allocation, stored["allocation"])
    yield from _device_errors(status)


def _device_errors(status: Object) -> Iterator[FieldError]:
    results = (((status.get("allocation") or {}).get("devices") or {}).get("results")) or ()
    known = {(result.get("driver"), result.get("pool"), result.get("device")) for result in results}
    seen: set[tuple[object, ...]] = set()
    for i, device in enumerate(status.get("devices") or ()):
        path = f"status.devices[{i}]"
        identity = (device.get("driver"), device.get("pool"), device.get("device"))
        if (*identity, device.get("shareID")) in seen:
            yield duplicate(path, "/".join(str(part) for part in identity))
        seen.add((*identity, device.get("shareID")))
        if identity not in known:
            yield forbidden(path, "must be an allocated device in the claim")


def _state(claim: Object) -> str:
    status = claim.get("status") or {}
    states = []
    if claim["metadata"].get("deletionTimestamp"):
        states.append("deleted")
    if status.get("allocation") is not None:
        states.append("allocated")
    elif not states:
        states.append("pending")
    if status.get("reservedFor"):
        states.append("reserved")
    return ",".join(states)


RESOURCE_CLAIM = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceClaim",
    plural="resourceclaims",
    namespaced=True,
    singular="resourceclaim",
    default=default,
    prepare=prepare,
    validate=validate,
    has_status=True,
    status_leaves=METADATA,
    validate_status=validate_status,
    table=Table(
        columns=(NAME, Column("State"), AGE),
        row=lambda claim, now: [name(claim), _state(claim), age(claim, now)],
    ),
)
