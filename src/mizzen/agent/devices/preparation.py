"""Dynamic resources: which claims a pod needs, whether it may have them, what its containers get. Decisions only.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from mizzen.agent.devices.ledger import DeviceFailure
from mizzen.api.views.podspec import Container, Pod, Resources
from mizzen.machinery.errors import Object
from mizzen.wire.protobuf import Message


class ClaimFailure(Exception):
    """Claims that cannot be prepared, or not yet."""


class PreparedDevice(msgspec.Struct, frozen=True):
    """One device that a driver made ready; without names of requests it is for all of them."""

    PoolName: str
    DeviceName: str
    RequestNames: tuple[str, ...] = ()
    CDIDeviceIDs: tuple[str, ...] = ()


class Record(msgspec.Struct, frozen=True):
    """One claim that pods of this node use: the pods, and by driver what it made ready."""

    ClaimUID: str
    ClaimName: str
    Namespace: str
    PodUIDs: tuple[str, ...] = ()
    DriverState: dict[str, tuple[PreparedDevice, ...]] = {}
    Prepared: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.Namespace, self.ClaimName

    def with_pod(self, uid: str) -> "Record":
        """The same, used by a pod too."""
        return msgspec.structs.replace(self, PodUIDs=(*(one for one in self.PodUIDs if one != uid), uid))

    def without_pod(self, uid: str) -> "Record":
        """The same, not used by a pod any more."""
        return msgspec.structs.replace(self, PodUIDs=tuple(one for one in self.PodUIDs if one != uid))

    @property
    def message(self) -> Message:
        """The claim as drivers are told of it."""
        return {"namespace": self.Namespace, "uid": self.ClaimUID, "name": self.ClaimName}


def claims_of(pod: Pod) -> dict[str, str]:
    """The claims' names by the pod's own names for them; those that need not exist are left out.

    Raises ClaimFailure.
    """
    status = pod.status or {}
    made = {one["name"]: one.get("resourceClaimName") for one in status.get("resourceClaimStatuses") or ()}
    found = {}
    for one in pod.spec.resourceClaims or ():
        name = one.get("resourceClaimName") or made.get(one["name"])
        if name:
            found[one["name"]] = name
        elif one["name"] not in made:
            raise ClaimFailure(f"pod claim {one['name']}: no ResourceClaim was made for it yet")
    return found


def _extended(pod: Pod) -> Mapping[str, Any]:
    """The claim that the scheduler made for the extended resources of a pod."""
    return (pod.status or {}).get("extendedResourceClaimStatus") or {}


def names_of(pod: Pod) -> tuple[str, ...]:
    """Every claim that a pod needs. Raises ClaimFailure."""
    own = _extended(pod).get("resourceClaimName")
    return tuple(dict.fromkeys((*claims_of(pod).values(), *((own,) if own else ()))))


def new_record(pod: Pod, claim: Object) -> Record:
    """A claim that a pod may use, with the drivers that have to prepare it. Raises ClaimFailure."""
    meta, status = claim["metadata"], claim.get("status") or {}
    name = meta["name"]
    if not any(one.get("uid") == pod.metadata.uid for one in status.get("reservedFor") or ()):
        text = f"pod {pod.metadata.name} ({pod.metadata.uid}) is not allowed to use resource claim {name}"
        raise ClaimFailure(f"{text} ({meta['uid']})")
    if not status.get("allocation"):
        raise ClaimFailure(f"ResourceClaim {name} is not allocated")
    results = (status["allocation"].get("devices") or {}).get("results") or ()
    drivers: dict[str, tuple[PreparedDevice, ...]] = {one["driver"]: () for one in results}
    return Record(meta["uid"], name, meta["namespace"], (pod.metadata.uid,), drivers)


def answered(records: Iterable[Record], driver: str, answer: Message) -> list[Record]:
    """The records with what a driver said of all of them. Raises ClaimFailure."""
    told = {one["key"]: one["value"] for one in answer["claims"]}
    _check("NodePrepareResources", {one.ClaimUID: one for one in records}, told)
    return [
        msgspec.structs.replace(
            one, DriverState={**one.DriverState, driver: tuple(_device(d) for d in told[one.ClaimUID]["devices"])}
        )
        for one in records
    ]


def check_unprepared(records: Iterable[Record], answer: Message) -> None:
    """Whether a driver has let go of all of them. Raises ClaimFailure."""
    told = {one["key"]: one["value"] for one in answer["claims"]}
    _check("NodeUnprepareResources", {one.ClaimUID: one for one in records}, told)


def _check(call: str, asked: Mapping[str, Record], told: Mapping[str, Message]) -> None:
    for uid, one in told.items():
        if uid not in asked:
            raise ClaimFailure(f"{call} returned result for unknown claim UID {uid}")
        if one.get("error"):
            raise ClaimFailure(f"{call} failed for ResourceClaim {asked[uid].ClaimName}: {one['error']}")
    if len(told) < len(asked):
        raise ClaimFailure(f"{call} skipped {len(asked) - len(told)} ResourceClaims")


def _device(one: Message) -> PreparedDevice:
    return PreparedDevice(
        one["pool_name"], one["device_name"], tuple(one["request_names"]), tuple(one["cdi_device_ids"])
    )


def cdi_devices(pod: Pod, container: Container, records: Mapping[tuple[str, str], Record]) -> tuple[str, ...]:
    """The CDI devices that a container gets by the claims and requests that it names. Raises DeviceFailure."""
    resources = container.resources or Resources()
    wanted = [(one["name"], one.get("request") or "") for one in resources.claims or ()]
    try:
        names = claims_of(pod) if wanted else {}
    except ClaimFailure as error:
        raise DeviceFailure(str(error)) from error
    asked = [(names[name], request) for name, request in wanted if name in names]
    amounts = {**(resources.limits or {}), **(resources.requests or {})}
    extended = _extended(pod)
    asked += [
        (extended["resourceClaimName"], one["requestName"])
        for one in extended.get("requestMappings") or ()
        if one["containerName"] == container.name and one["resourceName"] in amounts
    ]
    found: dict[str, None] = {}
    for claim, request in asked:
        record = records.get((pod.metadata.namespace, claim))
        if record is None or not record.Prepared:
            raise DeviceFailure(f"ResourceClaim {claim} in namespace {pod.metadata.namespace} is not prepared")
        for _, one in _devices_for(record, request):
            found |= dict.fromkeys(one.CDIDeviceIDs)
    return tuple(found)


def _devices_for(record: Record, request: str) -> Iterator[tuple[str, PreparedDevice]]:
    """The devices of a request, or all of them, each with its driver."""
    for driver, devices in record.DriverState.items():
        for one in devices:
            names = {_base(name) for name in one.RequestNames}
            if not request or not names or _base(request) in names:
                yield driver, one


def _base(request: str) -> str:
    """The request that a subrequest is of."""
    return request.partition("/")[0]


def _prepared(
    pod: Pod, container: Container, records: Mapping[tuple[str, str], Record]
) -> Iterator[tuple[Mapping[str, str], Record]]:
    """What a container asks of the pod's claims, each with the record of a claim that is prepared."""
    try:
        names = claims_of(pod)
    except ClaimFailure:
        return
    for asked in (container.resources or Resources()).claims or ():
        record = records.get((pod.metadata.namespace, names.get(asked["name"], "")))
        if record is not None:
            yield asked, record


