"""The autoscaler's arithmetic: growth, patience before shrinking, policies, missing metrics."""

from typing import Any

import msgspec

from mizzen.api.views.core import Pod
from mizzen.api.views.policy import HorizontalPodAutoscaler
from mizzen.client.cache import Cache, Table
from mizzen.client.resources import DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS
from mizzen.controllers import autoscaler
from mizzen.controllers.autoscaler import Snapshot
from mizzen.controllers.autoscaler.controller import observe
from mizzen.machinery import times
from mizzen.reconcile.plan import Answer, Get, Patch, Plan

METRICS = Get("/apis/metrics.k8s.io/v1beta1/namespaces/d/pods")
SCALE = Get(DEPLOYMENTS.path("d", "web", "scale"))
NOW = 1_700_000_000.0


def pod(name: str, phase: str = "Running", ready_for: float = 3600.0) -> Pod:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": times.format(NOW - ready_for)}
    body = {
        "metadata": {"name": name, "namespace": "d", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "100m"}}}]},
        "status": {"phase": phase, "conditions": [ready], "startTime": times.format(NOW - ready_for)},
    }
    return msgspec.convert(body, Pod)


def plan(
    replicas: int,
    usage: str | None,
    memory: str = "",
    others: tuple[Pod, ...] = (),
    before: tuple[dict[str, str], ...] = (),
    **spec: Any,
) -> Plan:
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
        "status": {"conditions": before},
    }
    pods = tuple(pod(f"p{n}") for n in range(replicas))
    items = [
        {"metadata": {"name": one.metadata.name}, "containers": [{"name": "c", "usage": {"cpu": usage}}]}
        for one in pods
    ]
    answers = {
        SCALE: Answer(200, {"spec": {"replicas": replicas + len(others)}, "status": {"selector": "app=web"}}),
        METRICS: Answer(200, {"items": items}) if usage is not None else Answer(503, "down"),
    }
    seen = Snapshot(msgspec.convert(body, HorizontalPodAutoscaler), DEPLOYMENTS, (*pods, *others), answers)
    return autoscaler.reconcile(seen, NOW)


def size(made: Plan) -> int | None:
    patch = next((one for one in made.actions if isinstance(one, Patch) and one.subresource == "scale"), None)
    return None if patch is None or not isinstance(patch.patch, dict) else patch.patch["spec"]["replicas"]


def test_a_target_is_found_by_a_version_of_its_group_that_is_no_longer_served() -> None:
    cache = Cache()
    cache.learn({("apps/v1", "Deployment"): DEPLOYMENTS})
    autoscalers: Table[HorizontalPodAutoscaler] = cache.of(HORIZONTAL_POD_AUTOSCALERS, HorizontalPodAutoscaler)
    found = []
    for version in ("apps/v1", "apps/v1beta2", "other/v1"):
        target = {"apiVersion": version, "kind": "Deployment", "name": "web"}
        meta = {"name": "web", "namespace": "d", "resourceVersion": str(len(found))}
        body = {"metadata": meta, "spec": {"scaleTargetRef": target}}
        autoscalers.replace([msgspec.convert(body, HorizontalPodAutoscaler)], "1")
        seen = observe(cache, "d/web")
        found.append(seen.target if seen is not None else None)
    assert found == [DEPLOYMENTS, DEPLOYMENTS, None]


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
    assert size(plan(2, "900m")) == 4, "twice as many, or four"
    assert size(plan(1, "900m")) == 4
    assert conditions(plan(2, "900m"))["ScalingLimited"] == ("True", "ScaleUpLimit")
    assert size(plan(2, "900m", behavior={"scaleUp": {}})) == 6, "the larger of plus four and plus a hundred percent"
    behavior = {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}}
    assert size(plan(2, "900m", behavior=behavior)) == 3


def test_it_shrinks_only_once_the_window_has_seen_nothing_larger() -> None:
    assert size(plan(4, "10m", memory=f"[[{NOW - 100},4,4]]")) is None
    assert size(plan(4, "10m", memory=f"[[{NOW - 500},4,4]]")) == 1


