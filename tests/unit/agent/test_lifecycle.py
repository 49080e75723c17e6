"""Decisions of a pod's life, one at a time; `tests/sim/test_pod_life.py` plays whole lives."""

from dataclasses import replace

import msgspec
import pytest

from mizzen.agent import life, lifecycle, revival
from mizzen.agent.life import Life, Termination
from mizzen.agent.podstatus import Shown, status_of
from mizzen.agent.runtime.base import ContainerSeen, ProcessUser, Sandbox
from mizzen.api.views.podspec import (
    Container,
    ExecAction,
    Lifecycle,
    LifecycleHook,
    Pod,
    PodMeta,
    PodSpec,
    Probe,
    ResizePolicy,
    Resources,
    RestartExitCodes,
    RestartRule,
)

NOW = 1_700_000_000.0
SHOWN = Shown(("10.0.0.1",), "mizzen")


def a_pod(*containers: Container, **spec: object) -> Pod:
    return Pod(
        metadata=PodMeta(name="p", namespace="ns", uid="u", generation=2),
        spec=PodSpec(containers=containers or (Container(name="c", image="i"),), restartPolicy="Always", **spec),  # type: ignore[arg-type]
    )


def led(pod: Pod, *events: life.Happening, now: float = NOW) -> tuple[Life, tuple[life.Instruction, ...]]:
    """A life after some events, and the last instructions."""
    state, told = revival.begin(pod, now), ()
    for event in (life.PodChanged(pod), *events):
        state, told = lifecycle.step(state, event, now)
    return state, told


UP = (life.VolumesMounted(), life.SandboxOpened("s", ("10.1.0.1",)), life.Pulled("c", "sha256:1"))


def ended(code: int, at: float = NOW) -> Termination:
    return Termination("id", code, "Error" if code else "Completed", "", NOW, at)


def deleted(pod: Pod, grace: int) -> life.PodChanged:
    at = f"2023-11-14T22:13:{20 + grace:02d}Z"  # NOW, and the grace period
    meta = msgspec.structs.replace(pod.metadata, deletionTimestamp=at, deletionGracePeriodSeconds=grace)
    return life.PodChanged(msgspec.structs.replace(pod, metadata=meta))


def test_the_chapters_follow_each_other() -> None:
    pod = a_pod()
    assert led(pod)[1] == (life.MountVolumes(),)
    assert led(pod, UP[0])[1] == (life.OpenSandbox(),)
    assert led(pod, *UP[:2])[1] == (life.Pull(pod.spec.containers[0]),)
    assert led(pod, *UP)[1] == (life.Start(pod.spec.containers[0], 0, "sha256:1"),)


def test_what_lacks_an_object_of_the_api_tries_again_as_soon_as_that_changes() -> None:
    pod = a_pod()
    lacking = life.StartFailed("c", 0, "CreateContainerConfigError", 'secret "later" not found')
    state, told = led(pod, *UP, lacking)
    assert told == () and lifecycle.wakes_at(state, NOW) == NOW + 5
    assert lifecycle.step(state, life.ReferenceChanged(frozenset({"other"}), volumes=False), NOW)[1] == ()
    assert lifecycle.step(state, life.ReferenceChanged(frozenset({"c"}), volumes=False), NOW)[1] == (
        life.Pull(pod.spec.containers[0]),
    )
    unmounted = life.SetupFailed("volumes", "FailedMount", 'secret "later" not found')
    state, told = led(pod, unmounted)
    assert not any(isinstance(one, life.MountVolumes) for one in told)
    assert life.MountVolumes() in lifecycle.step(state, life.ReferenceChanged(frozenset(), volumes=True), NOW)[1]


@pytest.mark.parametrize(
    ("longest", "waits"), [(300.0, [10, 20, 40, 80, 160, 300, 300]), (30.0, [10, 20, 30, 30, 30, 30, 30])]
)
def test_the_second_crash_backs_off_and_the_delay_doubles_up_to_five_minutes(longest: float, waits: list[int]) -> None:
    state = replace(led(a_pod(), *UP)[0], longest_crash_delay=longest)
    now, delays = NOW, []
    for attempt in range(8):
        state, _ = lifecycle.step(state, life.Started("c", attempt, f"id{attempt}", now), now)
        state, told = lifecycle.step(state, life.Exited("c", attempt, ended(1, now)), now)
        if not any(isinstance(one, life.Pull) for one in told):
            wake = lifecycle.wakes_at(state, now)
            assert wake is not None
            delays.append(round(wake - now))
            now = wake
            state, _ = lifecycle.step(state, life.Tick(), now)
        state, _ = lifecycle.step(state, life.Pulled("c", "sha256:1"), now)
    assert delays == waits


