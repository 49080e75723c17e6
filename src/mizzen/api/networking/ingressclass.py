"""IngressClass (networking.k8s.io/v1)."""

from mizzen.api.kind import Kind

INGRESS_CLASS = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="IngressClass",
    plural="ingressclasses",
    namespaced=False,
    singular="ingressclass",
)
