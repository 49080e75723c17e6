"""Decisions about hooks, and about the end of a pod that is deleted."""

from tests.unit.agent.test_lifecycle import NOW, UP, a_pod, deleted, ended, led

from mizzen.agent import life, lifecycle
from mizzen.api.views.podspec import Container, ExecAction, Lifecycle, LifecycleHook


def test_a_deleted_pod_does_not_wait_for_the_image_it_was_pulling() -> None:
    state, told = led(a_pod(), *UP[:2], deleted(a_pod(), 30))
    assert told == (life.CloseSandbox("s"),)
    assert lifecycle.step(state, life.Pulled("c", "sha256:1"), NOW)[1] == ()


def test_a_grace_period_that_is_shortened_cuts_the_pre_stop_hook_short() -> None:
    hook = Lifecycle(preStop=LifecycleHook(exec=ExecAction(command=("sleep", "15"))))
    pod = a_pod(Container(name="c", image="i", lifecycle=hook))
    state, told = led(pod, *UP, life.Started("c", 0, "id", NOW), deleted(pod, 30))
    assert told[-1] == life.RunHook(pod.spec.containers[0], 0, "id", "preStop", 32.0)  # it ends with its container
    state, told = lifecycle.step(state, deleted(pod, 2), NOW)
    assert told == () and lifecycle.wakes_at(state, NOW) == NOW + 2
    _, told = lifecycle.step(state, life.Tick(), NOW + 2)
    assert told == (life.Stop("c", 0, "id", 2.0),)


def test_a_failed_post_start_hook_ends_the_container_after_its_pre_stop_hook() -> None:
    hook = LifecycleHook(exec=ExecAction(command=("x",)))
    pod = a_pod(Container(name="c", image="i", lifecycle=Lifecycle(postStart=hook, preStop=hook)))
    failed = life.HookDone("c", 0, "postStart", "PostStartHook failed")
    _, told = led(pod, *UP, life.Started("c", 0, "id", NOW), failed)
    assert [(one.reason, one.message) for one in told if isinstance(one, life.Emit)] == [
        ("FailedPostStartHook", "PostStartHook failed"),
        ("Killing", "FailedPostStartHook"),
    ]
    assert isinstance(told[-1], life.RunHook) and told[-1].hook == "preStop"


def test_containers_start_only_after_the_post_start_hooks_of_those_before_them() -> None:
    hook = LifecycleHook(exec=ExecAction(command=("x",)))
    first = Container(name="first", image="i", lifecycle=Lifecycle(postStart=hook))
    second = Container(name="second", image="i")
    pod = a_pod(first, second)
    pulled = (life.Pulled("second", "sha256:1"), life.Pulled("first", "sha256:1"))
    state, told = led(pod, *UP[:2])
    assert told == (life.Pull(first), life.Pull(second))  # images come at once
    state, told = led(pod, *UP[:2], *pulled)
    assert told == (life.Start(first, 0, "sha256:1"),)
    state, told = lifecycle.step(state, life.Started("first", 0, "id", NOW), NOW)
    assert told == (life.RunHook(first, 0, "id", "postStart"),)
    assert lifecycle.step(state, life.HookDone("first", 0, "postStart"), NOW)[1] == (life.Start(second, 0, "sha256:1"),)
    # One that cannot be had holds nobody up.
    _, told = led(pod, *UP[:2], pulled[0], life.PullFailed("first", "ErrImagePull", "no"))
    assert told[-1] == life.Start(second, 0, "sha256:1")


def test_side_cars_whose_turn_has_not_come_by_the_deadline_have_two_seconds_each_at_the_same_time() -> None:
    sidecars = tuple(Container(name=name, image="i", restartPolicy="Always") for name in ("s1", "s2"))
    pod = a_pod(initContainers=sidecars)
    ups = [(life.Pulled(name, "sha256:1"), life.Started(name, 0, name, NOW)) for name in ("s1", "s2", "c")]
    state, told = led(pod, *UP[:2], *(event for pair in ups for event in pair), deleted(pod, 5))
    assert [one for one in told if isinstance(one, life.Stop)] == [life.Stop("c", 0, "c", 5.0)]
    assert lifecycle.wakes_at(state, NOW) == NOW + 5
    state, told = lifecycle.step(state, life.Tick(), NOW + 5)
    assert told == (life.Stop("s2", 0, "s2", 2.0), life.Stop("s1", 0, "s1", 2.0))
    _, told = lifecycle.step(state, life.Exited("c", 0, ended(137, NOW + 5)), NOW + 5)
    assert told == ()
