"""CSIDriver (storage.k8s.io/v1): what a storage driver wants of nodes and of the attach controller."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, UNSET, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.rules import fields, volume_sources
from mizzen.machinery.errors import FieldError, Object, duplicate, invalid, not_supported, required

FS_GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
LIFECYCLE_MODES = ("Persistent", "Ephemeral")
SHORTEST_TOKEN = 600
LONGEST_TOKEN = 1 << 32
SHORTEST_UPDATE = 10
_DEFAULTS: Object = {
    "attachRequired": True,
    "podInfoOnMount": False,
    "storageCapacity": False,
    "fsGroupPolicy": "ReadWriteOnceWithFSType",
    "requiresRepublish": False,
    "seLinuxMount": False,
}


def default(driver: Object) -> None:
    spec = driver.setdefault("spec", {})
    for field, value in _DEFAULTS.items():
        if spec.get(field) is None:
            spec[field] = value
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]


def prepare(driver: Object, old: Object | None) -> None:
    """Drivers begin without a generation; changes count from one."""
    if old is not None and driver["spec"] != old["spec"]:
        driver["metadata"]["generation"] = (old["metadata"].get("generation") or 0) + 1


def validate(driver: Object, old: Object | None) -> Iterator[FieldError]:
    yield from volume_sources.csi_driver_name("name", name(driver))
    spec = driver.get("spec") or {}
    if spec.get("attachRequired") is None:
        yield required("spec.attachedRequired")
    for field in ("podInfoOnMount", "storageCapacity", "seLinuxMount"):
        if spec.get(field) is None:
            yield required(f"spec.{field}")
    yield from fields.one_of("spec.fsGroupPolicy", spec.get("fsGroupPolicy"), FS_GROUP_POLICIES)
    for mode in spec.get("volumeLifecycleModes") or ():
        if mode not in LIFECYCLE_MODES:
            yield not_supported("spec.volumeLifecycleModes", mode, LIFECYCLE_MODES)
    yield from _token_errors(spec.get("tokenRequests") or ())
    seconds = spec.get("nodeAllocatableUpdatePeriodSeconds")
    if seconds is not None and seconds < SHORTEST_UPDATE:
        detail = f"must be greater than or equal to {SHORTEST_UPDATE} seconds"
        yield invalid("spec.nodeAllocatableUpdatePeriodSeconds", seconds, detail)
    if old is not None:
        stored = old.get("spec") or {}
        yield from fields.unchanged("spec.attachedRequired", spec.get("attachRequired"), stored.get("attachRequired"))
        modes, before = spec.get("volumeLifecycleModes"), stored.get("volumeLifecycleModes")
        yield from fields.unchanged("spec.volumeLifecycleModes", modes, before)


def _token_errors(requests: list[Object] | tuple[()]) -> Iterator[FieldError]:
    audiences: set[str] = set()
    for i, request in enumerate(requests):
        path, audience = f"spec.tokenRequests[{i}]", request.get("audience") or ""
        if audience in audiences:
            yield duplicate(f"{path}.audience", audience)
            continue
        audiences.add(audience)
        seconds = request.get("expirationSeconds")
        if seconds is None:
            continue
        if seconds < SHORTEST_TOKEN:
            yield invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
        if seconds > LONGEST_TOKEN:
            detail = "may not specify a duration larger than 2^32 seconds"
            yield invalid(f"{path}.expirationSeconds", seconds, detail)


def _row(driver: Object, now: float) -> list[object]:
    spec = driver["spec"]
    return [
        name(driver),
        spec.get("attachRequired", True),
        bool(spec.get("podInfoOnMount")),
        bool(spec.get("storageCapacity")),
        ",".join(request.get("audience", "") for request in spec.get("tokenRequests") or ()) or UNSET,
        bool(spec.get("requiresRepublish")),
        ",".join(spec.get("volumeLifecycleModes") or ()) or "<none>",
        age(driver, now),
    ]


CSI_DRIVER = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="CSIDriver",
    plural="csidrivers",
    namespaced=False,
    singular="csidriver",
    default=default,
    prepare=prepare,
    validate=validate,
    revalidates_metadata=0,
    returns_deleted=True,
    unconditional_update=False,
    table=Table(
        columns=(
            NAME,
            Column("AttachRequired", type="boolean"),
            Column("PodInfoOnMount", type="boolean"),
            Column("StorageCapacity", type="boolean"),
            Column("TokenRequests"),
            Column("RequiresRepublish", type="boolean"),
            Column("Modes"),
            AGE,
        ),
        row=_row,
    ),
)