def health(pod: Pod, container: Container, records: Mapping[tuple[str, str], Record]) -> list[Object]:
    """A container's claims as its status shows them; how their devices are, their drivers do not tell."""
    shown = []
    for asked, record in _prepared(pod, container, records):
        request = asked.get("request") or ""
        ids = dict.fromkeys(
            next(iter(one.CDIDeviceIDs), f"{driver}/{one.PoolName}/{one.DeviceName}")
            for driver, one in _devices_for(record, request)
        )
        name = f"claim:{asked['name']}" + (f"/{request}" if request else "")
        if ids:
            shown.append({"name": name, "resources": [{"resourceID": id, "health": "Unknown"} for id in ids]})
    return shown


def account(pod: Pod, container: Container, records: Mapping[tuple[str, str], Record]) -> list[Message]:
    """A container's claims as the node accounts for them."""
    shown = []
    for asked, record in _prepared(pod, container, records):
        resources = [
            {
                "cdi_devices": [{"name": name} for name in one.CDIDeviceIDs],
                "driver_name": driver, "pool_name": one.PoolName, "device_name": one.DeviceName,
            }
            for driver, one in _devices_for(record, asked.get("request") or "")
        ]  # fmt: skip
        shown.append(
            {"claim_name": record.ClaimName, "claim_namespace": record.Namespace, "claim_resources": resources}
        )
    return shown
