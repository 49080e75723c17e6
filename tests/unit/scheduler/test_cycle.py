"""Decisions of the scheduler on hand-made clusters: where a pod goes, or why it goes nowhere."""

import itertools
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mizzen.api.views.core import Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, PodStatus
from mizzen.api.views.meta import LabelSelector
from mizzen.api.views.storage import StorageClass
from mizzen.scheduler import preemption
from mizzen.scheduler.cycle import Decider, Placed, Unschedulable
from mizzen.scheduler.plugins import PLUGINS
from mizzen.scheduler.snapshot import Lookups, PodInfo, Snapshot, pod_info

_numbers = itertools.count()
HOST = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"


def node(name: str, *, cpu: str = "4", memory: str = "8Gi", pods: str = "110", **rest: Any) -> Node:
    labels = {HOST: name, **rest.pop("labels", {})}
    status = {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods, **rest.pop("more", {})}}
    return msgspec.convert({"metadata": {"name": name, "labels": labels}, "spec": rest, "status": status}, Node)


def pod(
    name: str = "", *, cpu: str = "100m", memory: str = "0", labels: dict[str, str] | None = None, **spec: Any
) -> PodInfo:
    containers = spec.pop(
        "containers", [{"name": "c", "image": "i:1", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]
    )
    meta = {"name": name or f"p{next(_numbers)}", "namespace": "default", "labels": labels or {"app": "a"}}
    return pod_info(msgspec.convert({"metadata": meta, "spec": {"containers": containers, **spec}}, Pod))


class World:
    """A snapshot and a decider, with pods placed as decided."""

    def __init__(self, *nodes: Node, lookups: Lookups | None = None) -> None:
        self.snapshot = Snapshot(lookups)
        self.decider = Decider(self.snapshot, PLUGINS, random.Random(1).random)
        for one in nodes:
            self.snapshot.set_node(one)

    def place(self, info: PodInfo, where: str = "") -> str:
        """The node the pod went to, or the message of why it did not."""
        verdict = Placed(where) if where else self.decider.decide(info)
        if isinstance(verdict, Unschedulable):
            return verdict.message
        self.snapshot.set_pod(info, verdict.node)
        return verdict.node


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


def affinity(kind: str, key: str, app: str = "a", *, preferred: bool = False) -> dict[str, Any]:
    term = {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key}
    if preferred:
        return {kind: {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 50, "podAffinityTerm": term}]}}
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def test_anti_affinity_keeps_pods_on_hosts_of_their_own() -> None:
    world = World(node("a"), node("b"))
    apart = affinity("podAntiAffinity", HOST)
    assert {world.place(pod(affinity=apart)), world.place(pod(affinity=apart))} == {"a", "b"}
    assert "2 node(s) didn't match pod anti-affinity rules" in world.place(pod(affinity=apart))


def test_a_placed_pods_anti_affinity_keeps_others_away() -> None:
    world = World(node("a"), node("b"))
    alone = world.place(pod(labels={"app": "loner"}, affinity=affinity("podAntiAffinity", HOST, "noisy")))
    for _ in range(3):
        assert world.place(pod(labels={"app": "noisy"})) != alone
    world = World(node("a"))
    world.place(pod(labels={"app": "loner"}, affinity=affinity("podAntiAffinity", HOST, "noisy")))
    assert "existing pods anti-affinity" in world.place(pod(labels={"app": "noisy"}))


def test_what_a_class_knows_of_anti_affinity_survives_that_its_owner_comes_and_goes() -> None:
    world = World(node("a"))
    loner = pod("loner", labels={"app": "loner"}, affinity=affinity("podAntiAffinity", HOST, "noisy"))
    for _ in range(3):
        world.place(loner, "a")
        assert "existing pods anti-affinity" in world.place(pod(labels={"app": "noisy"}))
        world.snapshot.remove_pod(loner.key, "a")
    world.place(loner, "a")
    assert "existing pods anti-affinity" in world.place(pod(labels={"app": "noisy"}))