def test_the_size_it_finds_at_first_counts_as_recommended() -> None:
    first = plan(4, "10m")
    assert size(first) is None
    assert conditions(first)["AbleToScale"] == ("True", "ScaleDownStabilized")
    assert size(plan(4, "10m", behavior={"scaleDown": {"stabilizationWindowSeconds": 0}})) == 1
    assert size(plan(2, "100m", behavior={"scaleUp": {"stabilizationWindowSeconds": 60}})) is None
    noted = next(one.patch for one in first.actions if isinstance(one, Patch) and "metadata" in one.patch)
    memory = noted["metadata"]["annotations"][autoscaler.MEMORY]
    assert memory == f"[[{NOW - 120},4,4],[{NOW},1,4]]", "so that its window passes"


def test_the_bounds_hold() -> None:
    assert size(plan(8, "900m", maxReplicas=9)) == 9


def test_without_metrics_it_stays_and_says_why() -> None:
    made = plan(3, None)
    assert size(made) is None
    metric, note = made.notes
    assert metric.reason == "FailedGetResourceMetric"
    assert "unable to fetch metrics from resource metrics API: " in metric.message
    assert note.reason == "FailedComputeMetricsReplicas"


def conditions(made: Plan) -> dict[str, tuple[str, str]]:
    patch = next(one for one in made.actions if isinstance(one, Patch) and one.subresource == "status")
    assert isinstance(patch.patch, dict)
    return {one["type"]: (one["status"], one["reason"]) for one in patch.patch["status"]["conditions"]}


def test_conditions_stay_in_their_places_and_say_what_is_so_now() -> None:
    able = {"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale", "message": "as it was"}
    active = {"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": "as it was"}
    made = plan(3, None, before=(able, active))
    patch = next(one for one in made.actions if isinstance(one, Patch) and one.subresource == "status")
    assert isinstance(patch.patch, dict)
    shown = patch.patch["status"]["conditions"]
    assert [(one["type"], one["reason"]) for one in shown] == [
        ("AbleToScale", "SucceededGetScale"),
        ("ScalingActive", "FailedGetResourceMetric"),
    ]
    assert "as it was" not in str(shown)


def test_conditions_say_what_limits_it() -> None:
    assert conditions(plan(2, "50m")) == {
        "AbleToScale": ("True", "ReadyForNewScale"),
        "ScalingActive": ("True", "ValidMetricFound"),
        "ScalingLimited": ("False", "DesiredWithinRange"),
    }
    assert conditions(plan(2, "100m"))["AbleToScale"] == ("True", "SucceededRescale")
    shrinking = {"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}}
    slow = plan(4, "10m", memory=f"[[{NOW - 500},4,4]]", behavior=shrinking)
    assert (size(slow), conditions(slow)["ScalingLimited"]) == (3, ("True", "ScaleDownLimit"))
    assert conditions(plan(2, "500m", maxReplicas=3))["ScalingLimited"] == ("True", "TooManyReplicas")
    held = plan(4, "10m", memory=f"[[{NOW - 100},4,4]]")
    assert conditions(held)["AbleToScale"] == ("True", "ScaleDownStabilized")


def test_a_recommendation_that_stays_the_same_is_not_written_again() -> None:
    def writes(made: Plan) -> bool:
        return any(isinstance(one, Patch) and "annotations" in str(one.patch) for one in made.actions)

    assert writes(plan(2, "50m"))
    assert not writes(plan(2, "50m", memory=f"[[{NOW - 15},2,2]]"))
    assert writes(plan(2, "50m", memory=f"[[{NOW - 150},2,2]]"))


def test_the_bounds_hold_even_when_no_metric_can_be_read() -> None:
    assert size(plan(1, None, minReplicas=3)) == 3
    raised = plan(12, None)
    assert size(raised) == 10
    [patch] = [one for one in raised.actions if isinstance(one, Patch) and one.subresource == "scale"]
    assert patch.note is not None
    assert patch.note.message == "New size: 10; reason: Current number of replicas above Spec.MaxReplicas"


def test_pods_that_are_not_up_count_as_idle_when_growing_and_not_at_all_when_shrinking() -> None:
    waiting = (pod("late-1", "Pending"), pod("late-2", "Pending"))
    assert size(plan(2, "100m", others=waiting)) is None, "twice the load of two is the load of four"
    assert size(plan(2, "200m", others=waiting)) == 8
    at_once = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    assert size(plan(2, "10m", others=waiting, behavior=at_once)) == 1


def test_pods_of_unknown_usage_hold_back_either_way() -> None:
    unknown = (pod("silent-1"), pod("silent-2"))
    assert size(plan(2, "100m", others=unknown)) is None, "they are idle when it would grow"
    assert size(plan(2, "10m", others=unknown)) is None, "and busy when it would shrink"


def test_cpu_measured_before_a_pod_was_ready_does_not_count() -> None:
    fresh = pod("p1", ready_for=5)
    item = {"timestamp": times.format(NOW), "window": "15s", "containers": [{"name": "c", "usage": {"cpu": "1"}}]}
    scale = Answer(200, {"spec": {"replicas": 2}, "status": {"selector": "app=web"}})
    usage = [{"metadata": {"name": name}, **item} for name in ("p0", "p1")]
    usage[0]["containers"] = [{"name": "c", "usage": {"cpu": "50m"}}]
    seen = Snapshot(autoscaler_of(), DEPLOYMENTS, (pod("p0"), fresh), {SCALE: scale, METRICS: items(usage)})
    assert size(autoscaler.reconcile(seen, NOW)) is None


def autoscaler_of(**spec: Any) -> HorizontalPodAutoscaler:
    target = {"type": "Utilization", "averageUtilization": 50}
    whole = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "maxReplicas": 10,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        **spec,
    }
    return msgspec.convert({"metadata": {"name": "web", "namespace": "d"}, "spec": whole}, HorizontalPodAutoscaler)


