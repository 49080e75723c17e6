"""Simulated nodes: the life of a pod as a state machine, and a whole small trial."""

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mizzen.api.views.core import Pod
from mizzen.cluster import stages, trial
from mizzen.cluster.config import ConfigError
from mizzen.cluster.stages import Stage, Step, next_step


def pod(phase: str = "Pending", policy: str = "Always", *, ready: bool = False, **meta: Any) -> Pod:
    conditions = [{"type": "Ready", "status": "True"}] if ready else []
    spec = {"restartPolicy": policy, "containers": [{"name": "c", "image": "i"}], "nodeName": "n"}
    body = {"metadata": {"name": "p", **meta}, "spec": spec, "status": {"phase": phase, "conditions": conditions}}
    return msgspec.convert(body, Pod)


def step(one: Pod, *rules: Stage) -> Step | None:
    return next_step(one, rules, random.Random(1))


def test_a_pod_starts_runs_and_is_removed() -> None:
    assert step(pod(), Stage(startup="2s", jitter=0.0)) == Step("start", 2.0)
    assert step(pod("Running", ready=True)) is None
    leaving = {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 30}
    assert step(pod("Running", ready=True, **leaving)) == Step("remove", stages.STOP_SECONDS)


def test_a_pod_that_may_end_completes_and_one_that_may_not_starts_again() -> None:
    assert step(pod("Running", "Never", ready=True)) == Step("complete", stages.BRIEF_SECONDS)
    always_fails = Stage(runs="3s", failureRate=1.0)
    assert step(pod("Running", "Never", ready=True), always_fails) == Step("fail", 3.0, 1)
    assert step(pod("Running", "OnFailure", ready=True), always_fails) == Step("restart", 3.0, 1)
    assert step(pod("Running", ready=True), always_fails) == Step("restart", 3.0, 1)
    assert step(pod("Running", "Never", ready=True), Stage(runs="3s", exitCode=7)) == Step("fail", 3.0, 7)
    assert step(pod("Failed", "Never")) is None


def after(one: Pod, does: Step) -> Pod:
    """The pod once its step is seen."""
    body = msgspec.to_builtins(one)
    patch = stages.status_after(one, does, "10.0.0.1", "127.0.0.1", 0.0)
    known = {each["type"]: each for each in body["status"]["conditions"]}
    conditions = list((known | {each["type"]: each for each in patch["conditions"]}).values())
    return msgspec.convert({**body, "status": {**body["status"], **patch, "conditions": conditions}}, Pod)


def test_a_pod_that_keeps_failing_backs_off_and_tells_how_it_ended() -> None:
    crashing = Stage(startup=0.0, runs="1s", exitCode=7)
    one = after(pod(), Step("start", 0.0))
    rests: list[float] = []
    for _ in range(4):
        ending = step(one, crashing)
        assert ending == Step("restart", 1.0, 7)
        one = after(one, ending)
        start = step(one, crashing)
        assert start is not None
        rests.append(start.after)
        one = after(one, start)
    assert rests == [0.0, 10.0, 20.0, 40.0]
    (status,) = one.status.containerStatuses
    assert status.restartCount == 4
    assert status.lastState.terminated is not None
    assert (status.lastState.terminated.exitCode, status.lastState.terminated.reason) == (7, "Error")


def test_side_cars_run_and_init_containers_are_done_when_a_pod_runs() -> None:
    spec = {
        "containers": [{"name": "c"}],
        "initContainers": [{"name": "init"}, {"name": "side", "restartPolicy": "Always"}],
    }
    one = after(msgspec.convert({"metadata": {"name": "p"}, "spec": spec}, Pod), Step("start", 0.0))
    init, side = one.status.initContainerStatuses
    assert init.state.terminated is not None
    assert side.state.running is not None
    assert init.ready
    assert side.ready


def test_the_first_stage_that_selects_a_pod_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "stages.yaml"
    path.write_text("stages:\n- selector: {matchLabels: {app: slow}}\n  startup: 1m\n  jitter: 0\n- startup: 0\n")
    rules = stages.load(path)
    assert step(pod(labels={"app": "slow"}), *rules) == Step("start", 60.0)
    assert step(pod(labels={"app": "other"}), *rules) == Step("start", 0.0)
    path.write_text("stages:\n- startup: soon\n")
    with pytest.raises(ConfigError):
        stages.load(path)


def test_a_whole_trial_brings_up_nodes_and_pods(tmp_path: Path) -> None:
    reports: list[dict[str, Any]] = []
    quick = Stage(startup=0.01)
    trial.run(trial.Trial(tmp_path, nodes=3, pods=5, stages=(quick,)), reports.append)
    assert reports[0]["nodes"] == 3
    assert reports[0]["pods"] == 5
    assert reports[0]["pods/s to Running"] > 0
