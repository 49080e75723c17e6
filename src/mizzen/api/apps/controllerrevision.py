"""ControllerRevision (apps/v1)."""

from mizzen.api.kind import Kind

CONTROLLER_REVISION = Kind(
    group="apps",
    version="v1",
    kind="ControllerRevision",
    plural="controllerrevisions",
    namespaced=True,
    singular="controllerrevision",
)
