"""LimitRange (core/v1)."""

from mizzen.api.kind import Kind

LIMIT_RANGE = Kind(
    group="",
    version="v1",
    kind="LimitRange",
    plural="limitranges",
    namespaced=True,
    singular="limitrange",
    short_names=("limits",),
)
