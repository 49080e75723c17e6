"""PersistentVolumeClaim (core/v1): a request for storage."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, UNSET, age, name
from mizzen.api.core import storage_warnings
from mizzen.api.core.persistentvolume import STORAGE_CLASS_ANNOTATION, phase_cell, storage_class
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.rules import access_modes, fields, resources
from mizzen.machinery import labels, names, quantity
from mizzen.machinery.errors import FieldError, Object, forbidden, invalid, not_supported, required

_FROZEN = "spec is immutable after creation except resources.requests for bound claims"
_CLAIM = "PersistentVolumeClaim"
_RESIZE_STATES = (
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
)


def default(claim: Object) -> None:
    default_spec(claim.setdefault("spec", {}))
    status = claim.setdefault("status", {})
    if not status.get("phase"):
        status["phase"] = "Pending"


def default_spec(spec: Object) -> None:
    """Defaults of a claim, also of a claim template."""
    if spec.get("volumeMode") is None:
        spec["volumeMode"] = "Filesystem"
    spec.setdefault("resources", {})


def prepare(claim: Object, old: Object | None) -> None:
    claim["status"] = {"phase": "Pending"} if old is None else old.get("status") or {}
    mirror_data_source(claim["spec"])


def mirror_data_source(spec: Object) -> None:
    """`dataSource` and `dataSourceRef` say the same, unless the source is in another namespace."""
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if reference and reference.get("namespace"):
        return
    if source is not None and reference is None:
        spec["dataSourceRef"] = dict(source)
    elif reference is not None and source is None:
        spec["dataSource"] = {field: value for field, value in reference.items() if field != "namespace"}


def validate(claim: Object, old: Object | None) -> Iterator[FieldError]:
    """On update the spec is looked at twice, as clients know it from the causes."""
    errors = list(spec_errors("spec", claim.get("spec") or {}))
    yield from errors
    if old is not None:
        yield from errors
        yield from _update_errors(claim, old)


def spec_errors(path: str, spec: Object) -> Iterator[FieldError]:
    """What must hold of a claim's spec, wherever it stands."""
    modes = spec.get("accessModes") or ()
    if not modes:
        yield required(f"{path}.accessModes", "at least 1 access mode is required")
    yield from labels.validate_selector(spec.get("selector"), f"{path}.selector")
    yield from access_modes.errors(f"{path}.accessModes", modes)
    size = _requested(spec)
    if size is None:
        yield required(f"{path}.resources[storage]")
    elif quantity.parse(size).nanos <= 0:
        yield invalid(f"{path}.resources[storage]", str(size), "must be greater than zero")
    for field in ("storageClassName", "volumeAttributesClassName"):
        if spec.get(field):
            yield from fields.subdomain(f"{path}.{field}", spec[field])
    mode = spec.get("volumeMode")
    if mode is not None and mode not in access_modes.VOLUME_MODES:
        yield not_supported(f"{path}.volumeMode", mode, access_modes.VOLUME_MODES)
    yield from _data_source_errors(path, spec)


def _requested(spec: Object) -> str | None:
    size: str | None = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    return size


def _data_source_errors(path: str, spec: Object) -> Iterator[FieldError]:
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    for field, value in (("dataSource", source), ("dataSourceRef", reference)):
        if value is None:
            continue
        where, group, kind = f"{path}.{field}", value.get("apiGroup") or "", value.get("kind") or ""
        yield from fields.required_text(f"{where}.name", value.get("name"))
        yield from fields.required_text(f"{where}.kind", kind)
        if not group and kind != _CLAIM:
            detail = f"must be '{_CLAIM}' when referencing the default apiGroup"
            yield invalid(where, kind, detail)
        if group:
            yield from fields.subdomain(f"{where}.apiGroup", group)
    if reference is None:
        return
    if reference.get("namespace"):
        if source is not None:
            detail = "may not be specified when dataSourceRef.namespace is specified"
            yield invalid(path, f"{path}.dataSource", detail)
        yield from fields.matches(f"{path}.dataSourceRef.namespace", reference["namespace"], names.dns1123_label)
    elif source is not None and source != reference:
        yield invalid(path, f"{path}.dataSource", "must match dataSourceRef")


