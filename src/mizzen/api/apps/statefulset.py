"""StatefulSet (apps/v1)."""

from mizzen.api.kind import Kind, Scale

STATEFUL_SET = Kind(
    group="apps",
    version="v1",
    kind="StatefulSet",
    plural="statefulsets",
    namespaced=True,
    singular="statefulset",
    short_names=("sts",),
    categories=("all",),
    has_status=True,
    scale=Scale(),
)
