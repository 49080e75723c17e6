"""StorageVersionMigration (storagemigration.k8s.io/v1): rewrite all objects of a resource in the present form."""

from collections.abc import Iterator

from mizzen.api.columns import NAME, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.rules import conditions, fields
from mizzen.machinery.errors import FieldError, Object, required


def default(migration: Object) -> None:
    migration.setdefault("spec", {})
    conditions.fill(migration.setdefault("status", {}))


def prepare(migration: Object, old: Object | None) -> None:
    migration["status"] = {} if old is None else old.get("status") or {}


def validate(migration: Object, old: Object | None) -> Iterator[FieldError]:
    spec = migration.get("spec") or {}
    resource = spec.get("resource") or {}
    if old is not None:
        yield from fields.unchanged("spec", spec, old.get("spec"))
        return
    if not resource.get("resource"):
        yield required("spec.resource.resource")
    if resource.get("group"):
        yield from fields.subdomain("spec.resource.group", resource["group"])


def _resource(migration: Object) -> str:
    resource = migration["spec"].get("resource") or {}
    return ".".join(part for part in (resource.get("resource"), resource.get("group")) if part)


STORAGE_VERSION_MIGRATION = Kind(
    group="storagemigration.k8s.io",
    version="v1",
    kind="StorageVersionMigration",
    plural="storageversionmigrations",
    namespaced=False,
    singular="storageversionmigration",
    default=default,
    prepare=prepare,
    validate=validate,
    has_status=True,
    table=Table(
        columns=(NAME, Column("Resource")),
        row=lambda migration, _now: [name(migration), _resource(migration)],
    ),
)
