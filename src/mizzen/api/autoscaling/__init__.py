"""Kinds of the autoscaling group."""

from mizzen.api.autoscaling.horizontalpodautoscaler_v1 import HORIZONTAL_POD_AUTOSCALER_V1
from mizzen.api.autoscaling.horizontalpodautoscaler_v2 import HORIZONTAL_POD_AUTOSCALER_V2
from mizzen.api.kind import Kind

KINDS: tuple[Kind, ...] = (
    HORIZONTAL_POD_AUTOSCALER_V1,
    HORIZONTAL_POD_AUTOSCALER_V2,
)
