"""Single plugins with arguments and facts of their own."""

from typing import Any

import msgspec
import pytest
from tests.unit.scheduler.world import ZONE, World, claim, node, pod, spread, with_claim

from mizzen.api.views.core import PersistentVolume, Pod
from mizzen.api.views.meta import LabelSelector
from mizzen.api.views.storage import CSIDriver, CSINode
from mizzen.scheduler.plugins import fit
from mizzen.scheduler.snapshot import Lookups, PodInfo, Snapshot, pod_info


def score(args: dict[str, Any], cpu: str, used: str) -> float:
    snapshot = Snapshot()
    snapshot.set_node(node("a", cpu="10"))
    if used != "0":
        snapshot.set_pod(pod(cpu=used), "a")
    one = {"resources": [{"name": "cpu"}]}
    scoring = {**args, **one}
    scorer = fit.plugin(fit.parse({"scoringStrategy": scoring})).score
    assert scorer is not None
    found = scorer(pod(cpu=cpu), snapshot)
    assert found is not None
    return found(snapshot.nodes["a"])


def test_bin_packing_prefers_full_nodes_and_spreading_empty_ones() -> None:
    assert score({"type": "LeastAllocated"}, "1", "4") == pytest.approx(50)
    assert score({"type": "MostAllocated"}, "1", "6") == pytest.approx(70)


def test_a_shape_scores_between_its_points() -> None:
    points = [{"utilization": 0, "score": 0}, {"utilization": 50, "score": 10}, {"utilization": 100, "score": 0}]
    args = {"type": "RequestedToCapacityRatio", "requestedToCapacityRatio": {"shape": points}}
    assert score(args, "1", "4") == pytest.approx(100)
    assert score(args, "1", "0") == pytest.approx(20)
    assert score(args, "2", "8") == pytest.approx(0)


def test_ignored_resources_do_not_keep_a_pod_away() -> None:
    wants = [{"name": "c", "resources": {"requests": {"example.com/gpu": 1}}}]
    found = fit.plugin(fit.parse({"ignoredResourceGroups": ["example.com"]})).filter
    assert found is not None
    snapshot = Snapshot()
    snapshot.set_node(node("a"))
    verdict = found(pod(containers=wants), snapshot)
    assert verdict is not None
    assert verdict(snapshot.nodes["a"]) is None


def test_requests_of_the_whole_pod_replace_those_of_its_containers() -> None:
    info = pod(cpu="100m", resources={"requests": {"cpu": "2"}})
    assert info.requests["cpu"] == 2000
    assert info.scored[0] == 2000


def resized(**status: Any) -> PodInfo:
    container = {"name": "c", "resources": {"requests": {"cpu": "1"}}}
    body = {"metadata": {"name": "p"}, "spec": {"containers": [container]}, "status": status}
    return pod_info(msgspec.convert(body, Pod))


def test_a_resize_counts_at_the_larger_of_what_is_wanted_and_what_is_held() -> None:
    held = [{"name": "c", "allocatedResources": {"cpu": "3"}, "resources": {"requests": {"cpu": "2"}}}]
    assert resized(containerStatuses=held).requests["cpu"] == 3000
    less = [{"name": "c", "allocatedResources": {"cpu": "500m"}}]
    assert resized(containerStatuses=less).requests["cpu"] == 1000
    refused = [{"type": "PodResizePending", "reason": "Infeasible", "status": "True"}]
    assert resized(containerStatuses=less, conditions=refused).requests["cpu"] == 500


def test_a_resize_of_the_whole_pod_counts_at_the_larger_of_what_is_wanted_and_held() -> None:
    container = {"name": "c", "resources": {"requests": {"cpu": "100m"}}}
    spec = {"containers": [container], "resources": {"requests": {"cpu": "1"}}}
    status = {"allocatedResources": {"cpu": "2"}, "resources": {"requests": {"cpu": "3"}}}
    info = pod_info(msgspec.convert({"metadata": {"name": "p"}, "spec": spec, "status": status}, Pod))
    assert info.requests["cpu"] == info.scored[0] == 3000


def test_scoring_counts_overhead_and_what_init_containers_need_at_their_peak() -> None:
    init = [{"name": "i", "resources": {"requests": {"cpu": "2"}}}]
    assert pod(cpu="1", initContainers=init, overhead={"cpu": "250m"}).scored[0] == 2250


def test_pods_that_belong_together_are_spread_without_being_asked() -> None:
    lookups = Lookups(siblings=lambda one: LabelSelector({"app": one.metadata.labels["app"]}))
    world = World(*(node(f"n{i}", cpu=str(8 + 8 * i), labels={ZONE: f"z{i % 2}"}) for i in range(4)), lookups=lookups)
    homes = [world.place(pod(cpu="10m")) for _ in range(4)]
    assert len(set(homes)) == 4


def test_constraints_of_ones_own_replace_the_default() -> None:
    lookups = Lookups(siblings=lambda one: LabelSelector({"app": "other"}))
    world = World(node("a", labels={ZONE: "x"}), node("b", labels={ZONE: "y"}), lookups=lookups)
    assert {world.place(pod(topologySpreadConstraints=spread(ZONE))) for _ in range(2)} == {"a", "b"}


def csi_volume(name: str, **labels: str) -> PersistentVolume:
    spec = {"csi": {"driver": "disk.example.com", "volumeHandle": name}}
    return msgspec.convert({"metadata": {"name": name, "labels": labels}, "spec": spec}, PersistentVolume)


def test_a_driver_attaches_no_more_volumes_than_it_can() -> None:
    drivers = [{"name": "disk.example.com", "allocatable": {"count": 1}}]
    limits = msgspec.convert({"metadata": {"name": "a"}, "spec": {"drivers": drivers}}, CSINode)
    lookups = Lookups(
        claim=lambda namespace, name: claim(name, volume=f"pv-{name}"), volume=csi_volume, csi_node=lambda name: limits
    )
    world = World(node("a"), lookups=lookups)
    assert world.place(with_claim("x")) == "a"
    assert "exceed max volume count" in world.place(with_claim("y"))
    assert world.place(with_claim("x")) == "a"


def test_a_driver_can_keep_pods_off_nodes_where_it_does_not_run() -> None:
    there = msgspec.convert({"spec": {"drivers": [{"name": "disk.example.com"}]}}, CSINode)
    strict = msgspec.convert({"spec": {"preventPodSchedulingIfMissing": True}}, CSIDriver)
    lookups = Lookups(
        claim=lambda namespace, name: claim(name, volume=f"pv-{name}"),
        volume=csi_volume,
        csi_node=lambda name: there if name == "b" else None,
        csi_driver=lambda name: strict,
    )
    world = World(node("a"), node("b"), lookups=lookups)
    assert world.place(with_claim("x")) == "b"
    world.snapshot.remove_node("b")
    assert "did not have the required CSI driver" in world.place(with_claim("x"))


def test_a_volume_of_a_zone_is_used_there() -> None:
    lookups = Lookups(
        claim=lambda namespace, name: claim(name, volume="pv"), volume=lambda name: csi_volume("pv", **{ZONE: "x__z"})
    )
    world = World(node("a", labels={ZONE: "y"}), node("b", labels={ZONE: "z"}), lookups=lookups)
    assert world.place(with_claim("data")) == "b"
    world.snapshot.remove_node("b")
    assert "had no available volume zone" in world.place(with_claim("data"))
