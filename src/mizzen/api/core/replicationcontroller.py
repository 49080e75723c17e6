"""ReplicationController (core/v1)."""

from mizzen.api.kind import Kind, Scale

REPLICATION_CONTROLLER = Kind(
    group="",
    version="v1",
    kind="ReplicationController",
    plural="replicationcontrollers",
    namespaced=True,
    singular="replicationcontroller",
    short_names=("rc",),
    categories=("all",),
    has_status=True,
    scale=Scale(),
)
