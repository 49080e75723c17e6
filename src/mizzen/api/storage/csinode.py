"""CSINode (storage.k8s.io/v1)."""

from mizzen.api.kind import Kind

CSI_NODE = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="CSINode",
    plural="csinodes",
    namespaced=False,
    singular="csinode",
)