def test_affinity_gathers_pods_and_lets_the_first_one_start() -> None:
    world = World(*(node(f"n{i}", labels={ZONE: f"z{i % 3}"}) for i in range(9)))
    together = affinity("podAffinity", ZONE)
    homes = {world.place(pod(affinity=together)) for _ in range(12)}
    assert len({int(name[1:]) % 3 for name in homes}) == 1
    assert "didn't match pod affinity rules" in world.place(pod(affinity=affinity("podAffinity", ZONE, "nobody")))


def test_preferred_affinity_attracts_and_repels() -> None:
    world = World(node("a"), node("b"))
    home = world.place(pod(labels={"app": "db"}))
    assert world.place(pod(labels={"app": "x"}, affinity=affinity("podAffinity", HOST, "db", preferred=True))) == home
    away = affinity("podAntiAffinity", HOST, "db", preferred=True)
    assert world.place(pod(labels={"app": "x"}, affinity=away)) != home


def test_anti_affinity_speaks_of_its_own_namespace_only_unless_told() -> None:
    world = World(node("a"))
    world.place(pod(labels={"app": "a"}))
    other = affinity("podAntiAffinity", HOST)
    other["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0]["namespaces"] = ["elsewhere"]
    assert world.place(pod(labels={"app": "b"}, affinity=other)) == "a"
    everywhere = affinity("podAntiAffinity", HOST)
    everywhere["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0]["namespaceSelector"] = {}
    assert "anti-affinity" in world.place(pod(labels={"app": "b"}, affinity=everywhere))


def test_a_namespace_selector_reads_the_namespaces_labels() -> None:
    labelled = msgspec.convert({"metadata": {"name": "default", "labels": {"team": "x"}}}, Namespace)
    world = World(node("a"), lookups=Lookups(namespace=lambda name: labelled if name == "default" else None))
    world.place(pod(labels={"app": "a"}))
    chosen = affinity("podAntiAffinity", HOST)
    term = chosen["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0]
    term["namespaceSelector"] = {"matchLabels": {"team": "x"}}
    assert "anti-affinity" in world.place(pod(labels={"app": "b"}, affinity=chosen))


def spread(key: str, skew: int = 1, when: str = "DoNotSchedule", **rest: Any) -> list[dict[str, Any]]:
    selector = {"matchLabels": {"app": "a"}}
    return [{"maxSkew": skew, "topologyKey": key, "whenUnsatisfiable": when, "labelSelector": selector, **rest}]


def test_spreading_fills_zones_evenly() -> None:
    world = World(*(node(f"n{i}", cpu="100", labels={ZONE: "big" if i else "small"}) for i in range(5)))
    homes = [world.place(pod(topologySpreadConstraints=spread(ZONE))) for _ in range(20)]
    assert homes.count("n0") == 10


def test_a_full_zone_stops_spreading_past_the_skew() -> None:
    world = World(node("a", cpu="150m", labels={ZONE: "x"}), node("b", labels={ZONE: "y"}))
    limits = spread(ZONE)
    placed = [world.place(pod(topologySpreadConstraints=limits)) for _ in range(3)]
    assert sorted(placed[:2]) == ["a", "b"]
    assert placed[2] == "b"
    message = world.place(pod(topologySpreadConstraints=limits))
    assert "1 Insufficient cpu" in message
    assert "1 node(s) didn't match pod topology spread constraints" in message


def test_fewer_domains_than_wanted_count_as_empty() -> None:
    world = World(node("a", labels={ZONE: "x"}))
    limits = spread(ZONE, minDomains=2)
    assert world.place(pod(topologySpreadConstraints=limits)) == "a"
    assert "topology spread" in world.place(pod(topologySpreadConstraints=limits))


def test_nodes_without_the_label_cannot_take_a_pod_that_must_spread() -> None:
    world = World(node("a"))
    assert "missing required label" in world.place(pod(topologySpreadConstraints=spread(ZONE)))


def test_pods_on_nodes_that_the_policies_leave_out_do_not_count() -> None:
    tainted = node("old", labels={ZONE: "x"}, taints=[{"key": "k", "effect": "NoSchedule"}])
    world = World(tainted, node("a", labels={ZONE: "x"}), node("b", cpu="50m", labels={ZONE: "y"}))
    for name in ("p", "q"):
        world.place(pod(name), "old")
    strict = spread(ZONE, nodeTaintsPolicy="Honor")
    assert world.place(pod(topologySpreadConstraints=strict)) == "a"
    assert "1 Insufficient cpu" in world.place(pod(topologySpreadConstraints=spread(ZONE)))
    world = World(*(node(name, labels={ZONE: "x", "disk": name}) for name in ("hdd", "ssd")))
    world.place(pod(), "hdd")
    picky = {"nodeSelector": {"disk": "ssd"}, "topologySpreadConstraints": spread(ZONE, minDomains=2)}
    assert world.place(pod(**picky)) == "ssd"


def test_nodes_without_every_label_of_the_constraints_do_not_count() -> None:
    world = World(node("bare", labels={ZONE: "y"}), node("a", labels={ZONE: "x", "rack": "1"}))
    both = [*spread(ZONE), *spread("rack")]
    world.place(pod(), "a")
    assert world.place(pod(topologySpreadConstraints=both)) == "a"


def test_a_node_without_the_label_is_the_last_wish() -> None:
    world = World(node("bare", cpu="64"), node("a", labels={ZONE: "x"}))
    world.place(pod(), "a")
    assert world.place(pod(topologySpreadConstraints=spread(ZONE, when="ScheduleAnyway"))) == "a"


def test_whoever_one_wants_to_be_near_must_be_meant_by_every_term() -> None:
    world = World(node("a", labels={ZONE: "x"}), node("b", labels={ZONE: "y"}))
    world.place(pod(labels={"app": "db"}), "a")
    world.place(pod(labels={"app": "db", "tier": "1"}), "b")
    terms = [
        {"labelSelector": {"matchLabels": labels}, "topologyKey": ZONE} for labels in ({"app": "db"}, {"tier": "1"})
    ]
    near = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    assert world.place(pod(labels={"app": "x"}, affinity=near)) == "b"
    world.snapshot.remove_node("b")
    assert "didn't match pod affinity rules" in world.place(pod(labels={"app": "x"}, affinity=near))


def test_wishes_to_spread_are_only_wishes() -> None:
    world = World(node("a", labels={ZONE: "x"}), node("b", labels={ZONE: "y"}))
    wish = spread(ZONE, when="ScheduleAnyway")
    homes = [world.place(pod(topologySpreadConstraints=wish)) for _ in range(10)]
    assert homes.count("a") == 5


def test_gates_hold_a_pod_back() -> None:
    message = World(node("a")).place(pod(schedulingGates=[{"name": "example.com/wait"}]))
    assert message == "0/1 nodes are available: waiting for scheduling gates: [example.com/wait]."


def test_without_nodes_the_message_says_so() -> None:
    assert World().place(pod()) == "no nodes available to schedule pods"


def claim(name: str, *, volume: str = "", storage_class: str = "wait") -> PersistentVolumeClaim:
    spec = {"volumeName": volume, "storageClassName": storage_class, "accessModes": ["ReadWriteOnce"]}
    return msgspec.convert({"metadata": {"name": name, "uid": name}, "spec": spec}, PersistentVolumeClaim)


def volume_on(name: str, host: str) -> PersistentVolume:
    term = {"matchExpressions": [{"key": HOST, "operator": "In", "values": [host]}]}
    return msgspec.convert(
        {"metadata": {"name": name}, "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}}},
        PersistentVolume,
    )


def with_claim(name: str) -> PodInfo:
    return pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": name}}])


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


def room(world: World, urgent: PodInfo, *budgets: preemption.Budget) -> preemption.Eviction | preemption.NoWay:
    """How the scheduler would make room for a pod that fits nowhere."""
    why = world.decider.decide(urgent)
    assert isinstance(why, Unschedulable)
    return preemption.find(urgent, world.decider.class_of(urgent), why, world.snapshot, budgets)


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
