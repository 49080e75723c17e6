"""Event (events.k8s.io/v1)."""

from mizzen.api.kind import Kind

EVENT = Kind(
    group="events.k8s.io",
    version="v1",
    kind="Event",
    plural="events",
    namespaced=True,
    singular="event",
    short_names=("ev",),
)
