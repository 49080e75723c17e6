"""ReplicaSets and Deployments under every kind of trouble."""

from functools import partial
from typing import Any

from tests.sim.story import check
from tests.sim.world import Kubelet, World

from mizzen.api.views.apps import Deployment
from mizzen.client.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from mizzen.controllers import deployment
from mizzen.controllers.replicas import REPLICA_SET
from mizzen.machinery.errors import Object

APP = {"app": "web"}


def template(image: str) -> Object:
    return {"metadata": {"labels": APP}, "spec": {"containers": [{"name": "c", "image": image}]}}


def replica_set(replicas: int) -> Object:
    spec = {"replicas": replicas, "selector": {"matchLabels": APP}, "template": template("a")}
    return {"metadata": {"name": "web", "namespace": "d"}, "spec": spec, "status": {"replicas": 0}}


def active(world: World) -> list[Object]:
    return [
        pod
        for pod in world.all(PODS)
        if not pod["metadata"].get("deletionTimestamp")
        and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
    ]


def test_a_replica_set_reaches_its_size_whatever_happens(seeds: range) -> None:
    check(seeds, resize)


def resize(seed: int) -> None:
    world = World(seed, (REPLICA_SET,), kubelet=Kubelet())
    world.api.create(("apps", "replicasets"), replica_set(world.rng.randrange(4)))
    stranger = {"metadata": {"name": "stranger", "namespace": "d", "labels": {"app": "other"}}, "spec": {}}
    orphan = {"metadata": {"name": "orphan", "namespace": "d", "labels": APP}, "spec": {}}
    world.api.create(("", "pods"), stranger)
    world.api.create(("", "pods"), orphan)
    size = world.rng.randrange(5)
    world.users = (lambda w: _scale(w, REPLICA_SETS, size), _delete_a_pod)
    most = 0

    def watch(where: Any, _old: Any, _new: Any) -> None:
        nonlocal most
        if where == ("", "pods"):
            most = max(most, len([p for p in active(world) if p["metadata"]["labels"] == APP]))

    world.api.changed = watch
    world.live(80)
    mine = [pod for pod in active(world) if pod["metadata"]["labels"] == APP]
    [rs] = world.all(REPLICA_SETS)
    assert len(mine) == size, f"seed {seed}"
    assert rs["status"].get("readyReplicas", 0) == size, f"seed {seed}"
    assert rs["status"]["replicas"] == size, f"seed {seed}"
    assert world.api.get(("", "pods"), "d", "stranger")["metadata"].get("ownerReferences") is None
    assert most <= 5, f"seed {seed}: never more pods than the largest size"
    assert not any(world.plans(REPLICA_SET, ["d/web"])), f"seed {seed}"


def deployment_of(replicas: int, surge: Any, unavailable: Any, kind: str) -> Object:
    strategy: Object = {"type": kind}
    if kind == "RollingUpdate":
        strategy["rollingUpdate"] = {"maxSurge": surge, "maxUnavailable": unavailable}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": APP},
        "template": template("a"),
        "strategy": strategy,
        "revisionHistoryLimit": 1,
    }
    return {"metadata": {"name": "web", "namespace": "d"}, "spec": spec}


def test_a_rollout_stays_within_its_bounds_and_completes(seeds: range) -> None:
    check(seeds, roll)


def roll(seed: int) -> None:
    world = World(seed, (REPLICA_SET, deployment.CONTROLLER), kubelet=Kubelet())
    replicas, surge, unavailable = world.rng.randrange(1, 5), world.rng.randrange(3), world.rng.randrange(3)
    kind = world.rng.choice(("RollingUpdate", "RollingUpdate", "Recreate"))
    world.api.create(("apps", "deployments"), deployment_of(replicas, surge, unavailable, kind))
    images = [world.rng.choice("abc") for _ in range(2)]
    world.users = tuple(partial(_roll_to, image=image) for image in images)
    problems: list[str] = []

    def watch(where: Any, old: Any, new: Any) -> None:
        if where == ("apps", "replicasets") and new is not None and old is not None:
            total = sum(rs["spec"]["replicas"] for rs in world.all(REPLICA_SETS))
            bound = replicas + (surge if kind == "RollingUpdate" else 0)
            if kind == "RollingUpdate" and total > max(bound, replicas + 1):
                problems.append(f"{total} replicas wanted, {bound} allowed")
        if kind == "Recreate" and where == ("", "pods") and new is not None:
            images = {pod["spec"]["containers"][0]["image"] for pod in active(world)}
            if len(images) > 1:
                problems.append(f"two templates at once: {images}")

    world.api.changed = watch
    world.live(150)
    assert not problems, f"seed {seed}: {problems}"
    [found] = world.all(DEPLOYMENTS)
    status = found["status"]
    assert status["observedGeneration"] == found["metadata"]["generation"], f"seed {seed}"
    assert status["updatedReplicas"] == status["availableReplicas"] == status["replicas"] == replicas, f"seed {seed}"
    assert {pod["spec"]["containers"][0]["image"] for pod in active(world)} == {images[-1]}, f"seed {seed}"
    progressing = next(one for one in status["conditions"] if one["type"] == "Progressing")
    assert progressing["reason"] == "NewReplicaSetAvailable", f"seed {seed}"
    idle = [rs for rs in world.all(REPLICA_SETS) if not rs["spec"]["replicas"]]
    assert len(idle) <= 1, f"seed {seed}: history is pruned"
    assert not any(world.plans(deployment.CONTROLLER, ["d/web"])), f"seed {seed}"
    assert world.cache.of(DEPLOYMENTS, Deployment).get("d", "web") is not None


def _scale(world: World, resource: Any, size: int) -> None:
    world.api.patch(resource, "d", "web", {"spec": {"replicas": size}})


def _roll_to(world: World, image: str) -> None:
    world.api.patch(DEPLOYMENTS, "d", "web", {"spec": {"template": template(image)}})


def _delete_a_pod(world: World) -> None:
    mine = [pod for pod in active(world) if pod["metadata"]["labels"] == APP]
    if mine:
        world.api.delete(("", "pods"), "d", world.rng.choice(mine)["metadata"]["name"])
