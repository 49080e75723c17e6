"""Rollouts keep their bounds at every step: as many pods ready as promised, no more of them than allowed.

Pods never break by themselves here, so that whatever is missing is the controllers' doing.
"""

from collections import Counter
from functools import partial
from typing import Any

from tests.sim.story import check
from tests.sim.test_job import Pinned
from tests.sim.test_replicas import APP, active, deployment_of, template
from tests.sim.test_statefulset import stateful_set
from tests.sim.test_statefulset import template as database
from tests.sim.world import Kubelet, World, add_nodes

from mizzen.client.resources import (
    CONTROLLER_REVISIONS,
    DAEMON_SETS,
    DEPLOYMENTS,
    PODS,
    REPLICATION_CONTROLLERS,
    STATEFUL_SETS,
)
from mizzen.controllers import daemonset, deployment, statefulset
from mizzen.controllers.replicas import REPLICA_SET, REPLICATION_CONTROLLER
from mizzen.machinery.errors import Object


def is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


def ready(world: World) -> int:
    return sum(is_ready(pod) for pod in world.all(PODS))


def test_a_deployment_keeps_max_unavailable_and_max_surge_at_every_step(seeds: range) -> None:
    check(seeds, roll)


def test_a_delete_that_failed_does_not_hide_the_pods_that_are_there() -> None:
    roll(91102)


def roll(seed: int) -> None:
    world = World(seed, (REPLICA_SET, deployment.CONTROLLER), kubelet=Kubelet(flaky=0))
    replicas = world.rng.randrange(1, 6)
    surge, unavailable = world.rng.choice(((1, 0), (0, 1), (1, 1), (2, 1), (0, 2), ("50%", "25%")))
    world.api.create(("apps", "deployments"), deployment_of(replicas, surge, unavailable, "RollingUpdate"))
    world.settle()
    more = surge if isinstance(surge, int) else -(-replicas * 50 // 100)
    fewer = unavailable if isinstance(unavailable, int) else replicas * 25 // 100
    problems: list[str] = []

    def watch(where: Any, _old: Any, _new: Any) -> None:
        if where != ("", "pods"):
            return
        if (alive := len(active(world))) > replicas + more:
            problems.append(f"{alive} pods, {replicas}+{more} allowed")
        if (serving := ready(world)) < replicas - fewer:
            problems.append(f"{serving} pods serve, {replicas}-{fewer} promised")

    world.api.changed = watch
    world.resume()
    images = world.rng.sample("bcd", 2)
    world.users = tuple(partial(_roll_to, image=to) for to in images)
    world.live(120)
    assert not problems, f"seed {seed}: {problems[:3]}"
    assert {pod["spec"]["containers"][0]["image"] for pod in active(world)} == {images[-1]}, f"seed {seed}"
    assert ready(world) == replicas, f"seed {seed}"
    allowed = {"POST pods", "DELETE pods", "POST replicasets", "PATCH replicasets", "PATCH replicasets/status"}
    allowed |= {"DELETE replicasets", "PATCH deployments", "PATCH deployments/status"}
    assert world.writes() <= allowed, f"seed {seed}: {world.writes() - allowed}"


def _roll_to(world: World, image: str) -> None:
    world.api.patch(DEPLOYMENTS, "d", "web", {"spec": {"template": template(image)}})


def test_a_stateful_set_replaces_no_more_pods_at_once_than_allowed(seeds: range) -> None:
    check(seeds, replace)


def replace(seed: int) -> None:
    world = World(seed, (statefulset.CONTROLLER,), kubelet=Kubelet(flaky=0))
    size = world.rng.randrange(1, 5)
    body = stateful_set(size, world.rng.choice(("OrderedReady", "Parallel")))
    limit = world.rng.choice((None, 1, 2))
    partition = world.rng.randrange(size + 1)
    rolling: Object = {"partition": partition} | ({"maxUnavailable": limit} if limit else {})
    body["spec"]["updateStrategy"]["rollingUpdate"] = rolling
    world.api.create(("apps", "statefulsets"), body)
    world.settle()
    uids = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in world.all(PODS)}
    problems: list[str] = []

    def watch(where: Any, _old: Any, _new: Any) -> None:
        if where != ("", "pods"):
            return
        if (missing := size - ready(world)) > (limit or 1):
            problems.append(f"{missing} of {size} pods missing")

    world.api.changed = watch
    world.resume()
    world.users = (lambda w: w.api.patch(STATEFUL_SETS, "d", "db", {"spec": {"template": database("b")}}),)
    world.live(120)
    assert not problems, f"seed {seed}: {problems[:3]}"
    for pod in world.all(PODS):
        name, image = pod["metadata"]["name"], pod["spec"]["containers"][0]["image"]
        below = int(name.rpartition("-")[2]) < partition
        assert image == ("a" if below else "b"), f"seed {seed}: {name} runs {image}, partition {partition}"
        assert not below or uids[name] == pod["metadata"]["uid"], f"seed {seed}: {name} is below the partition"
    hasty = [one for one in world.api.requests if one.method == "DELETE" and "gracePeriodSeconds" in (one.body or {})]
    assert not hasty, f"seed {seed}: no pod is forced away, so that there are never two of an ordinal"
    allowed = {"POST pods", "DELETE pods", "PATCH pods", "POST persistentvolumeclaims", "PATCH statefulsets/status"}
    allowed |= {"POST controllerrevisions", "PATCH controllerrevisions", "DELETE controllerrevisions"}
    assert world.writes() <= allowed, f"seed {seed}: {world.writes() - allowed}"


