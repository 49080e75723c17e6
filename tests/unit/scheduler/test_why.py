"""`mizzen why`: every obstacle of every node, with what would take it away."""

from tests.unit.scheduler.world import node, pod

from mizzen.scheduler.plugins import PLUGINS
from mizzen.scheduler.snapshot import Lookups
from mizzen.scheduler.why import ask


def test_all_obstacles_of_a_node_are_told_not_just_the_first() -> None:
    taint = {"key": "db", "value": "", "effect": "NoSchedule"}
    nodes = [node("a", taints=[taint]), node("b", cpu="8"), node("c", cpu="8")]
    wanted = pod("big", cpu="6", nodeSelector={"disk": "ssd"}).pod
    answer = ask(wanted, nodes, [], Lookups(), PLUGINS, ())
    assert [one.plugin for one in answer.nodes["a"]] == ["TaintToleration", "NodeAffinity", "NodeResourcesFit"]
    assert answer.nodes["a"][2].remedy == "ask for less: the pod wants 6 cpu, the whole node has 4 cpu"
    assert [one.plugin for one in answer.nodes["b"]] == ["NodeAffinity"]
    assert "2 nodes: b, c" in answer.text()
    assert answer.document()["nodes"][0]["fits"] is False


def test_it_tells_whom_preemption_would_remove() -> None:
    low = pod("low", cpu="3", nodeName="a").pod
    answer = ask(pod("high", cpu="3", priority=9).pod, [node("a")], [low], Lookups(), PLUGINS, ())
    assert answer.preemption == "node a would have room without default/low"
    assert answer.nodes["a"][0].remedy == "free 2 cpu: the pod wants 3 cpu, 1 cpu of 4 cpu are free"


def test_a_pod_that_fits_is_told_where_and_one_with_gates_why_not() -> None:
    answer = ask(pod("p").pod, [node("a")], [], Lookups(), PLUGINS, ())
    assert answer.summary == "fits on 1/1 nodes; the best is a"
    gated = ask(pod("g", schedulingGates=[{"name": "x"}]).pod, [node("a")], [], Lookups(), PLUGINS, ())
    assert gated.of_the_pod is not None
    assert gated.of_the_pod.remedy == "remove the pod's scheduling gates"


def test_a_taint_that_goes_with_a_condition_is_not_to_be_removed_by_hand() -> None:
    full = node("a", taints=[{"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"}])
    (obstacle,) = ask(pod("p").pod, [full], [], Lookups(), PLUGINS, ()).nodes["a"]
    told = "goes with a condition of the node: kubectl describe node a"
    assert obstacle.remedy == f"the taint node.kubernetes.io/disk-pressure {told}"
