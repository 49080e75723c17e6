"""The scheduler's queue: order, back-off, and who is woken by what."""

import msgspec

from mizzen.api.views.core import Pod
from mizzen.scheduler.framework import Event
from mizzen.scheduler.queue import FEW, Queue
from mizzen.scheduler.snapshot import PodInfo, pod_info

WAKES: dict[str, frozenset[Event]] = {"Fit": frozenset({"pod gone"}), "Taints": frozenset({"node changed"})}


def pod(name: str, priority: int = 0) -> PodInfo:
    return pod_info(msgspec.convert({"metadata": {"name": name}, "spec": {"priority": priority}}, Pod))


def test_important_pods_come_first_then_older_ones() -> None:
    queue = Queue(WAKES)
    for number, one in enumerate((pod("a"), pod("b"), pod("c", 10))):
        queue.add(one, float(number))
    assert [queue.pop(5.0).pod.pod.metadata.name for _ in range(3)] == ["c", "a", "b"]  # type: ignore[union-attr]
    assert queue.pop(5.0) is None


def test_a_failed_pod_waits_for_an_event_that_can_help_it() -> None:
    queue = Queue(WAKES)
    queue.add(pod("a"), 0.0)
    waiting = queue.pop(0.0)
    assert waiting is not None
    queue.failed(waiting, frozenset({"Fit"}), 0.0)
    queue.wake("node changed", 5.0)
    assert queue.pop(50.0) is None
    queue.wake("pod gone", 50.0)
    assert queue.pop(50.0) is waiting


def test_a_pod_serves_its_back_off_while_others_are_ready_and_no_longer() -> None:
    queue = Queue(WAKES)
    for at, name in enumerate("ab"):
        queue.add(pod(name), 0.0)
        waiting = queue.pop(0.0)
        assert waiting is not None
        queue.failed(waiting, frozenset({"Fit"}), at / 10)
    queue.wake("pod gone", 0.5)
    queue.add(pod("c"), 0.5)
    assert [one.pod.pod.metadata.name for _ in range(3) if (one := queue.pop(0.5))] == ["c", "a", "b"]
    assert queue.pop(100.0) is None, "each is tried once"


def test_after_an_error_and_in_a_crowd_the_back_off_is_served() -> None:
    queue = Queue(WAKES)
    queue.add(pod("a"), 0.0)
    waiting = queue.pop(0.0)
    assert waiting is not None
    queue.retry(waiting, 0.0)
    assert queue.pop(0.9) is None
    assert queue.pop(1.0) is waiting
    queue.failed(waiting, frozenset({"Fit"}), 1.0)
    for number in range(FEW):
        queue.add(pod(f"p{number}"), 1.0)
        one = queue.pop(1.0)
        assert one is not None
        queue.failed(one, frozenset({"Fit"}), 1.0)
    queue.wake("pod gone", 1.5)
    assert queue.pop(1.9) is None
    assert queue.pop(2.0) is not None


def test_an_event_during_the_decision_is_not_missed() -> None:
    queue = Queue(WAKES)
    queue.add(pod("a"), 0.0)
    waiting = queue.pop(0.0)
    assert waiting is not None
    queue.wake("pod gone", 0.1)
    queue.failed(waiting, frozenset({"Fit"}), 0.2)
    assert queue.pop(1.3) is waiting


def test_a_pod_nobody_woke_is_tried_again_after_five_minutes() -> None:
    queue = Queue(WAKES)
    queue.add(pod("a"), 0.0)
    waiting = queue.pop(0.0)
    assert waiting is not None
    queue.failed(waiting, frozenset({"Fit"}), 0.0)
    assert queue.next_time() == 300.0
    assert queue.pop(299.0) is None
    assert queue.pop(300.0) is waiting


def test_a_removed_pod_never_comes() -> None:
    queue = Queue(WAKES)
    queue.add(pod("a"), 0.0)
    queue.remove(pod("a").key)
    assert queue.pop(1.0) is None
    assert len(queue) == 0
