"""Jobs and DaemonSets under every kind of trouble."""

from typing import Any

from tests.sim.story import check
from tests.sim.world import Kubelet, World, add_nodes

from mizzen.client.resources import DAEMON_SETS, JOBS, NODES, PODS
from mizzen.controllers import daemonset, garbage, job
from mizzen.machinery.errors import Object

APP = {"app": "work"}


def job_of(world: World, completions: int, parallelism: int, indexed: bool) -> Object:
    spec = {
        "completions": completions,
        "parallelism": parallelism,
        "completionMode": "Indexed" if indexed else "NonIndexed",
        "backoffLimit": 100,
        "selector": {"matchLabels": APP},
        "template": {"metadata": {"labels": APP}, "spec": {"containers": [{"name": "c"}], "restartPolicy": "Never"}},
    }
    return {"metadata": {"name": "work", "namespace": "d"}, "spec": spec}


def ends(world: World, pod: Object) -> str:
    if not world.faults_on:
        return "Succeeded"
    return world.rng.choice(("", "Succeeded", "Succeeded", "Failed"))


def test_a_job_counts_every_pod_once_and_never_runs_too_many(seeds: range) -> None:
    check(seeds, run)


def run(seed: int) -> None:
    world = World(seed, (job.CONTROLLER,), kubelet=Kubelet(outcome=ends, flaky=0))
    completions, parallelism = world.rng.randrange(1, 4), world.rng.randrange(1, 4)
    indexed = world.rng.random() < 0.5
    world.api.create(("batch", "jobs"), job_of(world, completions, parallelism, indexed))
    outcomes = {"Succeeded": 0, "Failed": 0}
    problems: list[str] = []

    def watch(where: Any, old: Any, new: Any) -> None:
        if where != ("", "pods") or new is None:
            return
        before = ((old or {}).get("status") or {}).get("phase")
        after = (new.get("status") or {}).get("phase")
        if after in outcomes and before != after:
            outcomes[after] += 1
        running = [
            pod
            for pod in world.all(PODS)
            if (pod.get("status") or {}).get("phase") not in outcomes and not pod["metadata"].get("deletionTimestamp")
        ]
        if len(running) > parallelism:
            problems.append(f"{len(running)} pods run, {parallelism} may")

    world.api.changed = watch
    world.live(150)
    assert not problems, f"seed {seed}: {problems}"
    [found] = world.all(JOBS)
    status = found["status"]
    assert any(one["type"] == "Complete" for one in status["conditions"]), f"seed {seed}: {status}"
    assert status["succeeded"] == completions, f"seed {seed}"
    assert status.get("failed", 0) == outcomes["Failed"], f"seed {seed}"
    assert outcomes["Succeeded"] == completions, f"seed {seed}"
    if indexed:
        names = {0: "0", 1: "0,1", 2: "0-2"}
        assert status["completedIndexes"] == names[completions - 1], f"seed {seed}"
    assert not any("job-tracking" in str(pod["metadata"].get("finalizers")) for pod in world.all(PODS)), f"seed {seed}"
    assert not any(world.plans(job.CONTROLLER, ["d/work"])), f"seed {seed}"


def test_pods_of_a_job_that_is_deleted_vanish_or_stay_but_never_hang(seeds: range) -> None:
    check(seeds, give_up)


def give_up(seed: int) -> None:
    controllers = (job.CONTROLLER, job.ORPHANS, garbage.CONTROLLER)
    world = World(seed, controllers, kubelet=Kubelet(outcome=ends, flaky=0), all_kinds=True)
    orphan = world.rng.random() < 0.3
    world.api.create(("batch", "jobs"), job_of(world, 3, 2, indexed=False))
    options = {"propagationPolicy": "Orphan" if orphan else world.rng.choice(("Background", "Foreground"))}
    world.users = (
        lambda w: w.api.patch(JOBS, "d", "work", {"spec": {"parallelism": 3}}),
        lambda w: w.api.delete(("batch", "jobs"), "d", "work", options),
    )
    world.live(120)
    assert not world.all(JOBS), f"seed {seed}"
    held = [pod["metadata"]["name"] for pod in world.all(PODS) if "job-tracking" in str(pod["metadata"])]
    assert not held, f"seed {seed}: {held} wait for a Job that is gone"
    assert orphan or not world.all(PODS), f"seed {seed}"
    assert not any(pod["metadata"].get("ownerReferences") for pod in world.all(PODS)), f"seed {seed}"


