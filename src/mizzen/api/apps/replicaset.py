"""ReplicaSet (apps/v1)."""

from mizzen.api.kind import Kind, Scale

REPLICA_SET = Kind(
    group="apps",
    version="v1",
    kind="ReplicaSet",
    plural="replicasets",
    namespaced=True,
    singular="replicaset",
    short_names=("rs",),
    categories=("all",),
    has_status=True,
    scale=Scale(),
)
