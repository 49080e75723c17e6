"""The work queue: no key twice, none at the same time, failing ones ever later."""

from mizzen.client.queue import Backoff, WorkQueue


def test_a_key_added_twice_is_worked_on_once() -> None:
    queue = WorkQueue()
    queue.add("a")
    queue.add("a")
    assert queue.take(0) == "a"
    assert queue.take(0) is None


def test_a_key_that_changes_while_it_is_worked_on_comes_again_afterwards() -> None:
    queue = WorkQueue()
    queue.add("a")
    queue.take(0)
    queue.add("a")
    assert queue.take(0) is None
    queue.done("a")
    assert queue.take(0) == "a"


def test_the_earliest_of_several_times_wins() -> None:
    queue = WorkQueue()
    queue.add_at("a", 10)
    queue.add_at("a", 5)
    queue.add_at("a", 20)
    assert queue.next_due() == 5
    assert queue.take(4) is None
    assert queue.take(5) == "a"
    queue.done("a")
    assert queue.next_due() is None


def test_failures_back_off_and_success_forgets_them() -> None:
    queue = WorkQueue(Backoff(first=1, longest=3))
    assert [queue.failed("a", 0) for _ in range(4)] == [1, 2, 3, 3]
    queue.succeeded("a")
    assert queue.failed("a", 0) == 1


def test_what_waits_for_its_time_can_be_hastened() -> None:
    queue = WorkQueue()
    queue.add_at("a", 100.0)
    queue.add_at("b", 50.0)
    queue.hasten()
    assert [queue.take(0.0), queue.take(0.0), queue.take(200.0)] == ["a", "b", None]
    assert queue.next_due() is None
