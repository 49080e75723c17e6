"""VolumeAttachment (storage.k8s.io/v1): the wish that a volume be attached to a node, and what became of it."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.core import persistentvolume
from mizzen.api.kind import METADATA, Column, Kind, Table
from mizzen.api.rules import fields, volume_sources
from mizzen.machinery.errors import FieldError, Object, forbidden, invalid, required, too_long

_METADATA_LIMIT = 256 << 10
_MESSAGE_LIMIT = 1024
_ONE_SOURCE = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"


def default(attachment: Object) -> None:
    inline = ((attachment.get("spec") or {}).get("source") or {}).get("inlineVolumeSpec")
    if inline is not None:
        persistentvolume.default_source(inline)
    attachment.setdefault("status", {}).setdefault("attached", False)


def prepare(attachment: Object, old: Object | None) -> None:
    attachment["status"] = {"attached": False} if old is None else old.get("status") or {"attached": False}


def validate(attachment: Object, old: Object | None) -> Iterator[FieldError]:
    """On update the spec is looked at twice, as clients know it from the causes."""
    spec = attachment.get("spec") or {}
    errors = list(_spec_errors(spec))
    yield from errors
    if old is None:
        yield from volume_sources.csi_driver_name("spec.attacher", spec.get("attacher") or "")
        if (volume := (spec.get("source") or {}).get("persistentVolumeName")) is not None:
            yield from fields.subdomain("spec.source.persistentVolumeName", volume)
        return
    yield from errors
    if spec != old.get("spec"):
        yield invalid("spec", spec, fields.IMMUTABLE)


def _spec_errors(spec: Object) -> Iterator[FieldError]:
    if not spec.get("attacher"):
        yield required("spec.attacher")
    source = spec.get("source") or {}
    inline, volume = source.get("inlineVolumeSpec"), source.get("persistentVolumeName")
    if inline is None and volume is None:
        yield required("spec.source", _ONE_SOURCE)
    elif inline is not None and volume is not None:
        yield forbidden("spec.source", _ONE_SOURCE)
    elif inline is not None:
        yield from persistentvolume.inline_errors("spec.source.inlineVolumeSpec", inline)
    elif not volume:
        yield required("spec.source.persistentVolumeName", "must specify non empty persistentVolumeName")
    yield from fields.subdomain("spec.nodeName", spec.get("nodeName") or "")


def validate_status(attachment: Object, _old: Object | None) -> Iterator[FieldError]:
    """What drivers report is looked at twice, as the spec is."""
    errors = list(_status_errors(attachment.get("status") or {}))
    yield from errors
    yield from errors


def _status_errors(status: Object) -> Iterator[FieldError]:
    metadata = status.get("attachmentMetadata") or {}
    if sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items()) > _METADATA_LIMIT:
        yield too_long("status.attachmentMetadata", _METADATA_LIMIT)
    for field in ("attachError", "detachError"):
        error = status.get(field) or {}
        if len((error.get("message") or "").encode()) > _MESSAGE_LIMIT:
            yield too_long(f"status.{field}.message", _METADATA_LIMIT)
        if (code := error.get("errorCode")) is not None and code < 0:
            yield invalid(f"status.{field}.errorCode", code, "must be between 0 and 2147483647, inclusive")


TABLE = Table(
    columns=(
        NAME,
        Column("Attacher", format="name"),
        Column("PV"),
        Column("Node"),
        Column("Attached", type="boolean"),
        AGE,
    ),
    row=lambda attachment, now: [
        name(attachment),
        attachment["spec"].get("attacher", ""),
        (attachment["spec"].get("source") or {}).get("persistentVolumeName") or "",
        attachment["spec"].get("nodeName", ""),
        bool((attachment.get("status") or {}).get("attached")),
        age(attachment, now),
    ],
)

VOLUME_ATTACHMENT = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="VolumeAttachment",
    plural="volumeattachments",
    namespaced=False,
    singular="volumeattachment",
    default=default,
    prepare=prepare,
    validate=validate,
    revalidates_metadata=2,
    compares_metadata=0,
    returns_deleted=True,
    has_status=True,
    status_leaves=METADATA,
    validate_status=validate_status,
    unconditional_update=False,
    table=TABLE,
)
