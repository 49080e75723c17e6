"""Binding (core/v1)."""

from mizzen.api.kind import Kind

BINDING = Kind(
    group="",
    version="v1",
    kind="Binding",
    plural="bindings",
    namespaced=True,
    singular="binding",
    verbs=("create",),
)
