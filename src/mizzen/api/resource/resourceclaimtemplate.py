"""ResourceClaimTemplate (resource.k8s.io/v1)."""

from mizzen.api.kind import Kind

RESOURCE_CLAIM_TEMPLATE = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceClaimTemplate",
    plural="resourceclaimtemplates",
    namespaced=True,
    singular="resourceclaimtemplate",
)
