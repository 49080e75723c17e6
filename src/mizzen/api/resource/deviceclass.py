"""DeviceClass (resource.k8s.io/v1)."""

from mizzen.api.kind import Kind

DEVICE_CLASS = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="DeviceClass",
    plural="deviceclasses",
    namespaced=False,
    singular="deviceclass",
)
