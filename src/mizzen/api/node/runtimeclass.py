"""RuntimeClass (node.k8s.io/v1)."""

from mizzen.api.kind import Kind

RUNTIME_CLASS = Kind(
    group="node.k8s.io",
    version="v1",
    kind="RuntimeClass",
    plural="runtimeclasses",
    namespaced=False,
    singular="runtimeclass",
)
