"""Secret (core/v1)."""

from mizzen.api.kind import Kind

SECRET = Kind(
    group="",
    version="v1",
    kind="Secret",
    plural="secrets",
    namespaced=True,
    singular="secret",
)
