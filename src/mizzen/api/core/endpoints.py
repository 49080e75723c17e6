"""Endpoints (core/v1)."""

from mizzen.api.kind import Kind

ENDPOINTS = Kind(
    group="",
    version="v1",
    kind="Endpoints",
    plural="endpoints",
    namespaced=True,
    singular="endpoints",
    short_names=("ep",),
)
