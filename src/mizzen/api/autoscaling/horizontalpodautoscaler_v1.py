"""HorizontalPodAutoscaler (autoscaling/v1)."""

from mizzen.api.kind import Kind

HORIZONTAL_POD_AUTOSCALER_V1 = Kind(
    group="autoscaling",
    version="v1",
    kind="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    namespaced=True,
    singular="horizontalpodautoscaler",
    short_names=("hpa",),
    categories=("all",),
    has_status=True,
)
