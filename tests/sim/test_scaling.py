"""Numbers under every kind of trouble: autoscalers, disruption budgets, quotas."""

import math
from typing import Any

import orjson
from tests.sim.story import check
from tests.sim.test_replicas import APP, active, deployment_of, replica_set
from tests.sim.test_rollouts import ready
from tests.sim.world import Kubelet, World

from mizzen.client.resources import DEPLOYMENTS, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS, RESOURCE_QUOTAS
from mizzen.controllers import autoscaler, budgets, deployment, quotas
from mizzen.controllers.replicas import REPLICA_SET
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError, Errors, Object
from mizzen.wire.message import Request

LOAD = 350
"""Millicores that all replicas share."""


def test_an_autoscaler_stays_within_its_bounds_and_finds_the_right_size(seeds: range) -> None:
    check(seeds, scale)


def scale(seed: int) -> None:
    world = World(seed, (REPLICA_SET, deployment.CONTROLLER, autoscaler.CONTROLLER), kubelet=Kubelet(flaky=0))
    low = world.rng.randrange(1, 4)
    high = world.rng.randrange(low, 9)
    start = world.rng.randrange(low, high + 1)
    body = deployment_of(start, 1, 1, "RollingUpdate")
    requests = {"requests": {"cpu": "100m"}}
    body["spec"]["template"]["spec"]["containers"] = [{"name": "c", "image": "a", "resources": requests}]
    world.api.create(("apps", "deployments"), body)
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": _HALF}}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    spec = {"scaleTargetRef": target, "minReplicas": low, "maxReplicas": high, "metrics": [metric]}
    world.api.create(("autoscaling", "horizontalpodautoscalers"), {**_NAMED, "spec": spec})
    world.api.responders = {
        "/apis/metrics.k8s.io/v1beta1/namespaces/d/pods": lambda _request: _usage(world),
        "/apis/apps/v1/namespaces/d/deployments/web/scale": lambda request: _scale(world, request),
    }
    problems: list[str] = []

    def watch(where: Any, _old: Any, new: Any) -> None:
        if where == ("apps", "deployments") and new and not low <= new["spec"]["replicas"] <= high:
            problems.append(f"{new['spec']['replicas']} is not within {low} and {high}")

    world.api.changed = watch
    world.live(100, horizon=600)
    assert not problems, f"seed {seed}: {problems}"
    [found] = world.all(DEPLOYMENTS)
    size = found["spec"]["replicas"]
    wanted = min(high, max(low, math.ceil(LOAD / 50)))
    tolerated = abs(LOAD / size / 50 - 1) <= 0.1
    assert size == wanted or tolerated, f"seed {seed}: {size}, not {wanted} within {low} and {high}"


_HALF = {"type": "Utilization", "averageUtilization": 50}
_NAMED = {"metadata": {"name": "web", "namespace": "d"}}


def _usage(world: World) -> Object:
    names = [pod["metadata"]["name"] for pod in active(world)]
    each = f"{LOAD // max(1, len(names))}m"
    containers = [{"name": "c", "usage": {"cpu": each}}]
    return {"items": [{"metadata": {"name": name}, "containers": containers} for name in names]}


def _scale(world: World, request: Request) -> Object:
    if request.method == "PATCH":
        world.api.patch(DEPLOYMENTS, "d", "web", orjson.loads(orjson.dumps(request.body)))
    found = world.api.get(("apps", "deployments"), "d", "web")
    status = {"replicas": (found.get("status") or {}).get("replicas", 0), "selector": "app=web"}
    return {"metadata": found["metadata"], "spec": {"replicas": found["spec"]["replicas"]}, "status": status}


def test_a_budget_never_allows_more_than_its_pods_can_bear(seeds: range) -> None:
    check(seeds, disturb)


def disturb(seed: int) -> None:
    world = World(seed, (REPLICA_SET, budgets.CONTROLLER), kubelet=Kubelet(flaky=0))
    size = world.rng.randrange(2, 6)
    floor = world.rng.randrange(1, size)
    world.api.create(("apps", "replicasets"), replica_set(size))
    spec: Object = {"selector": {"matchLabels": APP}}
    spec |= world.rng.choice(({"minAvailable": floor}, {"maxUnavailable": size - floor}))
    budget = {"metadata": {"name": "web", "namespace": "d"}, "spec": spec}
    world.api.create((POD_DISRUPTION_BUDGETS.group, POD_DISRUPTION_BUDGETS.plural), budget)
    world.settle()
    problems: list[str] = []

    def watch(where: Any, _old: Any, _new: Any) -> None:
        if where == ("", "pods") and ready(world) < floor:
            problems.append(f"{ready(world)} pods serve, {floor} must")

    world.api.changed = watch
    world.resume()
    world.users = (_evict,) * 6
    world.live(120)
    assert not problems, f"seed {seed}: {problems}"
    [found] = world.all(POD_DISRUPTION_BUDGETS)
    status = found["status"]
    assert status["currentHealthy"] == size == status["expectedPods"], f"seed {seed}: {status}"
    assert status["desiredHealthy"] == floor, f"seed {seed}"
    assert status["disruptionsAllowed"] == size - floor, f"seed {seed}"
    assert not status.get("disruptedPods"), f"seed {seed}"


