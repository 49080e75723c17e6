"""Views of policy/v1."""

from mizzen.api.views.core import IntOrString
from mizzen.api.views.meta import Condition, LabelSelector, ObjectMeta, View


class PodDisruptionBudgetSpec(View, frozen=True, gc=False):
    minAvailable: IntOrString | None = None
    maxUnavailable: IntOrString | None = None
    selector: LabelSelector | None = None
    unhealthyPodEvictionPolicy: str | None = None


class PodDisruptionBudgetStatus(View, frozen=True, gc=False):
    currentHealthy: int = 0
    desiredHealthy: int = 0
    disruptionsAllowed: int = 0
    expectedPods: int = 0
    observedGeneration: int = 0
    disruptedPods: dict[str, str] = {}
    conditions: tuple[Condition, ...] = ()


class PodDisruptionBudget(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: PodDisruptionBudgetSpec = PodDisruptionBudgetSpec()
    status: PodDisruptionBudgetStatus = PodDisruptionBudgetStatus()
