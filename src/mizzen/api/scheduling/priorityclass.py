"""PriorityClass (scheduling.k8s.io/v1)."""

from mizzen.api.kind import Kind

PRIORITY_CLASS = Kind(
    group="scheduling.k8s.io",
    version="v1",
    kind="PriorityClass",
    plural="priorityclasses",
    namespaced=False,
    singular="priorityclass",
    short_names=("pc",),
)
