"""Pods that spread over zones and hosts."""

from tests.unit.scheduler.world import ZONE, World, node, pod, spread


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


def test_wishes_to_spread_are_only_wishes() -> None:
    world = World(node("a", labels={ZONE: "x"}), node("b", labels={ZONE: "y"}))
    wish = spread(ZONE, when="ScheduleAnyway")
    homes = [world.place(pod(topologySpreadConstraints=wish)) for _ in range(10)]
    assert homes.count("a") == 5
