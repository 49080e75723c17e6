"""Taints of nodes as the lifecycle controller leaves them."""

import msgspec

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