def test_pods_that_change_hands_are_counted_by_whoever_has_them(seeds: range) -> None:
    check(seeds, change_hands)


def change_hands(seed: int) -> None:
    """A pod without an owner is adopted and counted; one that no longer matches is let go, and waits for nobody."""
    world = World(seed, (job.CONTROLLER, job.ORPHANS), kubelet=Kubelet(outcome=_once_settled, flaky=0))
    body = job_of(world, 2, 2, indexed=False)
    world.api.create(("batch", "jobs"), body)
    world.api.create(("", "pods"), {"metadata": {"name": "found", "namespace": "d", "labels": APP}, "spec": {}})
    world.users = (_relabel,)
    world.live(100)
    [found] = world.all(JOBS)
    assert found["status"]["succeeded"] == 2, f"seed {seed}: {found['status']}"
    mine = [pod for pod in world.all(PODS) if pod["metadata"]["labels"] == APP]
    assert all(pod["metadata"]["ownerReferences"][0]["kind"] == "Job" for pod in mine), f"seed {seed}"
    held = [pod["metadata"]["name"] for pod in world.all(PODS) if "job-tracking" in str(pod["metadata"])]
    assert not held, f"seed {seed}: {held}"


def _once_settled(world: World, _pod: Object) -> str:
    return "" if world.faults_on else "Succeeded"


def _relabel(world: World) -> None:
    """A user takes a pod out of the Job."""
    if mine := [pod for pod in world.all(PODS) if pod["metadata"]["labels"] == APP]:
        name = world.rng.choice(mine)["metadata"]["name"]
        world.api.patch(PODS, "d", name, {"metadata": {"labels": {"app": "examined"}}})


def test_a_daemon_set_runs_on_every_node_that_wants_it(seeds: range) -> None:
    check(seeds, spread)


def spread(seed: int) -> None:
    world = World(seed, (daemonset.CONTROLLER,), kubelet=Pinned())
    add_nodes(world, ("n1", "n2", "n3"))
    strategy: Object = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    if world.rng.random() < 0.4:
        strategy["rollingUpdate"] = {"maxUnavailable": 0, "maxSurge": 1}

    def template(image: str) -> Object:
        return {"metadata": {"labels": APP}, "spec": {"containers": [{"name": "c", "image": image}]}}

    spec = {"selector": {"matchLabels": APP}, "template": template("a"), "updateStrategy": strategy}
    world.api.create(("apps", "daemonsets"), {"metadata": {"name": "d", "namespace": "d"}, "spec": spec})
    taint = {"spec": {"taints": [{"key": "dedicated", "effect": "NoExecute"}]}}
    world.users = (
        lambda w: w.api.patch(DAEMON_SETS, "d", "d", {"spec": {"template": template("b")}}),
        lambda w: w.api.patch(NODES, "", "n2", taint),
    )
    world.live(120)
    pods = world.all(PODS)
    assert sorted(pod["spec"]["nodeName"] for pod in pods) == ["n1", "n3"], f"seed {seed}"
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {"b"}, f"seed {seed}"
    [found] = world.all(DAEMON_SETS)
    status = found["status"]
    assert status["desiredNumberScheduled"] == status["numberReady"] == status["updatedNumberScheduled"] == 2
    assert not any(world.plans(daemonset.CONTROLLER, ["d/d"])), f"seed {seed}"


class Pinned(Kubelet):
    """Schedules daemon pods where their affinity says."""

    def advance(self, world: World, pod: Object) -> bool:
        terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        self.nodes = tuple(terms["nodeSelectorTerms"][0]["matchFields"][0]["values"])
        return super().advance(world, pod)
