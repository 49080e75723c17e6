"""Decisions of the scheduler on hand-made clusters: where a pod goes, or why it goes nowhere."""

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.scheduler.world import HOST, ZONE, World, affinity, claim, node, pod, spread, volume_on, with_claim

from mizzen.api.views.storage import StorageClass
from mizzen.scheduler.cycle import Decider, Placed, Unschedulable
from mizzen.scheduler.plugins import PLUGINS
from mizzen.scheduler.snapshot import Lookups, PodInfo, Snapshot


def test_a_pod_goes_where_its_requests_fit() -> None:
    world = World(node("small", cpu="1"), node("large", cpu="8"))
    assert world.place(pod(cpu="2")) == "large"
    assert world.place(pod(cpu="7")) == "0/2 nodes are available: 2 Insufficient cpu."


def test_what_was_placed_is_counted_for_the_next() -> None:
    world = World(node("a", cpu="1"), node("b", cpu="1"))
    assert {world.place(pod(cpu="600m")), world.place(pod(cpu="600m"))} == {"a", "b"}
    assert world.place(pod(cpu="600m")) == "0/2 nodes are available: 2 Insufficient cpu."


def test_room_comes_back_when_a_pod_goes() -> None:
    world = World(node("a", cpu="1"))
    first = pod(cpu="600m")
    world.place(first)
    assert world.place(pod(cpu="600m")).startswith("0/1")
    world.snapshot.remove_pod(first.key, "a")
    assert world.place(pod(cpu="600m")) == "a"


def test_the_number_of_pods_is_bounded() -> None:
    world = World(node("a", pods="1"))
    world.place(pod())
    assert world.place(pod()) == "0/1 nodes are available: 1 Too many pods."


def test_extended_resources_and_overhead_count() -> None:
    world = World(node("plain"), node("gpu", more={"example.com/gpu": "1"}))
    wants = [{"name": "c", "resources": {"requests": {"example.com/gpu": "1"}}}]
    assert world.place(pod(containers=wants)) == "gpu"
    assert "Insufficient example.com/gpu" in world.place(pod(containers=wants))
    assert "Insufficient cpu" in world.place(pod(cpu="3500m", overhead={"cpu": "600m"}))


def test_an_init_container_counts_only_at_its_peak_and_a_side_car_always() -> None:
    def of(kind: str, cpu: str) -> dict[str, Any]:
        return {
            "name": kind,
            "restartPolicy": "Always" if kind == "side" else "",
            "resources": {"requests": {"cpu": cpu}},
        }

    assert pod(cpu="1", initContainers=[of("init", "3")]).requests["cpu"] == 3000
    assert pod(cpu="1", initContainers=[of("side", "2")]).requests["cpu"] == 3000
    assert pod(cpu="1", initContainers=[of("side", "1"), of("init", "3")]).requests["cpu"] == 4000


def test_taints_must_be_tolerated() -> None:
    taint = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
    world = World(node("a", taints=[taint]))
    assert world.place(pod()) == "0/1 nodes are available: 1 node(s) had untolerated taint(s)."
    assert world.place(pod(tolerations=[{"key": "dedicated", "operator": "Equal", "value": "db"}])) == "a"
    assert world.place(pod(tolerations=[{"operator": "Exists"}])) == "a"


def test_a_preferably_avoided_node_is_the_last_choice() -> None:
    world = World(node("a", taints=[{"key": "old", "effect": "PreferNoSchedule"}]), node("b", cpu="1"))
    assert world.place(pod(cpu="900m")) == "b"
    assert world.place(pod(cpu="900m")) == "a"


def test_cordoned_nodes_take_nothing_and_uncordoned_ones_again() -> None:
    world = World(node("a", unschedulable=True))
    assert world.place(pod()) == "0/1 nodes are available: 1 node(s) were unschedulable."
    world.snapshot.set_node(node("a"))
    assert world.place(pod()) == "a"


def test_node_selectors_and_affinity_choose() -> None:
    world = World(node("a", labels={"disk": "hdd"}), node("b", labels={"disk": "ssd"}))
    assert world.place(pod(nodeSelector={"disk": "ssd"})) == "b"
    term = {"matchExpressions": [{"key": "disk", "operator": "NotIn", "values": ["ssd"]}]}
    required = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    assert world.place(pod(affinity=required)) == "a"
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": term}]}
    assert world.place(pod(affinity={"nodeAffinity": preferred})) == "a"
    assert "didn't match Pod's node affinity/selector" in world.place(pod(nodeSelector={"disk": "none"}))


def test_a_port_of_the_node_is_taken_once() -> None:
    web = [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80}]}]
    world = World(node("a"), node("b"))
    assert {world.place(pod(containers=web)), world.place(pod(containers=web))} == {"a", "b"}
    assert "didn't have free ports" in world.place(pod(containers=web))


