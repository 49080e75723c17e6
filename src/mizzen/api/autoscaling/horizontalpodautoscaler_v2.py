"""HorizontalPodAutoscaler (autoscaling/v2)."""

from mizzen.api.kind import Kind

HORIZONTAL_POD_AUTOSCALER_V2 = Kind(
    group="autoscaling",
    version="v2",
    kind="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    namespaced=True,
    singular="horizontalpodautoscaler",
    short_names=("hpa",),
    categories=("all",),
    has_status=True,
)
