"""StatefulSets under every kind of trouble: one pod per ordinal, in order."""

from typing import Any

from tests.sim.story import check
from tests.sim.world import Kubelet, World

from mizzen.client.resources import PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from mizzen.controllers import statefulset
from mizzen.machinery.errors import Object

APP = {"app": "db"}


def template(image: str) -> Object:
    return {"metadata": {"labels": APP}, "spec": {"containers": [{"name": "c", "image": image}]}}


def stateful_set(replicas: int, policy: str) -> Object:
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": APP},
        "template": template("a"),
        "serviceName": "db",
        "podManagementPolicy": policy,
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}],
    }
    return {"metadata": {"name": "db", "namespace": "d"}, "spec": spec}


def test_a_stateful_set_keeps_one_pod_per_ordinal_and_its_order(seeds: range) -> None:
    check(seeds, live)


def live(seed: int) -> None:
    world = World(seed, (statefulset.CONTROLLER,), kubelet=Kubelet(flaky=0.03))
    policy = world.rng.choice(("OrderedReady", "OrderedReady", "Parallel"))
    world.api.create(("apps", "statefulsets"), stateful_set(world.rng.randrange(1, 4), policy))
    size = world.rng.randrange(1, 4)
    image = world.rng.choice("ab")
    world.users = (
        lambda w: w.api.patch(STATEFUL_SETS, "d", "db", {"spec": {"replicas": size}}),
        lambda w: w.api.patch(STATEFUL_SETS, "d", "db", {"spec": {"template": template(image)}}),
    )
    problems: list[str] = []

    def watch(where: Any, old: Any, new: Any) -> None:
        if where != ("", "pods") or old is not None or policy == "Parallel":
            return
        number = int(new["metadata"]["name"].rpartition("-")[2])
        names = {pod["metadata"]["name"] for pod in world.all(PODS)}
        if any(f"db-{lower}" not in names for lower in range(number)):
            problems.append(f"db-{number} started before its predecessors")

    world.api.changed = watch
    world.live(150)
    assert not problems, f"seed {seed}: {problems}"
    pods = sorted(world.all(PODS), key=lambda pod: pod["metadata"]["name"])
    assert [pod["metadata"]["name"] for pod in pods] == [f"db-{n}" for n in range(size)], f"seed {seed}"
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {image}, f"seed {seed}"
    [found] = world.all(STATEFUL_SETS)
    status = found["status"]
    assert status["replicas"] == status["readyReplicas"] == status["updatedReplicas"] == size, f"seed {seed}"
    assert status["currentRevision"] == status["updateRevision"], f"seed {seed}"
    claims = {claim["metadata"]["name"] for claim in world.all(PERSISTENT_VOLUME_CLAIMS)}
    assert {f"data-db-{n}" for n in range(size)} <= claims, f"seed {seed}"
    assert not any(world.plans(statefulset.CONTROLLER, ["d/db"])), f"seed {seed}"
