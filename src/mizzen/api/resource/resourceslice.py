"""ResourceSlice (resource.k8s.io/v1)."""

from mizzen.api.kind import Kind

RESOURCE_SLICE = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceSlice",
    plural="resourceslices",
    namespaced=False,
    singular="resourceslice",
)
