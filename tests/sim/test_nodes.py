"""Nodes under every kind of trouble: address ranges, the pace of evictions, pods that nobody looks after."""

from itertools import pairwise
from typing import Any

from tests.sim.story import check
from tests.sim.world import World, add_nodes

from mizzen.client.resources import NODES, PODS
from mizzen.controllers import node_evictions, node_ranges, nodes, podgc
from mizzen.controllers.config import Config
from mizzen.machinery import times
from mizzen.machinery.errors import Object

ZONE = "topology.kubernetes.io/zone"


def test_no_range_of_pod_addresses_is_given_twice(seeds: range) -> None:
    check(seeds, number)


def number(seed: int) -> None:
    controllers = (node_ranges.ranges(Config(cluster_cidrs=("10.244.0.0/21",))), node_ranges.NODE_TTL)
    world = World(seed, controllers)
    add_nodes(world, ("n1", "n2", "n3"))
    problems: list[str] = []

    def watch(_where: Any, _old: Any, _new: Any) -> None:
        given = [one["spec"]["podCIDR"] for one in world.all(NODES) if (one.get("spec") or {}).get("podCIDR")]
        if len(given) != len(set(given)):
            problems.append(str(given))

    world.api.changed = watch
    world.users = (
        lambda w: w.api.delete(("", "nodes"), "", "n1"),
        lambda w: add_nodes(w, ("n4", "n5")),
    )
    world.live(60)
    assert not problems, f"seed {seed}: {problems}"
    for one in world.all(NODES):
        assert one["spec"]["podCIDR"] in one["spec"]["podCIDRs"], f"seed {seed}"
        assert one["metadata"]["annotations"][node_ranges.TTL] == "0", f"seed {seed}"


def test_nodes_lose_their_pods_at_a_pace_and_never_all_of_them(seeds: range) -> None:
    check(seeds, silence)


def silence(seed: int) -> None:
    world = World(seed, (nodes.lifecycle(Config()), node_evictions.CONTROLLER))
    for zone, size in (("a", 4), ("b", 5)):
        for index in range(size):
            _add(world, f"{zone}{index}", zone)
    silent = world.rng.choice((("a0", "a1"), ("a0", "a1", "a2"), ("a0", "a1", "b0"), _everybody(world)))
    began: dict[str, float] = {}

    def watch(where: Any, _old: Any, new: Any) -> None:
        if where == ("", "nodes") and new is not None:
            taints = (new.get("spec") or {}).get("taints") or ()
            if any(one["effect"] == "NoExecute" for one in taints):
                began.setdefault(new["metadata"]["name"], world.clock.elapsed)

    world.api.changed = watch
    world.users = tuple(_silencing(name) for name in silent)
    world.live(60, horizon=2000)
    in_a = sorted(at for name, at in began.items() if name.startswith("a"))
    if len(silent) == 9:
        assert len(began) < 9, f"seed {seed}: a cluster that is silent altogether is left alone"
        evicting = [one["metadata"]["name"] for one in world.all(NODES) if _is_tainted(one, "NoExecute")]
        assert not evicting, f"seed {seed}: pods of {evicting} still leave"
    elif silent == ("a0", "a1", "a2"):
        assert set(began) < {"a0", "a1", "a2"}, f"seed {seed}: most of a small zone is silent: it is the zone"
    else:
        assert set(began) == set(silent), f"seed {seed}: {began}"
    assert all(later - sooner >= 9 for sooner, later in pairwise(in_a)), f"seed {seed}: {in_a}"
    told = {one["metadata"]["name"] for one in world.all(NODES) if _is_tainted(one, "NoSchedule")}
    assert told == set(silent), f"seed {seed}: nothing new is put on any silent node"


def _everybody(world: World) -> tuple[str, ...]:
    return tuple(one["metadata"]["name"] for one in world.all(NODES))


def _add(world: World, name: str, zone: str) -> None:
    ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": times.format(world.clock.now() + 1e6)}
    body = {"metadata": {"name": name, "labels": {ZONE: zone}}, "status": {"conditions": [ready]}}
    world.api.create(("", "nodes"), body)


def _silencing(name: str) -> Any:
    def act(world: World) -> None:
        unknown = {"type": "Ready", "status": "Unknown", "lastHeartbeatTime": times.format(world.clock.now() + 1e6)}
        world.api.patch(NODES, "", name, {"status": {"conditions": [unknown]}}, "status")

    return act


def _is_tainted(node: Object, effect: str) -> bool:
    return any(one["effect"] == effect for one in (node.get("spec") or {}).get("taints") or ())


def test_only_pods_that_nobody_looks_after_are_garbage(seeds: range) -> None:
    check(seeds, sweep)


def sweep(seed: int) -> None:
    world = World(seed, (podgc.controller(Config(finished_pods_kept=2)),))
    add_nodes(world, ("n1", "n2"))
    phases = ("Running", "Succeeded", "Failed", "Running", "Succeeded", "Failed")
    for at, phase in enumerate(phases):
        node = "n1" if at % 2 else "n2"
        body = {
            "metadata": {"name": f"p{at}", "namespace": "d"},
            "spec": {"nodeName": node},
            "status": {"phase": phase},
        }
        world.api.create(("", "pods"), body)
        world.clock.elapsed += 1
    world.api.create(("", "pods"), {"metadata": {"name": "waits", "namespace": "d"}, "spec": {}})
    held = {"name": "held", "namespace": "d", "finalizers": ["example.com/counted"]}
    world.api.create(("", "pods"), {"metadata": held, "spec": {}})
    world.api.delete(("", "pods"), "d", "held")
    world.users = (lambda w: w.api.delete(("", "nodes"), "", "n2"),)
    world.live(60)
    for _ in range(2):  # the second time its quarantine is over
        for desk in world.desks:
            desk.wake("pods")
        world.settle()
        world.clock.elapsed += podgc.QUARANTINE_SECONDS
    left = {one["metadata"]["name"] for one in world.all(PODS)}
    assert "waits" in left, f"seed {seed}"
    stuck = world.api.get(("", "pods"), "d", "held")
    assert stuck["status"]["phase"] == "Failed", f"seed {seed}: whoever counts it must hear that it has ended"
    assert not left & {"p0", "p2", "p4"}, f"seed {seed}: their node is gone"
    assert "p3" in left, f"seed {seed}: it runs"
    assert {"p1", "p5"} & left, f"seed {seed}: two finished ones are kept"


def test_pods_leave_a_node_that_is_out_of_service_once_it_is_not_ready(seeds: range) -> None:
    check(seeds[::10], abandon)


def abandon(seed: int) -> None:
    world = World(seed, (podgc.controller(Config()),))
    add_nodes(world, ("n1", "n2"))
    taint = {"spec": {"taints": [{"key": podgc.OUT_OF_SERVICE, "effect": "NoExecute"}]}}
    for name in ("n1", "n2"):
        world.api.create(("", "pods"), {"metadata": {"name": name, "namespace": "d"}, "spec": {"nodeName": name}})
        world.api.delete(("", "pods"), "d", name)
        world.api.patch(NODES, "", name, taint)
    down = {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}
    world.users = (lambda w: w.api.patch(NODES, "", "n2", down, "status"),)
    world.live(40)
    for desk in world.desks:
        desk.wake("pods")
    world.settle()
    left = {one["metadata"]["name"] for one in world.all(PODS)}
    assert left == {"n1"}, f"seed {seed}: the agent of n1 is at work and ends its pods itself"
