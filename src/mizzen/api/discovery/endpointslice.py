"""EndpointSlice (discovery.k8s.io/v1)."""

from mizzen.api.kind import Kind

ENDPOINT_SLICE = Kind(
    group="discovery.k8s.io",
    version="v1",
    kind="EndpointSlice",
    plural="endpointslices",
    namespaced=True,
    singular="endpointslice",
)