def test_a_daemon_set_keeps_max_unavailable_and_max_surge_at_every_step(seeds: range) -> None:
    check(seeds, spread)


def spread(seed: int) -> None:
    world = World(seed, (daemonset.CONTROLLER,), kubelet=Pinned(flaky=0))
    names = ("n1", "n2", "n3", "n4")
    add_nodes(world, names)
    surge, unavailable = world.rng.choice(((0, 1), (0, 2), (1, 0), (2, 0), (0, "50%")))
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    spec = {"selector": {"matchLabels": APP}, "template": template("a"), "updateStrategy": strategy}
    world.api.create(("apps", "daemonsets"), {"metadata": {"name": "d", "namespace": "d"}, "spec": spec})
    world.settle()
    fewer = unavailable if isinstance(unavailable, int) else 2
    problems: list[str] = []

    def watch(where: Any, _old: Any, _new: Any) -> None:
        if where != ("", "pods"):
            return
        serving = {pod["spec"]["nodeName"] for pod in world.all(PODS) if is_ready(pod)}
        if len(serving) < len(names) - fewer:
            problems.append(f"only {sorted(serving)} serve, all but {fewer} should")
        on = Counter(_node(pod) for pod in active(world))
        if any(count > 2 for count in on.values()) or sum(count > 1 for count in on.values()) > surge:
            problems.append(f"{dict(on)}, surge {surge}")

    world.api.changed = watch
    world.resume()
    world.users = (lambda w: w.api.patch(DAEMON_SETS, "d", "d", {"spec": {"template": template("b")}}),)
    world.live(120)
    assert not problems, f"seed {seed}: {problems[:3]}"
    found = sorted((pod["spec"]["nodeName"], pod["spec"]["containers"][0]["image"]) for pod in world.all(PODS))
    assert found == [(name, "b") for name in names], f"seed {seed}"


def test_a_revision_under_another_name_restarts_nobody(seeds: range) -> None:
    check(seeds, copy)


def copy(seed: int) -> None:
    world = World(seed, (daemonset.CONTROLLER,), kubelet=Pinned(flaky=0))
    add_nodes(world, ("n1", "n2"))
    spec = {"selector": {"matchLabels": APP}, "template": template("a"), "updateStrategy": {"type": "RollingUpdate"}}
    world.api.create(("apps", "daemonsets"), {"metadata": {"name": "d", "namespace": "d"}, "spec": spec})
    world.settle()
    before = {pod["metadata"]["uid"] for pod in world.all(PODS)}
    [first] = world.all(CONTROLLER_REVISIONS)
    meta = {"name": "d-copy", "namespace": "d", "labels": APP, "ownerReferences": first["metadata"]["ownerReferences"]}
    copied = {"metadata": meta, "data": first["data"], "revision": 2}
    world.users = (
        lambda w: w.api.create(("apps", "controllerrevisions"), copied),
        lambda w: w.api.delete(("apps", "controllerrevisions"), "d", first["metadata"]["name"]),
    )
    world.resume()
    world.live(60)
    assert {pod["metadata"]["uid"] for pod in world.all(PODS)} == before, f"seed {seed}: nothing about the set is new"
    known = {one["metadata"]["name"]: one for one in world.all(CONTROLLER_REVISIONS)}
    assert "d-copy" in known, f"seed {seed}"
    assert known["d-copy"]["metadata"]["labels"]["controller-revision-hash"] == "copy", f"seed {seed}"
    [found] = world.all(DAEMON_SETS)
    assert found["status"]["updatedNumberScheduled"] == 2, f"seed {seed}"


def _node(pod: Object) -> str:
    terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    name: str = terms["nodeSelectorTerms"][0]["matchFields"][0]["values"][0]
    return name


def test_a_replication_controller_adopts_keeps_its_size_and_lets_go(seeds: range) -> None:
    check(seeds, replicate)


def replicate(seed: int) -> None:
    world = World(seed, (REPLICATION_CONTROLLER,), kubelet=Kubelet())
    spec = {"replicas": world.rng.randrange(4), "selector": APP, "template": template("a")}
    body = {"metadata": {"name": "web", "namespace": "d"}, "spec": spec, "status": {"replicas": 0}}
    world.api.create(("", "replicationcontrollers"), body)
    world.api.create(("", "pods"), {"metadata": {"name": "orphan", "namespace": "d", "labels": APP}, "spec": {}})
    size = world.rng.randrange(1, 4)
    world.users = (lambda w: w.api.patch(REPLICATION_CONTROLLERS, "d", "web", {"spec": {"replicas": size}}), _relabel)
    world.live(80)
    mine = [pod for pod in active(world) if pod["metadata"]["labels"] == APP]
    assert len(mine) == size, f"seed {seed}"
    assert all(pod["metadata"]["ownerReferences"][0]["kind"] == "ReplicationController" for pod in mine)
    others = [pod for pod in active(world) if pod["metadata"]["labels"] != APP]
    assert not any(pod["metadata"].get("ownerReferences") for pod in others), f"seed {seed}: they were let go"
    [found] = world.all(REPLICATION_CONTROLLERS)
    assert found["status"]["replicas"] == found["status"]["readyReplicas"] == size, f"seed {seed}"
    assert not any(world.plans(REPLICATION_CONTROLLER, ["d/web"])), f"seed {seed}"


def _relabel(world: World) -> None:
    """A user takes a pod out of the set."""
    if mine := [pod for pod in active(world) if pod["metadata"]["labels"] == APP]:
        name = world.rng.choice(mine)["metadata"]["name"]
        world.api.patch(PODS, "d", name, {"metadata": {"labels": {"app": "examined"}}})
