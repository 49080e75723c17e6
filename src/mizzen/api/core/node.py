"""Node (core/v1)."""

from mizzen.api.kind import Kind, Subresource

NODE = Kind(
    group="",
    version="v1",
    kind="Node",
    plural="nodes",
    namespaced=False,
    singular="node",
    short_names=("no",),
    has_status=True,
    subresources=(Subresource("proxy", verbs=("create", "delete", "get", "patch", "update"), kind="NodeProxyOptions"),),
)
