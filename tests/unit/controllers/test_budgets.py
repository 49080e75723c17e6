"""How many pods a budget expects, by what owns them."""

import msgspec

from mizzen.api.views.core import Pod
from mizzen.api.views.policy import PodDisruptionBudget
from mizzen.client.cache import Cache
from mizzen.client.client import Resource
from mizzen.client.resources import POD_DISRUPTION_BUDGETS, PODS
from mizzen.controllers import budgets
from mizzen.reconcile.plan import Answer, Get, Patch

ROLLOUTS = Resource("example.com", "v1", "rollouts")


def test_the_size_of_an_owner_of_a_custom_kind_is_asked_for() -> None:
    cache = Cache()
    for watch in budgets.CONTROLLER.watches:
        cache.of(watch.resource, watch.view)
    cache.learn({("example.com/v1", "Rollout"): ROLLOUTS})
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    budget = {"metadata": {"name": "b", "namespace": "d", "resourceVersion": "1"}, "spec": spec}
    cache.of(POD_DISRUPTION_BUDGETS, PodDisruptionBudget).put(msgspec.convert(budget, PodDisruptionBudget))
    owner = {"apiVersion": "example.com/v1", "kind": "Rollout", "name": "web", "uid": "r", "controller": True}
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    for name in ("a", "b", "c"):
        meta = {"name": name, "namespace": "d", "labels": {"app": "web"}, "ownerReferences": [owner]}
        body = {"metadata": {**meta, "uid": name, "resourceVersion": "2"}, "status": ready}
        cache.of(PODS, Pod).put(msgspec.convert(body, Pod))
    seen = budgets.CONTROLLER.observe(cache, "d/b")
    question = Get("/apis/example.com/v1/namespaces/d/rollouts/web/scale")
    assert budgets.CONTROLLER.reconcile(seen, 0.0).ask == (question,)
    answer = Answer(200, {"metadata": {"uid": "r"}, "spec": {"replicas": 3}})
    [patch] = budgets.CONTROLLER.reconcile(budgets.informed(seen, {question: answer}), 0.0).actions
    assert isinstance(patch, Patch)
    status = patch.patch["status"]  # type: ignore[call-overload]
    assert (status["expectedPods"], status["desiredHealthy"], status["disruptionsAllowed"]) == (3, 2, 1)


def test_a_share_of_pods_that_nobody_owns_is_warned_of() -> None:
    labels = {"labels": {"app": "web"}, "namespace": "d", "uid": "p", "name": "p"}
    pod = msgspec.convert({"metadata": labels, "status": {"phase": "Running"}}, Pod)
    for spec, warns in (({"maxUnavailable": 1}, True), ({"minAvailable": "50%"}, True), ({"minAvailable": 1}, False)):
        meta = {"name": "b", "namespace": "d"}
        one = msgspec.convert({"metadata": meta, "spec": spec, "status": {}}, PodDisruptionBudget)
        notes = budgets.reconcile(budgets.Snapshot(one, (pod,), {}), 0.0).notes
        assert [note.reason for note in notes] == (["UnmanagedPods"] if warns else []), spec
