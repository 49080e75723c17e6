"""StorageClass (storage.k8s.io/v1)."""

from mizzen.api.kind import Kind

STORAGE_CLASS = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="StorageClass",
    plural="storageclasses",
    namespaced=False,
    singular="storageclass",
    short_names=("sc",),
)
