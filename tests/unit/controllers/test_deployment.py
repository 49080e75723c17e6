"""How a deployment shares out its pods while a rollout is under way."""

from typing import Any

import msgspec

from mizzen.api.views.apps import Deployment, ReplicaSet
from mizzen.controllers.deployment import revision, scaling


def replica_set(name: str, replicas: int, maximum: int, image: str) -> ReplicaSet:
    annotations = {revision.DESIRED: "10", revision.MAXIMUM: str(maximum)}
    body: dict[str, Any] = {
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": "c", "image": image}]}}},
    }
    return msgspec.convert(body, ReplicaSet)


def test_half_a_pod_is_rounded_up() -> None:
    new, old = replica_set("new", 8, 10, "b"), replica_set("old", 1, 10, "a")
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    spec = {"replicas": 25, "template": new.spec.template, "strategy": strategy}
    rollout = revision.rollout(msgspec.convert({"metadata": {"name": "d"}, "spec": spec}, Deployment), (new, old))
    # 8 of 10 become 20 of 25, 1 of 10 two and a half; what is left over goes to the largest.
    assert scaling.rescaled(rollout) == {"new": 22, "old": 3}
