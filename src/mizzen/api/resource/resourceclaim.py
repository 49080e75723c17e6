"""ResourceClaim (resource.k8s.io/v1): devices that pods ask for, and which they got."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import METADATA, Column, Kind, Table
from mizzen.api.resource import devices, results
from mizzen.api.rules import conditions, fields
from mizzen.machinery.errors import FieldError, Object, duplicate, forbidden, required

RESERVED_LIMIT = 256


def default(claim: Object) -> None:
    devices.default_claim(claim.setdefault("spec", {}))
    for device in claim.setdefault("status", {}).get("devices") or ():
        conditions.fill(device)


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
    allocation, reserved = status.get("allocation"), status.get("reservedFor") or []
    yield from _consumer_errors("status.reservedFor", reserved)
    got = ((allocation or {}).get("devices") or {}).get("results") or ()
    yield from results.device_errors("status.devices", status.get("devices") or [], set(map(results.identity, got)))
    if reserved and allocation is None:
        yield forbidden("status.reservedFor", "may not be specified when `allocated` is not set")
    elif claim["metadata"].get("deletionTimestamp") and not _among(reserved, stored.get("reservedFor") or []):
        detail = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
        yield forbidden("status.reservedFor", detail)
    if allocation is None:
        return
    if stored.get("allocation") is not None:
        yield from fields.unchanged("status.allocation", allocation, stored["allocation"])
    else:
        requests = devices.request_names(claim.get("spec") or {})
        yield from results.allocation_errors("status.allocation", allocation, requests)


def _among(consumers: list[Object], known: list[Object]) -> bool:
    return all(consumer in known for consumer in consumers)


def _consumer_errors(path: str, consumers: list[Object]) -> Iterator[FieldError]:
    yield from devices.limited(path, consumers, RESERVED_LIMIT)
    seen: set[str] = set()
    for i, consumer in enumerate(consumers if len(consumers) <= RESERVED_LIMIT else ()):
        for field in ("resource", "name", "uid"):
            if not consumer.get(field):
                yield required(f"{path}[{i}].{field}")
        if (uid := consumer.get("uid") or "") in seen:
            yield duplicate(f"{path}[{i}]", uid)
        seen.add(uid)


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
