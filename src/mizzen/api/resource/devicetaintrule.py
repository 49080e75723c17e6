"""DeviceTaintRule (resource.k8s.io/v1)."""

from mizzen.api.kind import Kind

DEVICE_TAINT_RULE = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="DeviceTaintRule",
    plural="devicetaintrules",
    namespaced=False,
    singular="devicetaintrule",
    has_status=True,
)
