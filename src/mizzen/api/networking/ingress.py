"""Ingress (networking.k8s.io/v1)."""

from mizzen.api.kind import Kind

INGRESS = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="Ingress",
    plural="ingresses",
    namespaced=True,
    singular="ingress",
    short_names=("ing",),
    has_status=True,
)
