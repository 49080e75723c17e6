"""CronJobs and the ends of Jobs under every kind of trouble."""

from typing import Any

from tests.sim.story import check
from tests.sim.test_job import job_of
from tests.sim.world import Kubelet, World

from mizzen.client.resources import CRON_JOBS, JOBS, PODS
from mizzen.controllers import cronjob, garbage, job
from mizzen.machinery.errors import Object

MINUTE = 60.0
NAMED = {"metadata": {"name": "tick", "namespace": "d"}}


def test_a_cron_job_starts_one_job_a_time_and_keeps_its_policy(seeds: range) -> None:
    check(seeds, tick)


def tick(seed: int) -> None:
    world = World(seed, (cronjob.CONTROLLER,))
    policy = world.rng.choice(("Allow", "Forbid", "Replace"))
    spec: Object = {"schedule": "* * * * *", "concurrencyPolicy": policy, "jobTemplate": {"spec": {"parallelism": 1}}}
    spec |= {"successfulJobsHistoryLimit": 2, "failedJobsHistoryLimit": 1}
    world.api.create((CRON_JOBS.group, CRON_JOBS.plural), {**NAMED, "spec": spec})
    problems: list[str] = []
    started: dict[str, int] = {}

    def watch(where: Any, old: Any, new: Any) -> None:
        if where != ("batch", "jobs"):
            return
        if old is None:
            name = new["metadata"]["name"]
            started[name] = started.get(name, 0) + 1
        running = [one for one in world.all(JOBS) if not _is_done(one)]
        if policy != "Allow" and len(running) > 1:
            problems.append(f"{len(running)} run under {policy}")

    world.api.changed = watch
    for _ in range(8):
        for _ in range(12):
            world._step([])
        world.clock.elapsed += 45
        _finish(world)
    world.settle(horizon=1)
    assert not problems, f"seed {seed}: {problems}"
    assert all(times == 1 for times in started.values()), f"seed {seed}: {started}"
    done = [one for one in world.all(JOBS) if _is_done(one)]
    good = [one for one in done if one["status"]["conditions"][0]["type"] == "Complete"]
    assert len(good) <= 2, f"seed {seed}: {len(good)} are kept"
    assert len(done) - len(good) <= 1, f"seed {seed}"
    world.api.patch(CRON_JOBS, "d", "tick", {"spec": {"suspend": True}})
    before = len(started)
    world.settle(horizon=10 * MINUTE)
    assert len(started) == before, f"seed {seed}: suspended, it starts nothing"
    assert not any(world.plans(cronjob.CONTROLLER, ["d/tick"])), f"seed {seed}"


def _is_done(one: Object) -> bool:
    return bool((one.get("status") or {}).get("conditions"))


def _finish(world: World) -> None:
    """Some Jobs end."""
    for one in world.all(JOBS):
        if not _is_done(one) and world.rng.random() < 0.6:
            kind = world.rng.choice(("Complete", "Complete", "Failed"))
            reason = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}[kind]
            status = {"conditions": [{"type": type_, "status": "True"} for type_ in (kind, reason)]}
            status["startTime"] = one["metadata"]["creationTimestamp"]
            if kind == "Complete":
                status["completionTime"] = status["startTime"]
            world.api.patch(JOBS, "d", one["metadata"]["name"], {"status": status}, "status")


def test_a_job_gives_up_after_its_limit_and_goes_after_its_time(seeds: range) -> None:
    check(seeds, fail)


def fail(seed: int) -> None:
    controllers = (job.CONTROLLER, job.TTL, garbage.CONTROLLER)
    world = World(seed, controllers, kubelet=Kubelet(outcome=lambda _w, _p: "Failed", flaky=0), all_kinds=True)
    body = job_of(world, 3, world.rng.randrange(1, 4), indexed=False)
    limit = world.rng.randrange(3)
    body["spec"] |= {"backoffLimit": limit, "ttlSecondsAfterFinished": 50}
    world.api.create(("batch", "jobs"), body)
    failures = 0
    verdicts: list[Object] = []

    def watch(where: Any, old: Any, new: Any) -> None:
        nonlocal failures
        if where == ("batch", "jobs") and new is not None and _is_done(new):
            verdicts[:] = new["status"]["conditions"]
        if where == ("", "pods") and new is not None:
            before, after = ((one or {}).get("status") or {} for one in (old, new))
            failures += after.get("phase") == "Failed" and before.get("phase") != "Failed"

    world.api.changed = watch
    world.live(120, horizon=10_000)
    assert {one["type"]: one.get("reason") for one in verdicts} == {
        "FailureTarget": "BackoffLimitExceeded",
        "Failed": "BackoffLimitExceeded",
    }, f"seed {seed}: {verdicts}"
    assert failures > limit, f"seed {seed}: {failures} failures, {limit} were to be borne"
    assert not world.all(JOBS), f"seed {seed}: its time is over"
    assert not world.all(PODS), f"seed {seed}: and so are its pods"
