"""ConfigMap (core/v1)."""

from mizzen.api.kind import Kind

CONFIG_MAP = Kind(
    group="",
    version="v1",
    kind="ConfigMap",
    plural="configmaps",
    namespaced=True,
    singular="configmap",
    short_names=("cm",),
)
