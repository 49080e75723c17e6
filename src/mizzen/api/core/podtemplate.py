"""PodTemplate (core/v1)."""

from mizzen.api.kind import Kind

POD_TEMPLATE = Kind(
    group="",
    version="v1",
    kind="PodTemplate",
    plural="podtemplates",
    namespaced=True,
    singular="podtemplate",
)
