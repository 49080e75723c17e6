"""Taints of nodes as the lifecycle controller leaves them."""

from collections.abc import Callable

import msgspec
import pytest

from mizzen.api.views.core import Node, Pod
from mizzen.controllers import nodes
from mizzen.controllers.config import Config
from mizzen.machinery import times
from mizzen.reconcile.plan import Patch

NOW = 1_700_000_000.0


def test_a_taint_that_evicts_is_dated_so_that_pods_can_tolerate_it_for_a_while() -> None:
    ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": times.format(NOW)}
    taints = [{"key": "broken", "effect": "NoExecute"}, {"key": "gpu", "effect": "NoSchedule"}]
    body = {"metadata": {"name": "n"}, "spec": {"taints": taints}, "status": {"conditions": [ready]}}
    seen = nodes.Snapshot(msgspec.convert(body, Node), NOW, ())
    [patch] = nodes.lifecycle(Config()).reconcile(seen, NOW).actions
    assert isinstance(patch, Patch)
    dated = {"key": "broken", "effect": "NoExecute", "timeAdded": times.format(NOW)}
    assert patch.patch == {"spec": {"taints": [dated, taints[1]]}}


def test_pods_that_a_lost_nodes_agent_says_are_ready_again_are_left_to_it() -> None:
    lost = {"type": "Ready", "status": "Unknown", "lastTransitionTime": times.format(NOW)}
    taints = [{"key": nodes.UNREACHABLE, "effect": "NoSchedule"}]
    body = {"metadata": {"name": "n"}, "spec": {"taints": taints}, "status": {"conditions": [lost]}}

    def pod(name: str, ready_since: float) -> Pod:
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": times.format(ready_since)}
        return msgspec.convert({"metadata": {"name": name}, "status": {"conditions": [ready]}}, Pod)

    seen = nodes.Snapshot(msgspec.convert(body, Node), NOW, (pod("back", NOW + 5), pod("lost", NOW - 60)))
    plan = nodes.lifecycle(Config()).reconcile(seen, NOW + 10)
    assert [action.name for action in plan.actions if isinstance(action, Patch)] == ["lost"]


class Away:
    """A process's own time, and since when it has been there."""

    def __init__(self) -> None:
        self.passed = self.since = 0.0

    def __call__(self) -> tuple[float, float]:
        return self.passed, self.since


def silence_of(away: Away) -> Callable[[float, float], float]:
    """How long the lifecycle controller waits for a node whose lease was renewed at a time; both times of day."""
    controller = nodes.lifecycle(Config(awake=away))
    ready = {"type": "Ready", "status": "True"}
    node = msgspec.convert({"metadata": {"name": "n"}, "status": {"conditions": [ready]}}, Node)

    def wait(renewed: float, now: float) -> float:
        plan = controller.reconcile(nodes.Snapshot(node, renewed, ()), now)
        return -1.0 if plan.ask else plan.requeue_after or 0.0

    return wait


def test_a_node_is_silent_since_its_last_renewal_and_not_since_somebody_looked() -> None:
    away = Away()
    wait = silence_of(away)
    assert wait(NOW, NOW) == 40
    away.passed = 40
    assert wait(NOW + 30, NOW + 40) == 30
    away.passed = 70
    assert wait(NOW + 30, NOW + 70) == -1


def test_a_process_that_was_away_itself_gives_nodes_their_grace_anew() -> None:
    away = Away()
    wait = silence_of(away)
    wait(NOW, NOW)
    away.passed = away.since = 300  # it hung, and nobody could renew anything
    assert wait(NOW, NOW + 300) == 40
    away.passed = 340
    assert wait(NOW, NOW + 340) == -1


def test_a_process_that_has_just_started_gives_nodes_their_grace() -> None:
    assert silence_of(Away())(NOW - 500, NOW) == 40


@pytest.mark.parametrize("step", [86_400, -86_400])
def test_the_time_of_day_can_be_set_without_harm_to_nodes(step: float) -> None:
    away = Away()
    wait = silence_of(away)
    wait(NOW, NOW)
    away.passed = 5
    assert wait(NOW, NOW + 5 + step) == 35
    away.passed = 20
    assert wait(NOW + 20 + step, NOW + 20 + step) == 40
    away.passed = 60
    assert wait(NOW + 20 + step, NOW + 60 + step) == -1


@pytest.mark.parametrize("wrong", [3_600, -3_600])
def test_a_node_whose_clock_is_wrong_is_ready_while_it_renews_and_no_longer(wrong: float) -> None:
    away = Away()
    wait = silence_of(away)
    for passed in range(0, 100, 20):
        away.passed = passed
        assert wait(NOW + passed + wrong, NOW + passed) > 0
    away.passed = 160
    assert wait(NOW + 80 + wrong, NOW + 160) == -1
