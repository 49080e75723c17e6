"""CSIStorageCapacity (storage.k8s.io/v1)."""

from mizzen.api.kind import Kind

CSI_STORAGE_CAPACITY = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="CSIStorageCapacity",
    plural="csistoragecapacities",
    namespaced=True,
    singular="csistoragecapacity",
)