def items(found: list[Any]) -> Answer:
    return Answer(200, {"items": found})


def test_a_custom_metric_of_pods_counts_the_target_s_own_pods_alone() -> None:
    target = {"type": "AverageValue", "averageValue": "10"}
    one = autoscaler_of(metrics=[{"type": "Pods", "pods": {"metric": {"name": "hits"}, "target": target}}])
    values = [("p0", "20"), ("p1", "20"), ("stranger", "5000")]
    found = items([{"describedObject": {"name": name}, "value": value} for name, value in values])
    path = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/d/pods/*/hits"
    scale = Answer(200, {"spec": {"replicas": 2}, "status": {"selector": "app=web"}})
    seen = Snapshot(one, DEPLOYMENTS, (pod("p0"), pod("p1")), {SCALE: scale, Get(path): found})
    assert size(autoscaler.reconcile(seen, NOW)) == 4


def test_a_tolerance_of_its_own_replaces_the_usual_one() -> None:
    assert size(plan(4, "52m", behavior={"scaleUp": {"tolerance": "0.01"}})) == 5
    assert size(plan(4, "60m", behavior={"scaleUp": {"tolerance": "0.5"}})) is None


def test_without_a_request_there_is_no_utilization_and_it_says_which_container_lacks_one() -> None:
    bare = msgspec.convert(
        {"metadata": {"name": "bare", "labels": {"app": "web"}}, "spec": {"containers": [{"name": "c"}]}}, Pod
    )
    told = [note.message for note in plan(2, "50m", others=(bare,)).notes]
    problem = "failed to get cpu utilization: unable to get metrics for resource cpu: missing request for cpu in "
    assert told[0].startswith(problem) and told[0].endswith("of Pod bare")
    first = "invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: "
    assert told[1] == first + told[0]


def test_a_policy_counts_from_what_the_size_was_a_period_ago() -> None:
    behavior = {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}}
    grew = f"[[{NOW - 60},8,2],[{NOW - 45},8,3]]"
    assert size(plan(3, "900m", memory=grew, behavior=behavior)) == 4, "a minute after it grew it may grow again"
    grew = f"[[{NOW - 45},8,2],[{NOW - 30},8,3]]"
    assert size(plan(3, "900m", memory=grew, behavior=behavior)) is None


def test_a_young_autoscaler_waits_until_its_target_may_be_up() -> None:
    fresh = autoscaler_of()
    meta = msgspec.structs.replace(fresh.metadata, creationTimestamp=times.format(NOW - 5))
    seen = Snapshot(msgspec.structs.replace(fresh, metadata=meta), DEPLOYMENTS, ())
    assert autoscaler.reconcile(seen, NOW) == Plan(requeue_after=10.0)
