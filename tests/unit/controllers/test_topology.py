"""Which zone each endpoint is meant for."""

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.controllers.test_endpointslices import NOW, pod, service, stored

from mizzen.api.views.core import Node, Service
from mizzen.controllers import endpointslices, topology
from mizzen.controllers.endpointslices import Snapshot
from mizzen.reconcile.plan import Create, Plan

ZONES = ("a", "b", "c")


def node(name: str, zone: str = "", cpu: str = "1", ready: str = "True", **labels: str) -> Node:
    body = {
        "metadata": {"name": name, "labels": {**({topology.ZONE: zone} if zone else {}), **labels}},
        "status": {"allocatable": {"cpu": cpu} if cpu else {}, "conditions": [{"type": "Ready", "status": ready}]},
    }
    return msgspec.convert(body, Node)


def test_zones_share_in_proportion_to_the_processors_of_nodes_that_take_pods() -> None:
    found = topology.shares(
        [
            node("1", "a", "2"),
            node("2", "a", "1"),
            node("3", "b", "500m"),
            node("4", "b", "500m"),
            node("5", "c", ready="False"),
            node("6", "c", **{"node-role.kubernetes.io/control-plane": ""}),
        ]
    )
    assert found == {"a": 0.75, "b": 0.25}


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ([node("1", "a"), node("2", "b"), node("3")], "do not have their zone"),
        ([node("1", "a"), node("2", "b", cpu="")], "do not have their zone"),
        ([node("1", "a"), node("2", "a")], "fewer than two zones"),
        ([], "fewer than two zones"),
    ],
)
def test_nodes_that_tell_too_little_give_no_shares(nodes: list[Node], why: str) -> None:
    found = topology.shares(nodes)
    assert isinstance(found, str) and why in found


def test_endpoints_stay_in_their_zone_and_are_lent_only_where_too_few_are() -> None:
    equal = {"a": 0.5, "b": 0.5}
    even = {f"{zone}{n}": zone for zone in "ab" for n in range(3)}
    assert topology.meant_for(even, equal) == even
    skewed = {**{f"a{n}": "a" for n in range(5)}, "b0": "b"}
    meant = topology.meant_for(skewed, equal)
    assert isinstance(meant, dict)
    assert {key for key in skewed if meant[key] != skewed[key]} == {"a3", "a4"}


@pytest.mark.parametrize(
    ("zones", "why"),
    [
        ({"x": "a"}, "Insufficient"),
        ({"w": "a", "x": "a", "y": "b", "z": ""}, "do not have a zone"),
        ({}, "Insufficient"),
    ],
)
def test_too_few_endpoints_or_ones_without_a_zone_are_meant_for_all(zones: dict[str, str], why: str) -> None:
    found = topology.meant_for(zones, {"a": 0.5, "b": 0.5})
    assert isinstance(found, str) and why in found


@given(
    where=st.lists(st.sampled_from((*ZONES, "elsewhere")), max_size=40),
    cpus=st.lists(st.integers(1, 64), min_size=3, max_size=3),
)
def test_no_zone_has_more_than_a_fifth_too_few(where: list[str], cpus: list[int]) -> None:
    known = {zone: cpu / sum(cpus) for zone, cpu in zip(ZONES, cpus, strict=True)}
    zones = {f"e{n:02}": zone for n, zone in enumerate(where)}
    meant = topology.meant_for(zones, known)
    if isinstance(meant, str):
        return
    count = Counter(meant.values())
    assert meant.keys() == zones.keys()
    for zone, share in known.items():
        assert count[zone] * 1.2 >= share * len(zones) - 1e-9
    assert topology.meant_for(dict(reversed(zones.items())), known) == meant


def aware(**spec: Any) -> Service:
    plain = service(**spec)
    annotations = {"service.kubernetes.io/topology-mode": "Auto"}
    return msgspec.structs.replace(plain, metadata=msgspec.structs.replace(plain.metadata, annotations=annotations))


def seen(shares: topology.Shares | str | None, *slices: Any, ready: int = 4) -> Snapshot:
    pods = tuple(
        msgspec.structs.replace(one, spec=msgspec.structs.replace(one.spec, nodeName=f"n{number % 2}"))
        for number in range(4)
        for one in (pod(number, ready=number < ready),)
    )
    return Snapshot(aware(trafficDistribution="PreferSameNode"), pods, {"n0": "a", "n1": "b"}, slices, shares)


def hints(plan: Plan) -> list[Any]:
    [made] = [one for one in plan.actions if isinstance(one, Create)]
    return [one.get("hints") for one in made.body["endpoints"]]


def test_slices_have_hints_in_proportion_and_the_service_is_told_when_that_changes() -> None:
    plan = endpointslices.reconcile(seen({"a": 0.5, "b": 0.5}), NOW)
    assert hints(plan) == [{"forZones": [{"name": zone}]} for zone in "abab"]
    assert [note.reason for note in plan.notes] == ["TopologyAwareHintsEnabled"]
    [create] = plan.actions
    assert isinstance(create, Create)
    kept = stored(create, "s")
    assert not endpointslices.reconcile(seen({"a": 0.5, "b": 0.5}, kept), NOW)
    off = endpointslices.reconcile(seen("There are fewer than two zones", kept), NOW)
    assert [(note.reason, note.type) for note in off.notes] == [("TopologyAwareHintsDisabled", "Warning")]
    [patch] = off.actions
    assert all("hints" not in one for one in patch.patch["endpoints"])  # type: ignore[union-attr, index]


def test_endpoints_that_are_not_ready_have_no_hints() -> None:
    assert hints(endpointslices.reconcile(seen({"a": 0.5, "b": 0.5}, ready=2), NOW)) == [
        {"forZones": [{"name": "a"}]},
        {"forZones": [{"name": "b"}]},
        None,
        None,
    ]
