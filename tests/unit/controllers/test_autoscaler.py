"""The autoscaler's arithmetic: growth, patience before shrinking, policies, missing metrics."""

from typing import Any

import msgspec

from mizzen.api.views.core import Pod
from mizzen.api.views.policy import HorizontalPodAutoscaler
from mizzen.client.resources import DEPLOYMENTS
from mizzen.controllers import autoscaler
from mizzen.controllers.autoscaler import Snapshot
from mizzen.reconcile.plan import Answer, Get, Patch, Plan

METRICS = Get("/apis/metrics.k8s.io/v1beta1/namespaces/d/pods")
SCALE = Get(DEPLOYMENTS.path("d", "web", "scale"))
NOW = 1_700_000_000.0


def pod(name: str) -> Pod:
    body = {
        "metadata": {"name": name, "namespace": "d", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "100m"}}}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }
    return msgspec.convert(body, Pod)


def plan(replicas: int, usage: str | None, memory: str = "", **spec: Any) -> Plan:
    target = {"type": "Utilization", "averageUtilization": 50}
    body = {
        "metadata": {"name": "web", "namespace": "d", "annotations": {autoscaler.MEMORY: memory} if memory else {}},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 1,
            "maxReplicas": 10,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            **spec,
        },
    }
    pods = tuple(pod(f"p{n}") for n in range(replicas))
    items = [
        {"metadata": {"name": one.metadata.name}, "containers": [{"name": "c", "usage": {"cpu": usage}}]}
        for one in pods
    ]
    answers = {
        SCALE: Answer(200, {"spec": {"replicas": replicas}, "status": {"selector": "app=web"}}),
        METRICS: Answer(200, {"items": items}) if usage is not None else Answer(503, "down"),
    }
    seen = Snapshot(msgspec.convert(body, HorizontalPodAutoscaler), DEPLOYMENTS, pods, answers)
    return autoscaler.reconcile(seen, NOW)


def size(made: Plan) -> int | None:
    patch = next((one for one in made.actions if isinstance(one, Patch) and one.subresource == "scale"), None)
    return None if patch is None or not isinstance(patch.patch, dict) else patch.patch["spec"]["replicas"]


def test_it_asks_for_scale_and_metrics_before_it_decides() -> None:
    seen = autoscaler.reconcile(
        Snapshot(
            msgspec.convert(
                {
                    "metadata": {"name": "web", "namespace": "d"},
                    "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
                },
                HorizontalPodAutoscaler,
            ),
            DEPLOYMENTS,
            (),
        ),
        NOW,
    )
    assert seen.ask == (SCALE,)


def test_twice_the_target_doubles_the_replicas() -> None:
    assert size(plan(2, "100m")) == 4


def test_within_the_tolerance_nothing_changes() -> None:
    assert size(plan(4, "52m")) is None


def test_growth_is_limited_by_its_policies() -> None:
    assert size(plan(2, "900m")) == 6, "the larger of plus four and plus a hundred percent"
    behavior = {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}}
    assert size(plan(2, "900m", behavior=behavior)) == 3


def test_it_shrinks_only_once_the_window_has_seen_nothing_larger() -> None:
    assert size(plan(4, "10m", memory=f"[[{NOW - 100},4,4]]")) is None
    assert size(plan(4, "10m", memory=f"[[{NOW - 500},4,4]]")) == 1


def test_the_bounds_hold() -> None:
    assert size(plan(8, "900m", maxReplicas=9)) == 9


def test_without_metrics_it_stays_and_says_why() -> None:
    made = plan(3, None)
    assert size(made) is None
    metric, note = made.notes
    assert metric.reason == "FailedGetResourceMetric"
    assert note.reason == "FailedComputeMetricsReplicas"


def conditions(made: Plan) -> dict[str, tuple[str, str]]:
    patch = next(one for one in made.actions if isinstance(one, Patch) and one.subresource == "status")
    assert isinstance(patch.patch, dict)
    return {one["type"]: (one["status"], one["reason"]) for one in patch.patch["status"]["conditions"]}


def test_conditions_say_what_limits_it() -> None:
    assert conditions(plan(2, "50m")) == {
        "AbleToScale": ("True", "ReadyForNewScale"),
        "ScalingActive": ("True", "ValidMetricFound"),
        "ScalingLimited": ("False", "DesiredWithinRange"),
    }
    assert conditions(plan(2, "100m"))["AbleToScale"] == ("True", "SucceededRescale")
    assert conditions(plan(2, "500m", maxReplicas=3))["ScalingLimited"] == ("True", "TooManyReplicas")
    held = plan(4, "10m", memory=f"[[{NOW - 100},4,4]]")
    assert conditions(held)["AbleToScale"] == ("True", "ScaleDownStabilized")


def test_a_recommendation_that_stays_the_same_is_not_written_again() -> None:
    def writes(made: Plan) -> bool:
        return any(isinstance(one, Patch) and "annotations" in str(one.patch) for one in made.actions)

    assert writes(plan(2, "50m"))
    assert not writes(plan(2, "50m", memory=f"[[{NOW - 15},2,2]]"))
    assert writes(plan(2, "50m", memory=f"[[{NOW - 150},2,2]]"))
