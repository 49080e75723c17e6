"""ComponentStatus (core/v1)."""

from mizzen.api.kind import Kind

COMPONENT_STATUS = Kind(
    group="",
    version="v1",
    kind="ComponentStatus",
    plural="componentstatuses",
    namespaced=False,
    singular="componentstatus",
    short_names=("cs",),
    verbs=("get", "list"),
)
