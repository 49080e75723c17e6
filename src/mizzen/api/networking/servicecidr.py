"""ServiceCIDR (networking.k8s.io/v1)."""

from mizzen.api.kind import Kind

SERVICE_CIDR = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="ServiceCIDR",
    plural="servicecidrs",
    namespaced=False,
    singular="servicecidr",
    has_status=True,
)
