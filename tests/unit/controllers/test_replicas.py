"""What a ReplicaSet tells of itself when it cannot do what it means to."""

import msgspec

from mizzen.api.views.apps import ReplicaSet
from mizzen.api.views.core import Pod
from mizzen.controllers import replicas
from mizzen.reconcile.plan import Delete, Patch

OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "r", "controller": True}


def test_a_failure_is_told_with_the_pods_that_are_there() -> None:
    meta = {"name": "web", "namespace": "d", "uid": "r", "generation": 2}
    selector = {"selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}}}
    body = {"metadata": meta, "spec": {"replicas": 0, **selector}, "status": {"observedGeneration": 1}}
    labels = {"namespace": "d", "labels": {"app": "web"}, "ownerReferences": [OWNER]}
    pods = tuple(msgspec.convert({"metadata": {"name": name, "uid": name, **labels}}, Pod) for name in "ab")
    seen = replicas.Snapshot(msgspec.convert(body, ReplicaSet), pods, {})
    first = replicas.REPLICA_SET.reconcile(seen, 0.0).actions[0]
    assert isinstance(first, Delete)
    [told] = first.otherwise
    assert isinstance(told, Patch)
    status = told.patch["status"]  # type: ignore[call-overload]
    assert (status["observedGeneration"], status["replicas"]) == (2, 2)
    assert status["conditions"][0]["reason"] == "FailedDelete"
