"""How a pod goes on whose containers are gone: the machine has been off, or the cluster down."""

from typing import Any

import msgspec
import pytest

from mizzen.agent import life, lifecycle, revival
from mizzen.agent.life import Life, Termination
from mizzen.agent.podstatus import Shown, status_of
from mizzen.agent.runtime.base import ContainerSeen, Sandbox
from mizzen.api.views.podspec import Container, Pod, PodMeta, PodSpec

NOW = 1_700_000_000.0
SHOWN = Shown(("10.0.0.1",), "mizzen")
RUNNING = {"running": {"startedAt": "2023-11-14T22:00:00Z"}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed", "containerID": "mizzen://old"}}
STARTED = {"startTime": "2023-11-14T22:00:00Z", "phase": "Running"}


def a_pod(policy: str, inits: tuple[str, ...] = (), **states: dict[str, Any]) -> Pod:
    """A pod with a container for each state, as the API remembers it."""
    entries = [
        {"name": name, "restartCount": 2, "containerID": "mizzen://old", "state": state}
        for name, state in states.items()
    ]
    spec = PodSpec(
        containers=tuple(Container(name=name, image="i") for name in states if name not in inits),
        initContainers=tuple(Container(name=name, image="i") for name in inits),
        restartPolicy=policy,
    )
    status = {
        **STARTED,
        "initContainerStatuses": [one for one in entries if one["name"] in inits],
        "containerStatuses": [one for one in entries if one["name"] not in inits],
    }
    return Pod(metadata=PodMeta(name="p", namespace="d", uid="u"), spec=spec, status=status)


def up(state: Life) -> tuple[Life, tuple[life.Instruction, ...]]:
    told: tuple[life.Instruction, ...] = ()
    for event in (life.PodChanged(state.pod), life.VolumesMounted(), life.SandboxOpened("s", ("10.1.0.1",))):
        state, told = lifecycle.step(state, event, NOW)
    return state, told


def shown(state: Life, kind: str = "containerStatuses") -> dict[str, Any]:
    entry: dict[str, Any] = status_of(state, SHOWN, state.pod.status, NOW)[kind][0]
    return entry


def test_a_container_that_ran_and_is_gone_counts_as_killed_and_is_started_again() -> None:
    begun = revival.begin(a_pod("Always", c=RUNNING), NOW)
    assert status_of(begun, SHOWN, begun.pod.status, NOW)["phase"] == "Running"
    state, told = up(begun)
    assert told == (life.Pull(state.pod.spec.containers[0]),)
    state, told = lifecycle.step(state, life.Pulled("c", "sha256:1"), NOW)
    assert told == (life.Start(state.pod.spec.containers[0], 3, "sha256:1"),)
    state, _ = lifecycle.step(state, life.Started("c", 3, "new", NOW), NOW)
    entry = shown(state)
    assert entry["restartCount"] == 3
    assert entry["lastState"]["terminated"] == {
        "exitCode": 137, "reason": "ContainerStatusUnknown", "startedAt": None, "finishedAt": None,
        "message": "The container could not be located when the pod was deleted.  The container used to be Running",
    }  # fmt: skip


def test_a_pod_that_is_not_to_be_restarted_has_failed_when_its_container_is_gone() -> None:
    begun = revival.begin(a_pod("Never", c=RUNNING), NOW)
    state, told = lifecycle.step(begun, life.PodChanged(begun.pod), NOW)
    assert (state.over, told) == ("Failed", (life.CloseSandbox("u"),))
    assert shown(state)["state"]["terminated"]["reason"] == "ContainerStatusUnknown"


def test_what_had_been_done_before_is_not_done_again() -> None:
    state, told = up(revival.begin(a_pod("OnFailure", done=DONE, c=RUNNING), NOW))
    assert [one.container.name for one in told if isinstance(one, life.Pull)] == ["c"]
    assert shown(state)["state"]["terminated"]["reason"] == "Completed"


@pytest.mark.parametrize("known", [True, False])
def test_init_containers_run_again_in_a_new_sandbox(known: bool) -> None:
    pod = a_pod("Always", ("first",), first=DONE, c=RUNNING)
    seen = ContainerSeen("old", "u", "first", 2, "i", "sha256:1", "exited", started_at=NOW)
    state, told = up(revival.revive(pod, None, (seen,) if known else (), NOW))
    assert [one.container.name for one in told if isinstance(one, life.Pull)] == ["first"]
    assert shown(state, "initContainerStatuses")["lastState"]["terminated"]["reason"] == "Completed"
    assert state.containers["first"].attempt == 3


def test_what_a_container_ended_with_before_is_remembered_while_it_waits() -> None:
    crashed = {"terminated": {"exitCode": 3, "reason": "Error", "containerID": "mizzen://old"}}
    waiting = {
        "name": "c",
        "restartCount": 4,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": crashed,
    }
    pod = msgspec.structs.replace(a_pod("Always", c=RUNNING), status={**STARTED, "containerStatuses": [waiting]})
    state = revival.begin(pod, NOW)
    assert (state.containers["c"].attempt, shown(state)["restartCount"]) == (5, 4)
    assert state.containers["c"].last == Termination("old", 3, "Error", "", 0.0, 0.0)
    assert status_of(state, SHOWN, pod.status, NOW)["phase"] == "Running"


def test_the_runtime_may_say_itself_that_it_does_not_know_how_a_container_ended() -> None:
    seen = ContainerSeen("x", "u", "c", 2, "i", "sha256:1", "exited", started_at=NOW, exit_code=255, reason="Unknown")
    state = revival.revive(a_pod("Always", c=RUNNING), None, (seen,), NOW)
    assert shown(state)["state"]["terminated"]["reason"] == "Unknown"


def test_no_container_ends_before_it_began() -> None:
    quick = ContainerSeen("x", "u", "c", 0, "i", "sha256:1", "exited", started_at=NOW + 1, finished_at=NOW)
    assert revival.termination(quick).started_at == NOW
    running = ContainerSeen("x", "u", "c", 0, "i", "sha256:1", "running", started_at=NOW)
    left = revival.revive(a_pod("Never", c=RUNNING), None, (running,), NOW).containers["c"].ended
    assert left is not None and (left.code, left.started_at) == (137, NOW)
    fresh = msgspec.structs.replace(a_pod("Never", c=RUNNING), status=None)
    state, _ = up(revival.begin(fresh, NOW))
    early = Termination("", 0, "Completed", "", NOW, NOW)
    for event in (life.Pulled("c", "sha256:1"), life.Exited("c", 0, early), life.Started("c", 0, "x", NOW + 1)):
        state, _ = lifecycle.step(state, event, NOW + 1)
    ended = state.containers["c"].ended
    assert ended is not None and (ended.started_at, ended.finished_at) == (NOW, NOW)


def test_a_container_that_could_not_be_run_has_an_id_and_started_never() -> None:
    state, _ = up(revival.begin(msgspec.structs.replace(a_pod("Never", c=RUNNING), status=None), NOW))
    for event in (life.Pulled("c", "sha256:1"), life.StartFailed("c", 0, "RunContainerError", "no such file", "x")):
        state, _ = lifecycle.step(state, event, NOW)
    entry = shown(state)
    assert entry["containerID"] == "mizzen://x"
    assert entry["state"]["terminated"] == {
        "exitCode": 128, "reason": "StartError", "message": "no such file", "containerID": "mizzen://x",
        "startedAt": "1970-01-01T00:00:00Z", "finishedAt": "2023-11-14T22:13:20Z",
    }  # fmt: skip


CRASHED = {"terminated": {"exitCode": 3, "reason": "Error", "containerID": "mizzen://old"}}
BEFORE = Termination("old", 3, "Error", "", 0.0, 0.0)


@pytest.mark.parametrize(
    ("count", "state", "last", "expected"),
    [
        (2, RUNNING, CRASHED, BEFORE),
        (1, {"waiting": {"reason": "CrashLoopBackOff"}}, CRASHED, BEFORE),
        (1, CRASHED, {}, BEFORE),
        (1, RUNNING, CRASHED, None),
        (0, CRASHED, {}, None),
    ],
)
def test_how_the_attempt_before_ended_is_known_after_the_agent_was_away(
    count: int, state: dict[str, Any], last: dict[str, Any], expected: Termination | None
) -> None:
    entry = {"name": "c", "restartCount": count, "state": state, "lastState": last}
    pod = msgspec.structs.replace(a_pod("Always", c=RUNNING), status={**STARTED, "containerStatuses": [entry]})
    running = ContainerSeen("new", "u", "c", 2, "i", "sha256:1", "running", started_at=NOW)
    sandbox = Sandbox("s", "u", None, NOW, ("10.1.0.1",))
    assert revival.revive(pod, sandbox, (running,), NOW).containers["c"].last == expected
    dead = ContainerSeen("old", "u", "c", 1, "i", "sha256:1", "exited", started_at=NOW, finished_at=NOW, exit_code=3)
    seen = revival.revive(pod, sandbox, (running, dead), NOW).containers["c"].last
    assert seen is not None and (seen.id, seen.code, seen.finished_at) == ("old", 3, NOW)
