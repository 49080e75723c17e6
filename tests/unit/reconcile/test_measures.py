"""What is shown of a controller's queue."""

from mizzen.client.queue import WorkQueue
from mizzen.reconcile import measures
from mizzen.reconcile.measures import Measures


def test_a_key_is_counted_once_while_it_waits_and_timed_until_it_is_done() -> None:
    queue = WorkQueue()
    seen = Measures("counter", queue)
    for _ in range(2):
        seen.came("d/a", 10.0)
        queue.add("d/a")
    assert 'workqueue_depth{name="counter"} 1' in list(measures.lines([seen], 10.0))
    assert queue.take(12.0) == "d/a"
    seen.begun("d/a", 12.0)
    working = list(measures.lines([seen], 15.0))
    assert 'workqueue_unfinished_work_seconds{name="counter"} 3.0' in working
    assert 'workqueue_queue_duration_seconds_sum{name="counter"} 2.000000' in working
    queue.done("d/a")
    seen.done("d/a", 16.0)
    shown = list(measures.lines([seen], 16.0))
    assert 'workqueue_adds_total{name="counter"} 1' in shown
    assert 'workqueue_work_duration_seconds_bucket{name="counter",le="10.0"} 1' in shown
    assert 'workqueue_longest_running_processor_seconds{name="counter"} 0.0' in shown