def test_a_crash_that_is_stamped_by_a_clock_since_set_back_backs_off_no_longer_than_others() -> None:
    state, _ = led(a_pod(), *UP, life.Started("c", 0, "id", NOW), life.Exited("c", 0, ended(1)))
    state, _ = lifecycle.step(state, life.Pulled("c", "sha256:1"), NOW)
    state, _ = lifecycle.step(state, life.Started("c", 1, "id1", NOW), NOW)
    state, _ = lifecycle.step(state, life.Exited("c", 1, ended(1, NOW + 86_400)), NOW)
    assert lifecycle.wakes_at(state, NOW) == NOW + 10


def test_a_container_that_ran_for_ten_minutes_is_forgiven() -> None:
    state, _ = led(a_pod(), *UP, life.Started("c", 0, "id", NOW), life.Exited("c", 0, ended(1)))
    state, _ = lifecycle.step(state, life.Pulled("c", "sha256:1"), NOW)
    state, _ = lifecycle.step(state, life.Started("c", 1, "id1", NOW), NOW)
    later = NOW + 601
    _, told = lifecycle.step(state, life.Exited("c", 1, ended(1, later)), later)
    assert any(isinstance(one, life.Pull) for one in told)


def test_an_exit_that_overtakes_its_own_start_is_not_lost() -> None:
    state, _ = led(a_pod(), *UP, life.Exited("c", 0, ended(0)), life.Started("c", 0, "id", NOW))
    assert state.containers["c"].phase == "pulling" and state.containers["c"].last is not None


def test_restart_rules_of_a_container_come_before_the_policy() -> None:
    rule = RestartRule(action="Restart", exitCodes=RestartExitCodes(operator="In", values=(42,)))
    one = Container(name="c", image="i", restartPolicy="Never", restartPolicyRules=(rule,))
    pod = a_pod(one)
    assert led(pod, *UP, life.Started("c", 0, "id", NOW), life.Exited("c", 0, ended(42)))[0].over == ""
    stopped, _ = led(pod, *UP, life.Started("c", 0, "id", NOW), life.Exited("c", 0, ended(41)), life.SandboxClosed())
    assert stopped.over == "Failed"


def test_a_shorter_grace_period_hastens_a_stop_under_way() -> None:
    state, _ = led(a_pod(), *UP, life.Started("c", 0, "id", NOW))

    def deleted(grace: int) -> Pod:
        at = f"2023-11-14T22:13:{20 + grace:02d}Z"  # NOW, and the grace period
        meta = msgspec.structs.replace(state.pod.metadata, deletionTimestamp=at, deletionGracePeriodSeconds=grace)
        return msgspec.structs.replace(state.pod, metadata=meta)

    state, told = lifecycle.step(state, life.PodChanged(deleted(30)), NOW)
    assert told[-1] == life.Stop("c", 0, "id", 30.0)
    state, told = lifecycle.step(state, life.PodChanged(deleted(0)), NOW)
    assert told == (life.Stop("c", 0, "id", 0.0),)
    _, told = lifecycle.step(state, life.PodChanged(deleted(0)), NOW)
    assert told == ()


def test_nothing_is_woken_for_what_is_already_due() -> None:
    state, _ = led(a_pod(), UP[0], UP[1], life.PullFailed("c", "ErrImagePull", "no"))
    assert lifecycle.wakes_at(state, NOW) == NOW + 2
    assert lifecycle.wakes_at(replace(state, sandbox="opening"), NOW + 1000) is None