def test_gates_hold_a_pod_back() -> None:
    message = World(node("a")).place(pod(schedulingGates=[{"name": "example.com/wait"}]))
    assert message == "0/1 nodes are available: waiting for scheduling gates: [example.com/wait]."


def test_without_nodes_the_message_says_so() -> None:
    assert World().place(pod()) == "no nodes available to schedule pods"


def test_a_pod_follows_its_volume() -> None:
    lookups = Lookups(
        claim=lambda namespace, name: claim(name, volume="pv") if name == "data" else None,
        volume=lambda name: volume_on("pv", "b") if name == "pv" else None,
    )
    world = World(node("a"), node("b"), lookups=lookups)
    assert world.place(with_claim("data")) == "b"
    assert world.place(with_claim("none")) == '0/2 nodes are available: persistentvolumeclaim "none" not found.'


@pytest.mark.parametrize(
    ("mode", "provisioner", "message"),
    [
        ("Immediate", "example.com/p", "pod has unbound immediate PersistentVolumeClaims"),
        ("WaitForFirstConsumer", "kubernetes.io/no-provisioner", "didn't find available persistent volumes to bind"),
        ("WaitForFirstConsumer", "example.com/p", ""),
    ],
)
def test_an_unbound_claim_waits_or_is_provided(mode: str, provisioner: str, message: str) -> None:
    made = msgspec.convert({"provisioner": provisioner, "volumeBindingMode": mode}, StorageClass)
    lookups = Lookups(claim=lambda namespace, name: claim(name), storage_class=lambda name: made)
    answer = World(node("a"), lookups=lookups).place(with_claim("data"))
    assert (message in answer) if message else answer == "a"


def test_all_that_a_node_lacks_is_told() -> None:
    world = World(node("a", cpu="1", memory="1Gi", pods="0"))
    message = world.place(pod(cpu="2", memory="2Gi"))
    assert message == "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 Too many pods."


def test_a_pod_made_for_one_node_is_not_judged_on_the_others() -> None:
    world = World(node("a", cpu="1"), node("b"), node("c", unschedulable=True))
    field = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}
    required = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [field]}}}
    assert world.place(pod(cpu="500m", affinity=required)) == "a"
    assert world.place(pod(cpu="2", affinity=required)) == (
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]."
    )


def test_room_made_for_a_pod_is_kept_for_it() -> None:
    world = World(node("a", cpu="1"))
    urgent = pod("urgent", cpu="800m", priority=10)
    world.decider.nominate(urgent, "a")
    assert world.place(pod("late", cpu="500m")).startswith("0/1")
    assert world.place(urgent) == "a"


def test_the_node_that_a_pod_is_nominated_for_comes_before_better_ones() -> None:
    world = World(node("a", cpu="1"), node("b", cpu="64"))
    assert world.decider.decide(pod(), preferred="a") == Placed("a")
    assert world.decider.decide(pod(cpu="2"), preferred="a") == Placed("b")


Step = tuple[str, int, int]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["place", "remove", "cordon", "relabel", "drop"]), st.integers(0, 4), st.integers(0, 5)
        )
    )
)
def test_what_is_remembered_never_differs_from_deciding_afresh(steps: list[Step]) -> None:
    """Whatever happened before, the kept verdicts are those of a scheduler that has just started."""
    specs: list[dict[str, Any]] = [
        {},
        {"topologySpreadConstraints": spread(ZONE)},
        {"topologySpreadConstraints": spread(HOST)},
        {"affinity": affinity("podAntiAffinity", HOST)},
        {"affinity": affinity("podAffinity", ZONE)},
        {"cpu": "900m"},
    ]
    world = World(*(node(f"n{i}", cpu="2", labels={ZONE: f"z{i % 2}"}) for i in range(4)))
    placed: list[tuple[PodInfo, str]] = []
    for verb, which, kind in steps:
        if verb == "place":
            one = pod(**specs[kind])
            verdict = world.decider.decide(one)
            fresh = Snapshot()
            for name, info in world.snapshot.nodes.items():
                fresh.set_node(info.node)
                for there in info.pods.values():
                    fresh.set_pod(there, name)
            again = Decider(fresh, PLUGINS, random.Random(2).random).decide(one)
            assert type(verdict) is type(again)
            if isinstance(verdict, Unschedulable):
                assert verdict.message == again.message  # type: ignore[union-attr]
            else:
                world.snapshot.set_pod(one, verdict.node)
                placed.append((one, verdict.node))
        elif verb == "remove" and placed:
            one, where = placed.pop(which % len(placed))
            world.snapshot.remove_pod(one.key, where)
        elif verb == "cordon":
            world.snapshot.set_node(
                node(f"n{which}", cpu="2", labels={ZONE: f"z{which % 2}"}, unschedulable=kind % 2 == 0)
            )
        elif verb == "relabel":
            world.snapshot.set_node(node(f"n{which}", cpu="2", labels={ZONE: f"z{kind % 3}"}))
        elif verb == "drop":
            world.snapshot.remove_node(f"n{which}")
