"""APIService (apiregistration.k8s.io/v1)."""

from mizzen.api.kind import Kind

API_SERVICE = Kind(
    group="apiregistration.k8s.io",
    version="v1",
    kind="APIService",
    plural="apiservices",
    namespaced=False,
    singular="apiservice",
    categories=("api-extensions",),
    has_status=True,
)