def test_the_status_says_why_a_pod_is_not_ready() -> None:
    gated = a_pod(Container(name="c", image="i"))
    state, _ = led(gated, *UP[:2])
    status = status_of(state, SHOWN, None, NOW)
    assert status["phase"] == "Pending" and status["observedGeneration"] == 2
    assert status["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    ready = next(one for one in status["conditions"] if one["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ContainersNotReady")
    assert ready["message"] == "containers with unready status: [c]"


def test_transition_times_and_foreign_conditions_are_kept() -> None:
    state, _ = led(a_pod(), *UP, life.Started("c", 0, "id", NOW))
    first = status_of(state, SHOWN, None, NOW)
    foreign = {"type": "example.com/gate", "status": "True", "lastTransitionTime": "2023-01-01T00:00:00Z"}
    again = status_of(state, SHOWN, {**first, "conditions": [*first["conditions"], foreign]}, NOW + 60)
    assert again["conditions"] == [*first["conditions"], foreign]
    assert again["phase"] == "Running"


def limited(memory: str, *policies: ResizePolicy) -> Container:
    amounts = Resources(requests={"memory": memory}, limits={"memory": memory})
    return Container(name="c", image="i", resources=amounts, resizePolicy=policies)


def test_changed_resources_are_given_in_place_unless_the_node_refuses_them() -> None:
    state, _ = led(a_pod(limited("1Mi")), *UP, life.Started("c", 0, "id", NOW))
    bigger = a_pod(limited("2Mi"))
    resizing, told = lifecycle.step(state, life.PodChanged(bigger), NOW)
    amounts = '{"containers":[{"name":"c","resources":{"limits":{"memory":"2Mi"},"requests":{"memory":"2Mi"}}}],'
    started = life.Emit("Normal", "ResizeStarted", f'Pod resize started: {amounts}"generation":2}}')
    assert told == (started, life.Resize(bigger.spec.containers[0], 0, "id"))
    _, told = lifecycle.step(resizing, life.Resized("c", 0, bigger.spec.containers[0].resources), NOW)
    assert told == (life.Emit("Normal", "ResizeCompleted", f'Pod resize completed: {amounts}"generation":2}}'),)
    refused, told = lifecycle.step(state, life.PodChanged(bigger, ("Deferred", "no room")), NOW)
    assert told == ()
    status = status_of(refused, SHOWN, {}, NOW)
    conditions = {one["type"]: one for one in status["conditions"]}
    assert conditions["PodResizePending"]["reason"] == "Deferred"
    assert status["allocatedResources"] == {"memory": "1Mi"}
    _, told = lifecycle.step(refused, life.PodChanged(bigger), NOW)
    assert told[-1] == life.Resize(bigger.spec.containers[0], 0, "id")


def test_a_resize_that_failed_is_shown_and_tried_again_after_a_while() -> None:
    state, _ = led(a_pod(limited("2Mi")), *UP, life.Started("c", 0, "id", NOW))
    before = state.containers["c"].resources
    state, _ = lifecycle.step(state, life.PodChanged(a_pod(limited("1Mi"))), NOW)
    state, told = lifecycle.step(state, life.Resized("c", 0, before, "too much in use"), NOW)
    amounts = '{"containers":[{"name":"c","resources":{"limits":{"memory":"1Mi"},"requests":{"memory":"1Mi"}}}],'
    text = f'Pod resize error: {amounts}"generation":2,"error":"too much in use"}}'
    assert told == (life.Emit("Warning", "ResizeError", text),)
    status = status_of(state, SHOWN, {}, NOW)
    conditions = {one["type"]: (one.get("reason"), one.get("message")) for one in status["conditions"]}
    assert conditions["PodResizeInProgress"] == ("Error", "too much in use")
    shown = status["containerStatuses"][0]
    assert (shown["resources"]["requests"], shown["allocatedResources"]) == ({"memory": "2Mi"}, {"memory": "1Mi"})
    assert lifecycle.wakes_at(state, NOW) == NOW + 30
    state, told = lifecycle.step(state, life.Tick(), NOW + 30)
    assert told == (life.Resize(limited("1Mi"), 0, "id"),)
    state, told = lifecycle.step(state, life.Resized("c", 0, before, "too much in use"), NOW + 30)
    assert told == ()
    state, _ = lifecycle.step(state, life.Tick(), NOW + 60)
    state, told = lifecycle.step(state, life.Resized("c", 0, limited("1Mi").resources), NOW + 60)
    assert [one.reason for one in told if isinstance(one, life.Emit)] == ["ResizeCompleted"]


def test_a_pod_as_a_whole_is_given_other_resources_in_place() -> None:
    small, large = (Resources(requests={"cpu": amount}, limits={"cpu": amount}) for amount in ("100m", "200m"))
    state, _ = led(a_pod(resources=small), *UP, life.Started("c", 0, "id", NOW))
    status = status_of(state, SHOWN, {}, NOW)
    assert status["resources"] == {"requests": {"cpu": "100m"}, "limits": {"cpu": "100m"}}
    assert status["allocatedResources"] == {"cpu": "100m"}
    state, told = lifecycle.step(state, life.PodChanged(a_pod(resources=large)), NOW)
    assert told[1:] == (life.ResizePod(small),)
    assert isinstance(told[0], life.Emit) and told[0].message.startswith('Pod resize started: {"resources":{"limits"')
    status = status_of(state, SHOWN, {}, NOW)
    assert any(one["type"] == "PodResizeInProgress" for one in status["conditions"])
    assert (status["resources"]["requests"], status["allocatedResources"]) == ({"cpu": "100m"}, {"cpu": "200m"})
    state, told = lifecycle.step(state, life.PodResized(large), NOW)
    assert [one.reason for one in told if isinstance(one, life.Emit)] == ["ResizeCompleted"]
    assert status_of(state, SHOWN, {}, NOW)["resources"]["requests"] == {"cpu": "200m"}
    refused, told = lifecycle.step(state, life.PodChanged(a_pod(resources=small), ("Deferred", "no")), NOW)
    assert told == () and status_of(refused, SHOWN, {}, NOW)["allocatedResources"] == {"cpu": "200m"}


def test_a_pod_without_resources_of_its_own_is_allocated_what_its_containers_ask_for_together() -> None:
    asked = Resources(requests={"cpu": "100m", "memory": "1Mi"})
    containers = (Container(name="c", image="i", resources=asked), Container(name="d", image="i", resources=asked))
    state, _ = led(a_pod(*containers), *UP)
    status = status_of(state, SHOWN, {}, NOW)
    assert status["allocatedResources"] == {"cpu": "200m", "memory": "2Mi"} and "resources" not in status


def test_a_resource_whose_policy_says_so_is_changed_by_a_restart_without_back_off() -> None:
    policy = ResizePolicy(resourceName="memory", restartPolicy="RestartContainer")
    state, _ = led(a_pod(limited("1Mi", policy)), *UP, life.Started("c", 0, "id", NOW))
    state, told = lifecycle.step(state, life.PodChanged(a_pod(limited("2Mi", policy))), NOW)
    assert isinstance(told[-1], life.Stop)
    assert any(one["type"] == "PodResizeInProgress" for one in status_of(state, SHOWN, None, NOW)["conditions"])
    state, told = lifecycle.step(state, life.Exited("c", 0, ended(143)), NOW)
    assert isinstance(told[-1], life.Pull) and state.containers["c"].attempt == 1


def restarting(state: Life) -> tuple[str, str | None]:
    conditions = status_of(state, SHOWN, None, NOW)["conditions"]
    (found,) = [one for one in conditions if one["type"] == "AllContainersRestarting"]
    return found["status"], found.get("reason")


def test_a_rule_may_end_every_container_and_begin_anew_with_the_init_containers() -> None:
    rule = RestartRule(action="RestartAllContainers", exitCodes=RestartExitCodes(operator="In", values=(42,)))
    one = Container(name="c", image="i", restartPolicy="Never", restartPolicyRules=(rule,))
    hook = Lifecycle(preStop=LifecycleHook(exec=ExecAction(command=("x",))))
    other = Container(name="d", image="i", lifecycle=hook)
    pod = a_pod(one, other, initContainers=(Container(name="init", image="i"),))
    assert restarting(led(pod, *UP[:2])[0]) == ("False", None)
    state, told = led(
        pod, *UP[:2], life.Pulled("init", "1"), life.Started("init", 0, "i0", NOW), life.Exited("init", 0, ended(0)),
        life.Pulled("c", "1"), life.Started("c", 0, "c0", NOW), life.Pulled("d", "1"),
        life.Started("d", 0, "d0", NOW), life.Exited("c", 0, ended(42)),
    )  # fmt: skip
    assert told[-1] == life.Stop("d", 0, "d0", 2.0)  # and no hook before it
    assert restarting(state) == ("True", "RestartAllContainersStarted")
    state, told = lifecycle.step(state, life.Exited("d", 0, ended(143)), NOW)
    assert [one.container.name for one in told if isinstance(one, life.Pull)] == ["init"]
    assert {name: one.attempt for name, one in state.containers.items()} == {"init": 1, "c": 1, "d": 1}
    assert state.over == "" and state.sandbox == "open" and restarting(state) == ("False", None)


def with_image(pod: Pod, image: str) -> Pod:
    one = msgspec.structs.replace(pod.spec.containers[0], image=image)
    return msgspec.structs.replace(pod, spec=msgspec.structs.replace(pod.spec, containers=(one,)))


def killings(told: tuple[life.Instruction, ...]) -> list[str]:
    return [one.message for one in told if isinstance(one, life.Emit) and one.reason == "Killing"]


def test_a_running_container_whose_image_changes_is_restarted_with_it_at_once_whatever_the_policy() -> None:
    pod = a_pod(Container(name="c", image="i", restartPolicy="Never"))
    state, _ = led(pod, *UP, life.Started("c", 0, "id", NOW))
    newer = with_image(pod, "j")
    state, told = lifecycle.step(state, life.PodChanged(newer), NOW)
    assert killings(told) == ["Container c definition changed, will be restarted"]
    assert told[-1] == life.Stop("c", 0, "id", 30.0)
    status = status_of(state, SHOWN, None, NOW)
    assert status["containerStatuses"][0]["image"] == "i"
    assert not any(one["type"] == "PodResizeInProgress" for one in status["conditions"])
    state, told = lifecycle.step(state, life.Exited("c", 0, ended(143)), NOW)
    assert told == (life.Pull(newer.spec.containers[0]),)
    state, told = lifecycle.step(state, life.Pulled("c", "sha256:2"), NOW)
    assert told == (life.Start(newer.spec.containers[0], 1, "sha256:2"),)
    state, _ = lifecycle.step(state, life.Started("c", 1, "id1", NOW), NOW)
    assert status_of(state, SHOWN, None, NOW)["containerStatuses"][0]["image"] == "j"


def test_another_image_is_pulled_without_waiting_for_the_one_that_failed() -> None:
    pod = a_pod()
    state, _ = led(pod, *UP[:2], life.PullFailed("c", "ErrImagePull", "no"))
    newer = with_image(pod, "j")
    state, told = lifecycle.step(state, life.PodChanged(newer), NOW)
    assert told == (life.Pull(newer.spec.containers[0]),)
    newest = with_image(pod, "k")
    state, told = lifecycle.step(state, life.PodChanged(newest), NOW)
    assert told == ()
    assert lifecycle.step(state, life.PullFailed("c", "ErrImagePull", "no"), NOW)[1] == (
        life.Pull(newest.spec.containers[0]),
    )
    assert lifecycle.step(state, life.Pulled("c", "sha256:1"), NOW)[1] == (life.Pull(newest.spec.containers[0]),)


@pytest.mark.parametrize(
    ("reason", "later"),
    [
        ("RegistryUnavailable", "ImagePullBackOff"), ("SignatureValidationFailed", "ImagePullBackOff"),
        ("InvalidImageName", "InvalidImageName"), ("ErrImageNeverPull", "ErrImageNeverPull"),
    ],
)  # fmt: skip
def test_only_what_is_pulled_again_is_shown_to_back_off(reason: str, later: str) -> None:
    state, _ = led(a_pod(), *UP[:2], life.PullFailed("c", reason, "no"))
    assert status_of(state, SHOWN, None, NOW)["containerStatuses"][0]["state"]["waiting"]["reason"] == reason
    state, _ = lifecycle.step(state, life.Tick(), NOW + 3)
    assert status_of(state, SHOWN, None, NOW)["containerStatuses"][0]["state"]["waiting"]["reason"] == later


def test_a_container_whose_image_volume_cannot_be_had_waits_for_that_image() -> None:
    state, _ = led(a_pod(), *UP[:2], life.PullFailed("c", "ErrImagePull", "no such image", "volume:1"))
    waiting = status_of(state, SHOWN, None, NOW)["containerStatuses"][0]["state"]["waiting"]
    assert waiting == {"reason": "ErrImagePull", "message": "no such image"}
    state, told = lifecycle.step(state, life.Tick(), NOW + 3)
    waiting = status_of(state, SHOWN, None, NOW)["containerStatuses"][0]["state"]["waiting"]
    text = 'Back-off pulling image "volume:1"'
    assert waiting == {"reason": "ImagePullBackOff", "message": f"{text}: ErrImagePull: no such image"}
    assert life.Emit("Normal", "BackOff", text, "c") in told
    state, _ = lifecycle.step(state, life.Tick(), NOW + 10)
    state, _ = lifecycle.step(state, life.PullFailed("c", "ErrImagePull", "not this one either"), NOW + 10)
    _, told = lifecycle.step(state, life.Tick(), NOW + 13)
    assert life.Emit("Normal", "BackOff", 'Back-off pulling image "i"', "c") in told


def test_a_failed_probe_says_whether_the_container_will_be_restarted() -> None:
    probe = Probe(exec=ExecAction(command=("x",)))
    for policy, text in (("Never", "Container c failed liveness probe"),
                         ("Always", "Container c failed liveness probe, will be restarted")):  # fmt: skip
        pod = a_pod(Container(name="c", image="i", livenessProbe=probe, restartPolicy=policy))
        _, told = led(pod, *UP, life.Started("c", 0, "id", NOW), life.Probed("c", 0, "liveness", False))
        assert killings(told) == [text]


def test_a_container_that_never_came_to_run_is_shown_as_lost_when_its_pod_has_ended() -> None:
    state, _ = led(a_pod(), *UP[:2], deleted(a_pod(), 30))
    shown = status_of(state, SHOWN, None, NOW)
    end = shown["containerStatuses"][0]["state"]["terminated"]
    assert shown["phase"] == "Failed" and (end["reason"], end["exitCode"]) == ("ContainerStatusUnknown", 137)
    pod = a_pod(Container(name="c", image="i"), initContainers=(Container(name="init", image="i"),))
    state, _ = led(pod, *UP[:2], deleted(pod, 30))
    waiting = {"waiting": {"reason": "PodInitializing"}}
    assert status_of(state, SHOWN, None, NOW)["containerStatuses"][0]["state"] == waiting


def test_a_container_in_back_off_shows_how_it_ended_when_its_pod_has() -> None:
    pod = a_pod()
    state, _ = led(pod, *UP, life.Started("c", 0, "id", NOW), life.Exited("c", 0, ended(1)), life.Pulled("c", "1"),
                   life.Started("c", 1, "id1", NOW), life.Exited("c", 1, ended(2)), deleted(pod, 30))  # fmt: skip
    shown = status_of(state, SHOWN, None, NOW)["containerStatuses"][0]
    assert shown["state"]["terminated"]["exitCode"] == 2 and shown["restartCount"] == 1 and shown["lastState"] == {}


def test_a_finished_pod_is_remembered_from_its_status_and_what_is_left_of_it_is_cleaned_up() -> None:
    pod = a_pod(Container(name="c", image="i", restartPolicy="Never"))
    state, _ = led(pod, *UP, life.Started("c", 0, "id", NOW), life.Exited("c", 0, ended(0)), life.SandboxClosed())
    status = status_of(state, SHOWN, None, NOW)
    known = msgspec.structs.replace(pod, status=status)
    assert status["phase"] == "Succeeded"
    again = revival.begin(known, NOW + 60)
    one = again.containers["c"]
    assert (one.phase, one.begun, one.attempt, one.ended) == ("exited", True, 0, state.containers["c"].ended)
    assert status_of(again, SHOWN, status, NOW + 60) == status
    assert lifecycle.step(again, life.PodChanged(known), NOW)[1] == (life.UnmountVolumes(),)
    left = revival.revive(known, Sandbox("s", "u", None, NOW), (), NOW)
    assert lifecycle.step(left, life.PodChanged(known), NOW)[1] == (life.CloseSandbox("s"),)


def test_the_status_shows_who_a_container_runs_as_and_what_stops_it_also_after_the_agent_has_been_away() -> None:
    pod = a_pod()
    state, _ = led(pod, *UP, life.Started("c", 0, "id", NOW, ProcessUser(1000, 2000, (2000, 3000)), "SIGUSR1"))
    status = status_of(state, SHOWN, None, NOW)
    linux = {"uid": 1000, "gid": 2000, "supplementalGroups": [2000, 3000]}
    assert status["containerStatuses"][0]["user"] == {"linux": linux}
    assert status["containerStatuses"][0]["stopSignal"] == "SIGUSR1"
    seen = ContainerSeen("id", "u", "c", 0, "i", "sha256:1", "running", started_at=NOW)
    known = msgspec.structs.replace(pod, status=status)
    again = revival.revive(known, Sandbox("s", "u", None, NOW, ("10.1.0.1",)), (seen,), NOW + 60)
    assert status_of(again, SHOWN, status, NOW + 60) == status


def test_a_pod_whose_set_up_keeps_failing_is_deleted_at_once_and_what_is_left_of_its_sandbox_is_closed() -> None:
    pod, failed = a_pod(), life.SetupFailed("sandbox", "FailedCreatePodSandBox", "no network")
    state, _ = led(pod, UP[0], failed)
    assert lifecycle.wakes_at(state, NOW) == NOW + 1
    state, told = lifecycle.step(state, deleted(pod, 30), NOW)
    assert told == (life.CloseSandbox("u"),)
    state, told = lifecycle.step(state, life.SandboxClosed(), NOW)
    assert told == (life.UnmountVolumes(),)
    untouched, told = led(pod, deleted(pod, 30))
    assert untouched.sandbox == "none" and told == ()
    _, told = lifecycle.step(untouched, life.VolumesMounted(), NOW)
    assert told == (life.UnmountVolumes(),)
    known = msgspec.structs.replace(pod, status={"startTime": "2023-11-14T22:13:20Z"})
    again = revival.begin(msgspec.structs.replace(known, metadata=deleted(pod, 30).pod.metadata), NOW)
    assert lifecycle.step(again, life.PodChanged(deleted(pod, 30).pod), NOW)[1] == (life.CloseSandbox("u"),)


def test_the_event_of_a_rejection_says_the_reason_alone() -> None:
    text = "Pod was rejected: Node didn't have enough resource: cpu, requested: 2, used: 0, capacity: 1"
    state, told = led(a_pod(), life.Rejected("OutOfcpu", text))
    assert told[0] == life.Emit("Warning", "OutOfcpu", text.removeprefix("Pod was rejected: "))
    assert status_of(state, SHOWN, None, NOW)["message"] == text


def test_a_container_that_ended_without_having_started_is_created_again_under_the_same_number() -> None:
    sandbox = Sandbox("s", "u", None, NOW, ("10.1.0.1",))
    cut_short = ContainerSeen("id", "u", "c", 0, "i", "sha256:1", "exited", exit_code=137)
    again = revival.revive(a_pod(), sandbox, (cut_short,), NOW)
    assert (again.containers["c"].phase, again.containers["c"].attempt) == ("waiting", 0)
    ran = ContainerSeen("id", "u", "c", 0, "i", "sha256:1", "exited", started_at=NOW, exit_code=137)
    assert revival.revive(a_pod(), sandbox, (ran,), NOW).containers["c"].phase == "exited"


def test_a_driver_of_devices_that_is_missing_is_looked_for_every_ten_seconds() -> None:
    failures = {
        reason: [life.SetupFailed("sandbox", reason, "away")] * 9
        for reason in ("FailedPrepareDynamicResources", "FailedCreatePodSandBox")
    }
    waits = {reason: led(a_pod(), UP[0], *events)[0].retry_at - NOW for reason, events in failures.items()}
    assert waits == {"FailedPrepareDynamicResources": 10, "FailedCreatePodSandBox": 120}


def test_a_container_shows_its_devices() -> None:
    devices = [{"name": "test.io/gpu", "resources": [{"resourceID": "a", "health": "Healthy"}]}]
    state, _ = led(a_pod(), *UP)
    shown = status_of(state, replace(SHOWN, devices=lambda _pod, _container: devices), None, NOW)
    assert shown["containerStatuses"][0]["allocatedResourcesStatus"] == devices
    assert "allocatedResourcesStatus" not in status_of(state, SHOWN, None, NOW)["containerStatuses"][0]
