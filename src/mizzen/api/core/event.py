"""Event (core/v1)."""

from mizzen.api.kind import Kind

EVENT = Kind(
    group="",
    version="v1",
    kind="Event",
    plural="events",
    namespaced=True,
    singular="event",
    short_names=("ev",),
)
