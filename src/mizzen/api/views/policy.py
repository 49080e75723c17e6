"""Views of policy/v1 and autoscaling/v2."""

from typing import Any

from mizzen.api.views.core import IntOrString
from mizzen.api.views.meta import Condition, LabelSelector, ObjectMeta, View


class PodDisruptionBudgetSpec(View, frozen=True, gc=False):
    minAvailable: IntOrString | None = None
    maxUnavailable: IntOrString | None = None
    selector: LabelSelector | None = None
    unhealthyPodEvictionPolicy: str | None = None


class PodDisruptionBudgetStatus(View, frozen=True, gc=False):
    observedGeneration: int = 0
    disruptedPods: dict[str, str] = {}
    disruptionsAllowed: int = 0
    currentHealthy: int = 0
    desiredHealthy: int = 0
    expectedPods: int = 0
    conditions: tuple[Condition, ...] = ()


class PodDisruptionBudget(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: PodDisruptionBudgetSpec = PodDisruptionBudgetSpec()
    status: PodDisruptionBudgetStatus = PodDisruptionBudgetStatus()


class ScaleTarget(View, frozen=True, gc=False):
    apiVersion: str = ""
    kind: str = ""
    name: str = ""


class MetricTarget(View, frozen=True, gc=False):
    type: str = ""
    value: str | int | None = None
    averageValue: str | int | None = None
    averageUtilization: int | None = None


class MetricIdentifier(View, frozen=True, gc=False):
    name: str = ""
    selector: LabelSelector | None = None


class MetricSource(View, frozen=True, gc=False):
    """One metric of any type; the fields its type lacks stay at their default."""

    name: str = ""
    container: str = ""
    metric: MetricIdentifier = MetricIdentifier()
    describedObject: ScaleTarget = ScaleTarget()
    target: MetricTarget = MetricTarget()


class MetricSpec(View, frozen=True, gc=False):
    type: str = ""
    resource: MetricSource | None = None
    containerResource: MetricSource | None = None
    pods: MetricSource | None = None
    object: MetricSource | None = None
    external: MetricSource | None = None


class ScalingPolicy(View, frozen=True, gc=False):
    type: str = ""
    value: int = 0
    periodSeconds: int = 0


class ScalingRules(View, frozen=True, gc=False):
    stabilizationWindowSeconds: int | None = None
    selectPolicy: str | None = None
    policies: tuple[ScalingPolicy, ...] = ()
    tolerance: str | float | None = None


class Behavior(View, frozen=True, gc=False):
    scaleUp: ScalingRules | None = None
    scaleDown: ScalingRules | None = None


class HorizontalPodAutoscalerSpec(View, frozen=True, gc=False):
    scaleTargetRef: ScaleTarget = ScaleTarget()
    minReplicas: int = 1
    maxReplicas: int = 1
    metrics: tuple[MetricSpec, ...] = ()
    behavior: Behavior | None = None


class HorizontalPodAutoscalerStatus(View, frozen=True, gc=False):
    observedGeneration: int = 0
    lastScaleTime: str | None = None
    currentReplicas: int = 0
    desiredReplicas: int = 0
    currentMetrics: tuple[dict[str, Any], ...] = ()
    conditions: tuple[Condition, ...] = ()


class HorizontalPodAutoscaler(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: HorizontalPodAutoscalerSpec = HorizontalPodAutoscalerSpec()
    status: HorizontalPodAutoscalerStatus = HorizontalPodAutoscalerStatus()
