"""ResourceClaim (resource.k8s.io/v1)."""

from mizzen.api.kind import Kind

RESOURCE_CLAIM = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceClaim",
    plural="resourceclaims",
    namespaced=True,
    singular="resourceclaim",
    has_status=True,
)
