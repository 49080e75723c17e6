"""ResourceQuota (core/v1)."""

from mizzen.api.kind import Kind

RESOURCE_QUOTA = Kind(
    group="",
    version="v1",
    kind="ResourceQuota",
    plural="resourcequotas",
    namespaced=True,
    singular="resourcequota",
    short_names=("quota",),
    has_status=True,
)
