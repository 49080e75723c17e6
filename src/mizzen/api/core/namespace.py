"""Namespace (core/v1)."""

from mizzen.api.kind import Kind, Subresource

NAMESPACE = Kind(
    group="",
    version="v1",
    kind="Namespace",
    plural="namespaces",
    namespaced=False,
    singular="namespace",
    short_names=("ns",),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
    has_status=True,
    subresources=(Subresource("finalize", verbs=("update",), kind="Namespace"),),
)
