"""Pods that want to be near one another, or apart."""

import msgspec
from tests.unit.scheduler.world import (
    HOST,
    ZONE,
    World,
    affinity,
    node,
    pod,
)

from mizzen.api.views.core import Namespace
from mizzen.scheduler.snapshot import Lookups


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
