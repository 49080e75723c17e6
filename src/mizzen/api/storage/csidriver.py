"""CSIDriver (storage.k8s.io/v1)."""

from mizzen.api.kind import Kind

CSI_DRIVER = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="CSIDriver",
    plural="csidrivers",
    namespaced=False,
    singular="csidriver",
)