def _update_errors(claim: Object, old: Object) -> Iterator[FieldError]:
    new, stored = claim.get("spec") or {}, old.get("spec") or {}
    own, before = claim["metadata"].get("annotations") or {}, old["metadata"].get("annotations") or {}
    if own.get(STORAGE_CLASS_ANNOTATION) != before.get(STORAGE_CLASS_ANNOTATION) and not _is_moved(claim, old):
        value = own.get(STORAGE_CLASS_ANNOTATION) or ""
        yield invalid(f"metadata.annotations.{STORAGE_CLASS_ANNOTATION}", value, fields.IMMUTABLE)
    if _frozen_part(claim, new, stored) != _frozen_part(claim, stored, stored):
        yield forbidden("spec", _FROZEN)
    size, before = _requested(new), _requested(stored)
    if size is not None and before is not None and quantity.compare(size, before) < 0:
        # A failed expansion of a bound claim may be taken back, but never below what the volume already has.
        status = old.get("status") or {}
        had = (status.get("capacity") or {}).get("storage", "0")
        if status.get("phase") != "Bound" or quantity.compare(size, had) <= 0:
            yield forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")
    yield from fields.unchanged("volumeMode", new.get("volumeMode"), stored.get("volumeMode"))
    if stored.get("volumeAttributesClassName") and not new.get("volumeAttributesClassName"):
        nothing = "nil" if new.get("volumeAttributesClassName") is None else "an empty string"
        yield forbidden("spec.volumeAttributesClassName", f"update from non-nil value to {nothing} is forbidden")


def _is_moved(claim: Object, old: Object) -> bool:
    """Whether the class named by the annotation of old is now named by the field."""
    before = (old["metadata"].get("annotations") or {}).get(STORAGE_CLASS_ANNOTATION)
    after = (claim["metadata"].get("annotations") or {}).get(STORAGE_CLASS_ANNOTATION)
    new, stored = claim["spec"].get("storageClassName"), old["spec"].get("storageClassName")
    return before is not None and stored is None and new == before and after in {None, before}


def _frozen_part(claim: Object, spec: Object, stored: Object) -> Object:
    """The part of a spec that may not change: all but what a claim may still be given or ask more of."""
    part = {field: value for field, value in spec.items() if value not in (None, {}, [])}
    is_bound = (claim.get("status") or {}).get("phase") == "Bound"
    if is_bound:
        part.pop("volumeAttributesClassName", None)
    if not stored.get("volumeName"):
        part.pop("volumeName", None)
    annotated = (claim["metadata"].get("annotations") or {}).get(STORAGE_CLASS_ANNOTATION)
    if stored.get("storageClassName") is None and annotated is None:
        part.pop("storageClassName", None)
    if is_bound and (asked := part.get("resources")):
        requests = dict(asked.get("requests") or {})
        requests.pop("storage", None)
        part["resources"] = {**asked, "requests": requests}
    return part


def validate_status(claim: Object, old: Object | None) -> Iterator[FieldError]:
    status = claim.get("status") or {}
    for resource, amount in (status.get("capacity") or {}).items():
        if quantity.parse(amount).nanos < 0:
            yield invalid(f"status.capacity[{resource}]", str(amount), "must be a valid resource quantity")
    for resource, state in (status.get("allocatedResourceStatuses") or {}).items():
        yield from _resource_errors("status.allocatedResourceStatus", resource)
        if state not in _RESIZE_STATES:
            yield not_supported("status.allocatedResourceStatus", resource, _RESIZE_STATES)
    for resource, amount in (status.get("allocatedResources") or {}).items():
        wrong = list(_resource_errors("status.allocatedResources", resource))
        yield from wrong
        if not wrong and quantity.parse(amount).nanos < 0:
            yield invalid(f"status.allocatedResources[{resource}]", str(amount), "must be a valid resource quantity")


def _resource_errors(path: str, name: str) -> Iterator[FieldError]:
    """What claims have is storage, or something that others define."""
    wrong = list(fields.qualified_name(path, name))
    yield from wrong
    if not wrong and resources.is_native(name) and name != "storage":
        yield not_supported(path, name, ("storage",))


def _row(claim: Object, now: float) -> list[object]:
    spec, status = claim["spec"], claim.get("status") or {}
    volume = spec.get("volumeName") or ""
    return [
        name(claim),
        phase_cell(claim),
        volume,
        str((status.get("capacity") or {}).get("storage", "0")) if volume else "",
        access_modes.cell(status.get("accessModes")) if volume else "",
        storage_class(claim),
        spec.get("volumeAttributesClassName") or UNSET,
        age(claim, now),
        spec.get("volumeMode") or UNSET,
    ]


PERSISTENT_VOLUME_CLAIM = Kind(
    group="",
    version="v1",
    kind="PersistentVolumeClaim",
    plural="persistentvolumeclaims",
    namespaced=True,
    singular="persistentvolumeclaim",
    short_names=("pvc",),
    default=default,
    prepare=prepare,
    validate=validate,
    warn=storage_warnings.of_claim,
    revalidates_metadata=2,
    has_status=True,
    validate_status=validate_status,
    table=Table(
        columns=(
            NAME,
            Column("Status"),
            Column("Volume"),
            Column("Capacity"),
            Column("Access Modes"),
            Column("StorageClass"),
            Column("VolumeAttributesClass"),
            AGE,
            Column("VolumeMode", priority=1),
        ),
        row=_row,
    ),
    returns_deleted=True,
)
