"""What every plugin gives the nodes, reckoned by hand from the formulas of the original, and what they add up to."""

from typing import Any

import msgspec
import pytest
from tests.unit.scheduler.test_volumes import claim, seen, using, volume
from tests.unit.scheduler.world import HOST, ZONE, World, node, pod

from mizzen.api.views.core import ContainerImage, Node
from mizzen.api.views.meta import LabelSelector
from mizzen.api.views.storage import CSIDriver, CSIStorageCapacity
from mizzen.scheduler.classes import PodClass
from mizzen.scheduler.framework import Plugin
from mizzen.scheduler.plugins import (
    PLUGINS,
    balanced,
    fit,
    image_locality,
    inter_pod_affinity,
    node_affinity,
    taints,
    topology_spread,
    volumes,
)
from mizzen.scheduler.snapshot import Lookups, PodInfo


def scores(world: World, info: PodInfo, *plugins: Plugin) -> dict[str, float]:
    return PodClass(info, world.snapshot, plugins, lambda: 0.0).feasible()


def tainted(name: str, number: int) -> Node:
    return node(name, taints=[{"key": f"k{one}", "effect": "PreferNoSchedule"} for one in range(number)])


def test_taints_count_against_the_most_avoided_node() -> None:
    world = World(tainted("a", 0), tainted("b", 1), tainted("c", 3))
    assert scores(world, pod(), taints.PLUGIN) == {"a": 300, "b": 3 * (100 - 33), "c": 0}
    assert scores(World(tainted("a", 0)), pod(), taints.PLUGIN) == {"a": 300}


def test_node_affinity_is_in_proportion_to_the_best_node_there_is() -> None:
    def wants(value: str, weight: int) -> dict[str, Any]:
        one = {"key": "disk", "operator": "In", "values": [value]}
        return {"weight": weight, "preference": {"matchExpressions": [one]}}

    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [wants("ssd", 80), wants("hdd", 30)]}
    info = pod(affinity={"nodeAffinity": preferred})
    world = World(node("a", labels={"disk": "hdd"}), node("b", labels={"disk": "ssd"}), node("c"))
    assert scores(world, info, node_affinity.PLUGIN) == {"a": 2 * 37, "b": 200, "c": 0}
    world.snapshot.remove_node("b")
    assert scores(world, info, node_affinity.PLUGIN) == {"a": 200, "c": 0}


