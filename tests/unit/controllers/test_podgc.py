"""Pods of nodes that are gone: only once these have been gone for a while, and the API knows them no more."""

from typing import Any

import msgspec

from mizzen.api.views.core import Pod
from mizzen.client.resources import NODES
from mizzen.controllers import podgc
from mizzen.controllers.config import Config
from mizzen.reconcile.plan import Answer, Delete, Get, Plan

GONE = Get(NODES.path("", "gone"))


def seen(**more: Any) -> podgc.Snapshot:
    meta = {"name": "p", "namespace": "d", "uid": "p"}
    pod = msgspec.convert({"metadata": meta, "spec": {"nodeName": "gone"}, "status": {"phase": "Running"}}, Pod)
    return podgc.Snapshot({"gone": (pod,)} if more.pop("lost", True) else {}, (), (), (), **more)


class Collector:
    """The controller with the time of its own process."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.controller = podgc.controller(Config(awake=lambda: (self.passed, 0.0)))

    def plan(self, snapshot: podgc.Snapshot) -> Plan:
        return self.controller.reconcile(snapshot, 1_700_000_000.0)


def test_pods_of_a_node_that_is_gone_go_when_it_has_not_come_back_for_forty_seconds() -> None:
    collector = Collector()
    plan = collector.plan(seen())
    assert (plan.actions, plan.ask, plan.requeue_after) == ((), (), 40.0)
    collector.passed = 30.0
    assert collector.plan(seen()).requeue_after == 10.0
    collector.passed = 40.0
    assert collector.plan(seen()).ask == (GONE,)
    answered = podgc.informed(seen(), {GONE: Answer(404, None)})
    assert [one.name for one in collector.plan(answered).actions if isinstance(one, Delete)] == ["p"]


def test_a_node_that_came_back_has_forty_seconds_again() -> None:
    collector = Collector()
    collector.plan(seen())
    collector.passed = 39.0
    collector.plan(seen(lost=False))
    collector.passed = 41.0
    assert collector.plan(seen()).requeue_after == 40.0


def test_a_node_that_only_the_cache_misses_keeps_its_pods() -> None:
    collector = Collector()
    collector.plan(seen())
    collector.passed = 40.0
    assert collector.plan(podgc.informed(seen(), {GONE: Answer(200, {})})).actions == ()