def _evict(world: World) -> None:
    """What the server does with an eviction: count it first, then delete the pod."""
    [budget] = world.all(POD_DISRUPTION_BUDGETS)
    status = budget.get("status") or {}
    candidates = [pod for pod in active(world) if pod["metadata"]["name"] not in (status.get("disruptedPods") or {})]
    if not candidates or status.get("disruptionsAllowed", 0) < 1:
        return
    name = world.rng.choice(candidates)["metadata"]["name"]
    disrupted = {**(status.get("disruptedPods") or {}), name: _stamp(world)}
    change = {"disruptionsAllowed": status["disruptionsAllowed"] - 1, "disruptedPods": disrupted}
    world.api.patch(POD_DISRUPTION_BUDGETS, "d", "web", {"status": change}, "status")
    world.api.delete(("", "pods"), "d", name)


def _stamp(world: World) -> str:
    return times.format(world.clock.now())


def test_a_quota_counts_what_is_there(seeds: range) -> None:
    check(seeds, count)


def count(seed: int) -> None:
    world = World(seed, (REPLICA_SET, quotas.CONTROLLER), kubelet=Kubelet(), all_kinds=True)
    body = replica_set(world.rng.randrange(4))
    requests = {"requests": {"cpu": "250m"}}
    body["spec"]["template"]["spec"]["containers"] = [{"name": "c", "image": "a", "resources": requests}]
    world.api.create(("apps", "replicasets"), body)
    hard = {"pods": "10", "requests.cpu": "4", "count/replicasets.apps": "3", "secrets": "5"}
    world.api.create(("", "resourcequotas"), {"metadata": {"name": "q", "namespace": "d"}, "spec": {"hard": hard}})
    size = world.rng.randrange(5)
    world.users = (
        lambda w: w.api.patch(REPLICA_SETS, "d", "web", {"spec": {"replicas": size}}),
        lambda w: w.api.create(("", "secrets"), {"metadata": {"name": "s", "namespace": "d"}}),
    )
    world.live(100)
    world.desks[1].wake("d/q")
    world.settle()
    [found] = world.all(RESOURCE_QUOTAS)
    cpu = {0: "0", 4: "1"}.get(size, f"{size * 250}m")
    used = {"pods": str(size), "requests.cpu": cpu, "count/replicasets.apps": "1", "secrets": "1"}
    assert len(world.all(PODS)) == size, f"seed {seed}"
    assert found["status"] == {"hard": hard, "used": used}, f"seed {seed}"


def test_a_quota_that_is_enforced_is_never_surpassed_and_leaves_no_room_unused(seeds: range) -> None:
    check(seeds, enforce)


def enforce(seed: int) -> None:
    """The server counts a pod in before it makes it; recounting must not forget that while it does not show yet."""
    world = World(seed, (REPLICA_SET, quotas.CONTROLLER), kubelet=Kubelet(flaky=0), all_kinds=True)
    hard = world.rng.randrange(1, 4)
    quota = {"metadata": {"name": "q", "namespace": "d"}, "spec": {"hard": {"pods": str(hard)}}}
    world.api.create(("", "resourcequotas"), quota)
    world.settle()
    world.api.create(("apps", "replicasets"), replica_set(hard + 2))
    world.api.refuse = lambda request: _counted_in(world, request)
    problems: list[str] = []

    def watch(where: Any, _old: Any, _new: Any) -> None:
        if where == ("", "pods") and len(world.all(PODS)) > hard:
            problems.append(f"{len(world.all(PODS))} pods, {hard} allowed")

    world.api.changed = watch
    world.resume()
    world.users = (_stop_one,) * 3
    world.live(120, horizon=200)
    world.desks[1].wake("d/q")
    world.settle(horizon=2000)
    assert not problems, f"seed {seed}: {problems}"
    assert len(world.all(PODS)) == hard, f"seed {seed}"
    assert world.all(RESOURCE_QUOTAS)[0]["status"]["used"] == {"pods": str(hard)}, f"seed {seed}"


def _counted_in(world: World, request: Request) -> ApiError | None:
    """What the server's admission does with a pod."""
    if request.method != "POST" or not request.path.endswith("/pods"):
        return None
    [quota] = world.all(RESOURCE_QUOTAS)
    used, hard = int(quota["status"]["used"]["pods"]), int(quota["status"]["hard"]["pods"])
    if used >= hard:
        return Errors.forbidden("", "pods", "", "exceeded quota")
    world.api.patch(RESOURCE_QUOTAS, "d", "q", {"status": {"used": {"pods": str(used + 1)}}}, "status")
    return None


def _stop_one(world: World) -> None:
    if pods := active(world):
        world.api.delete(("", "pods"), "d", world.rng.choice(pods)["metadata"]["name"])
