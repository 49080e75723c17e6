"""NetworkPolicy (networking.k8s.io/v1)."""

from mizzen.api.kind import Kind

NETWORK_POLICY = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="NetworkPolicy",
    plural="networkpolicies",
    namespaced=True,
    singular="networkpolicy",
    short_names=("netpol",),
)
