"""Pods that others go for, and which."""

import msgspec
from tests.unit.scheduler.world import (
    World,
    node,
    pod,
    room,
)

from mizzen.api.views.core import PodStatus
from mizzen.api.views.meta import LabelSelector
from mizzen.scheduler import preemption
from mizzen.scheduler.cycle import Unschedulable
from mizzen.scheduler.snapshot import pod_info


def test_preemption_removes_the_fewest_and_least_important_pods() -> None:
    world = World(node("a", cpu="1"), node("b", cpu="1"))
    for name, where, priority in (("low", "a", 1), ("lower", "b", 0), ("mid", "a", 5)):
        world.place(pod(name, cpu="500m", priority=priority), where)
    world.place(pod("big", cpu="500m", priority=7), "b")
    urgent = pod("urgent", cpu="500m", priority=10)
    why = world.decider.decide(urgent)
    assert isinstance(why, Unschedulable)
    way = preemption.find(urgent, world.decider.class_of(urgent), why, world.snapshot, ())
    assert way is not None
    assert (way.node, [one.pod.metadata.name for one in way.victims]) == ("b", ["lower"])
    assert len(world.snapshot.nodes["a"].pods) == len(world.snapshot.nodes["b"].pods) == 2


def test_preemption_spares_equals_and_those_who_cannot_help() -> None:
    world = World(node("a", cpu="1"), node("tainted", cpu="9", taints=[{"key": "k", "effect": "NoSchedule"}]))
    world.place(pod("same", cpu="900m", priority=10), "a")
    way = room(world, pod("urgent", cpu="500m", priority=10))
    assert isinstance(way, preemption.NoWay)
    assert way.message == (
        "0/2 nodes are available: 1 No preemption victims found for incoming pod, "
        "1 Preemption is not helpful for scheduling."
    )


def test_where_no_removal_suffices_the_message_tells_what_would_still_be_lacking() -> None:
    world = World(node("a", cpu="2"))
    world.place(pod("same", cpu="1", priority=10), "a")
    world.place(pod("low", cpu="900m"), "a")
    way = room(world, pod("urgent", cpu="1500m", priority=10))
    assert isinstance(way, preemption.NoWay)
    assert way.message == "0/1 nodes are available: 1 Insufficient cpu."


def test_a_pod_that_never_preempts_says_so() -> None:
    world = World(node("a", cpu="1"))
    world.place(pod("low", cpu="900m"), "a")
    way = room(world, pod("modest", cpu="500m", priority=10, preemptionPolicy="Never"))
    assert isinstance(way, preemption.NoWay)
    assert way.message == "not eligible due to preemptionPolicy=Never."


def test_of_equal_victims_the_one_that_started_last_goes() -> None:
    world = World(node("a", cpu="1"), node("b", cpu="1"))
    for name, started in (("a", "2026-01-01T00:00:00Z"), ("b", "2026-01-02T00:00:00Z")):
        one = pod(f"on-{name}", cpu="900m").pod
        world.place(pod_info(msgspec.structs.replace(one, status=PodStatus(startTime=started))), name)
    way = room(world, pod("urgent", cpu="500m", priority=10))
    assert isinstance(way, preemption.Eviction)
    assert way.node == "b"


def test_one_victim_more_is_worse_even_at_negative_priorities() -> None:
    world = World(node("a", cpu="1"), node("b", cpu="1"))
    for name, where, cpu in (("x", "a", "500m"), ("y", "a", "500m"), ("z", "b", "1")):
        world.place(pod(name, cpu=cpu, priority=-10), where)
    way = room(world, pod("urgent", cpu="1"))
    assert isinstance(way, preemption.Eviction)
    assert way.node == "b"


def test_budgets_are_kept_where_that_can_be_and_broken_where_it_cannot() -> None:
    world = World(node("a", cpu="1"), node("b", cpu="1"))
    world.place(pod("kept", cpu="900m", labels={"app": "db"}), "a")
    world.place(pod("higher", cpu="900m", priority=5), "b")
    spent = preemption.Budget("default", LabelSelector({"app": "db"}), 0)
    way = room(world, pod("urgent", cpu="500m", priority=10), spent)
    assert isinstance(way, preemption.Eviction)
    assert (way.node, way.violations) == ("b", 0)
    world.snapshot.remove_node("b")
    way = room(world, pod("urgent", cpu="500m", priority=10), spent)
    assert isinstance(way, preemption.Eviction)
    assert (way.node, way.violations) == ("a", 1)


def test_of_the_pods_of_a_node_those_with_a_budget_are_spared_first() -> None:
    world = World(node("a", cpu="1"))
    world.place(pod("guarded", cpu="400m", labels={"app": "db"}), "a")
    world.place(pod("free", cpu="400m", priority=5), "a")
    spent = preemption.Budget("default", LabelSelector({"app": "db"}), 0)
    way = room(world, pod("urgent", cpu="500m", priority=10), spent)
    assert isinstance(way, preemption.Eviction)
    assert [one.key for one in way.victims] == ["default/free"]
    assert len(world.snapshot.nodes["a"].pods) == 2, "trying changes nothing"