@pytest.mark.parametrize(
    ("scoring", "expected"),
    [
        ({"type": "LeastAllocated"}, (66 + 75) // 2),
        ({"type": "LeastAllocated", "resources": [{"name": "cpu", "weight": 3}, {"name": "memory"}]}, 68),
        ({"type": "MostAllocated", "resources": [{"name": "cpu", "weight": 3}, {"name": "memory"}]}, 31),
        ({"type": "LeastAllocated", "resources": [{"name": "cpu"}, {"name": "example.com/gpu", "weight": 9}]}, 66),
        ({"type": "LeastAllocated", "resources": [{"name": "cpu"}, {"name": "ephemeral-storage"}]}, (66 + 100) // 2),
    ],
)
def test_resources_score_in_whole_hundredths_weighed_by_resource(scoring: dict[str, Any], expected: int) -> None:
    there = node("a", cpu="3", more={"ephemeral-storage": "1Gi", "example.com/gpu": "4"})
    plugin = fit.plugin(fit.parse({"scoringStrategy": scoring}))
    assert scores(World(there), pod(cpu="1", memory="2Gi"), plugin) == {"a": expected}


def test_a_falling_shape_leaves_out_what_scores_nothing() -> None:
    falling = {"shape": [{"utilization": 0, "score": 10}, {"utilization": 100, "score": 0}]}
    scoring = {"type": "RequestedToCapacityRatio", "requestedToCapacityRatio": falling}
    plugin = fit.plugin(fit.parse({"scoringStrategy": scoring}))
    world = World(node("a", cpu="3", memory="2Gi"), node("b", cpu="3", memory="8Gi"))
    assert scores(world, pod(cpu="1", memory="2Gi"), plugin) == {"a": 67, "b": 71}


def test_balance_is_what_the_pod_makes_better_or_worse() -> None:
    world = World(node("busy"), node("idle"))
    world.place(pod(cpu="2", memory="0"), "busy")
    assert scores(world, pod(cpu="0", memory="4Gi"), balanced.PLUGIN) == {
        "busy": 50 + (50 + 100 - 75) // 2,
        "idle": 50 + (50 + 75 - 100) // 2,
    }
    assert scores(world, pod(cpu="0"), balanced.PLUGIN) == {"busy": 0, "idle": 0}


@pytest.mark.parametrize("cpu", ["1", "3", "7"])
@pytest.mark.parametrize("memory", ["0", "1Gi", "6Gi", "40Gi"])
def test_two_resources_are_balanced_alike_whether_or_not_a_third_was_named(cpu: str, memory: str) -> None:
    named = balanced.plugin(balanced.parse({"resources": [{"name": one} for one in ("cpu", "memory", "x.io/y")]}))
    placed = pod(containers=[{"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory, "x.io/y": 4}}}])
    world = World(node("a"), node("b"), node("c", more={"cpu": "0"}))
    world.place(placed, "b")
    asked = pod(containers=[{"name": "c", "resources": {"requests": {"cpu": memory, "memory": cpu, "x.io/y": 1}}}])
    assert scores(world, asked, named) == scores(world, pod(cpu=memory, memory=cpu), balanced.PLUGIN)


def test_three_resources_are_balanced_by_their_standard_deviation() -> None:
    plugin = balanced.plugin(balanced.parse({"resources": [{"name": one} for one in ("cpu", "memory", "x.io/y")]}))
    requests = {"cpu": "2", "memory": "4Gi", "x.io/y": 4}
    info = pod(containers=[{"name": "c", "resources": {"requests": requests}}])
    # Shares of ½, ½ and 1: a mean of ⅔, variances of 1⁄36, 1⁄36 and 1⁄9, a deviation of 0.2357.
    assert scores(World(node("a", more={"x.io/y": "4"})), info, plugin) == {"a": 50 + (50 + 76 - 100) // 2}


def test_an_image_counts_by_its_size_and_how_many_nodes_hold_it() -> None:
    def holding(name: str, *images: str) -> Node:
        held = tuple(ContainerImage((image,), 523 * 2**20) for image in images)
        one = node(name)
        return msgspec.structs.replace(one, status=msgspec.structs.replace(one.status, images=held))

    world = World(holding("a", "i:1"), node("b"))
    info = pod(containers=[{"name": "c", "image": "i:1"}])
    seen = PodClass(info, world.snapshot, [image_locality.PLUGIN], lambda: 0.0)
    assert seen.feasible() == {"a": int(100 * (523 / 2 - 23) / 977), "b": 0}
    world.snapshot.changed = seen.dirty.add
    world.snapshot.set_node(holding("b", "i:1"))
    assert seen.feasible() == {"a": 51, "b": 51}, "more nodes hold it, though nothing about a is new"
    volumes = [{"name": "v", "image": {"reference": "i:1"}}]
    more = pod(containers=[{"name": "c", "image": "other"}], volumes=volumes)
    assert scores(world, more, image_locality.PLUGIN) == {"a": 25, "b": 25}


def near(app: str, key: str, weight: int) -> dict[str, Any]:
    term = {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key}
    return {"weight": weight, "podAffinityTerm": term}


def test_attractions_are_added_before_they_are_compared() -> None:
    world = World(*(node(name, labels={ZONE: zone}) for name, zone in (("a", "x"), ("b", "x"), ("c", "y"))))
    for app, where in (("web", "a"), ("web", "b"), ("db", "a")):
        world.place(pod(labels={"app": app}), where)
    affinity = {
        "podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [near("web", ZONE, 100)]},
        "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [near("db", HOST, 50)]},
    }
    info = pod(labels={"app": "new"}, affinity=affinity)
    assert scores(world, info, inter_pod_affinity.PLUGIN) == {"a": 2 * 75, "b": 200, "c": 0}


def test_whoever_ignores_the_wishes_of_others_and_has_none_is_not_scored() -> None:
    world = World(node("a"), node("b"))
    required = {"labelSelector": {"matchLabels": {"app": "new"}}, "topologyKey": HOST}
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [required]}}
    world.place(pod(labels={"app": "old"}, affinity=affinity), "a")
    info = pod(labels={"app": "new"})
    assert scores(world, info, inter_pod_affinity.PLUGIN) == {"a": 200, "b": 0}
    deaf = inter_pod_affinity.plugin(inter_pod_affinity.parse({"ignorePreferredTermsOfExistingPods": True}))
    assert scores(world, info, deaf) == {"a": 0, "b": 0}


def spread(key: str, skew: int, when: str = "ScheduleAnyway") -> dict[str, Any]:
    selector = {"matchLabels": {"app": "a"}}
    return {"maxSkew": skew, "topologyKey": key, "whenUnsatisfiable": when, "labelSelector": selector}


def zoned() -> World:
    world = World(*(node(name, labels={ZONE: zone}) for name, zone in (("a", "x"), ("b", "x"), ("c", "y"))), node("d"))
    for where in ("a", "a", "b"):
        world.place(pod(), where)
    return world


def test_spreading_weighs_each_key_by_its_domains() -> None:
    info = pod(topologySpreadConstraints=[spread(ZONE, 1), spread(HOST, 2)])
    # Two zones weigh ln 4, three hosts (d does not count) ln 5; a: 3 ln 4 + 2 ln 5 + 1 = 8.4, b: 6.8, c: 1.
    assert scores(zoned(), info, topology_spread.PLUGIN) == {"a": 2 * 12, "b": 2 * 25, "c": 200, "d": 0}


def test_a_constraint_that_must_hold_gives_no_scores() -> None:
    info = pod(topologySpreadConstraints=[spread(ZONE, 9, "DoNotSchedule")])
    assert scores(zoned(), info, topology_spread.PLUGIN) == {"a": 0, "b": 0, "c": 0}


def test_by_the_usual_constraints_a_node_counts_without_its_zone() -> None:
    world = World(
        node("a", labels={ZONE: "x"}), node("d"), lookups=Lookups(siblings=lambda _pod: LabelSelector({"app": "a"}))
    )
    # Before any pod is there a scores (3 - 1) + (5 - 1), d, which has no zone, 5 - 1.
    assert scores(world, pod(), topology_spread.PLUGIN) == {"a": 2 * 66, "d": 200}
    world.place(pod(), "a")
    # One zone weighs ln 3, two hosts ln 4: 1.1 + 2 + 1.4 + 4 = 8.5 against 4.
    assert scores(world, pod(), topology_spread.PLUGIN) == {"a": 2 * 50, "d": 200}
    one = {"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "ScheduleAnyway"}
    listed = {"defaultingType": "List", "defaultConstraints": [one]}
    strict = topology_spread.plugin(topology_spread.parse(listed))
    assert scores(world, pod(), strict) == {"a": 200, "d": 0}


def test_the_roomiest_storage_comes_first() -> None:
    def space(zone: str, size: str) -> CSIStorageCapacity:
        body = {"storageClassName": "late", "capacity": size, "nodeTopology": {"matchLabels": {ZONE: zone}}}
        return msgspec.convert(body, CSIStorageCapacity)

    driver = msgspec.convert({"spec": {"storageCapacity": True}}, CSIDriver)
    facts = seen(
        [claim("x", "10Gi"), claim("y", "10Gi")],
        provisioner="disk.example.com",
        csi_driver=lambda name: driver,
        storage_capacities=lambda: [space("x", "40Gi"), space("y", "100Gi")],
    )
    world = World(node("a", labels={ZONE: "x"}), node("b", labels={ZONE: "y"}), lookups=facts)
    assert scores(world, using("x"), volumes.PLUGIN) == {"a": 75, "b": 90}
    assert scores(world, using("x", "y"), volumes.PLUGIN) == {"a": 50, "b": 80}
    tight = volumes.plugin(
        volumes.parse({"shape": [{"utilization": 0, "score": 0}, {"utilization": 100, "score": 10}]})
    )
    assert scores(world, using("x"), tight) == {"a": 25, "b": 10}


def test_a_volume_that_is_there_is_scored_by_how_much_of_it_is_used() -> None:
    there = [volume("large", "40Gi", "a"), volume("small", "20Gi", "b")]
    world = World(node("a"), node("b"), lookups=seen([claim("x", "10Gi")], there))
    assert scores(world, using("x"), volumes.PLUGIN) == {"a": 75, "b": 50}


def test_together_the_weights_decide() -> None:
    """An avoided node that the pod prefers loses to a fuller one that it does not: 300 for no taint against 200."""
    world = World(
        node("wished", labels={"disk": "ssd"}, taints=[{"key": "k", "effect": "PreferNoSchedule"}]), node("b")
    )
    world.place(pod(cpu="1600m", memory="3Gi"), "b")
    term = {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": term}]}
    info = pod(cpu="400m", memory="1Gi", affinity={"nodeAffinity": preferred})
    # NodeResourcesFit 88 and 50, balance 74 and 76.
    assert scores(world, info, *PLUGINS) == {"wished": 88 + 74 + 200, "b": 50 + 76 + 300}
    assert world.place(info) == "b"
