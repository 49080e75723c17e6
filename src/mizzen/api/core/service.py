"""Service (core/v1)."""

from mizzen.api.kind import Kind, Subresource

SERVICE = Kind(
    group="",
    version="v1",
    kind="Service",
    plural="services",
    namespaced=True,
    singular="service",
    short_names=("svc",),
    categories=("all",),
    has_status=True,
    subresources=(
        Subresource("proxy", verbs=("create", "delete", "get", "patch", "update"), kind="ServiceProxyOptions"),
    ),
)
