"""StorageVersionMigration (storagemigration.k8s.io/v1)."""

from mizzen.api.kind import Kind

STORAGE_VERSION_MIGRATION = Kind(
    group="storagemigration.k8s.io",
    version="v1",
    kind="StorageVersionMigration",
    plural="storageversionmigrations",
    namespaced=False,
    singular="storageversionmigration",
    has_status=True,
)
