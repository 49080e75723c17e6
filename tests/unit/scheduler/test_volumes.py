"""Pods with volumes: which nodes can have them, and which free volume a claim gets."""

from collections.abc import Sequence
from typing import Any

import msgspec
from tests.unit.scheduler.world import HOST, ZONE, World, node, pod, room

from mizzen.api.views.core import PersistentVolume, PersistentVolumeClaim
from mizzen.api.views.storage import CSIDriver, CSIStorageCapacity, StorageClass
from mizzen.scheduler import preemption, volumes
from mizzen.scheduler.snapshot import Lookups, PodInfo

LATE = {"volumeBindingMode": "WaitForFirstConsumer"}


def claim(name: str, size: str = "1Gi", **rest: Any) -> PersistentVolumeClaim:
    meta = {"name": name, "namespace": "default", "uid": name, "annotations": rest.pop("annotations", {})}
    spec = {"storageClassName": "late", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    return msgspec.convert({"metadata": meta, "spec": {**spec, **rest}}, PersistentVolumeClaim)


def volume(name: str, size: str, host: str = "a", **rest: Any) -> PersistentVolume:
    term = {"matchExpressions": [{"key": HOST, "operator": "In", "values": [host]}]}
    spec = {
        "storageClassName": "late",
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": size},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        **rest,
    }
    return msgspec.convert({"metadata": {"name": name}, "spec": spec}, PersistentVolume)


def seen(
    claims: Sequence[PersistentVolumeClaim] = (),
    there: Sequence[PersistentVolume] = (),
    provisioner: str = "kubernetes.io/no-provisioner",
    **more: Any,
) -> Lookups:
    kind = msgspec.convert({"metadata": {"name": "late"}, "provisioner": provisioner, **LATE}, StorageClass)
    by_name = {one.metadata.name: one for one in claims}
    return Lookups(
        claim=lambda namespace, name: by_name.get(name),
        volume={one.metadata.name: one for one in there}.get,
        volumes=lambda: there,
        storage_class=lambda name: kind if name == "late" else None,
        **more,
    )


def using(*names: str, name: str = "", **spec: Any) -> PodInfo:
    return pod(name, volumes=[{"name": one, "persistentVolumeClaim": {"claimName": one}} for one in names], **spec)


def test_every_claim_gets_the_smallest_volume_that_fits_and_none_is_given_twice() -> None:
    there = [volume("huge", "100Gi"), volume("mid", "10Gi"), volume("small", "1Gi"), volume("far", "1Gi", "b")]
    world = World(node("a"), lookups=seen([claim("x"), claim("y")], there))
    info = using("x", "y")
    assert world.place(info) == "a"
    chosen = volumes.unbound(info, "a", world.snapshot)
    assert [one.volume.metadata.name for one in chosen if one.volume] == ["small", "mid"]


def test_two_claims_need_two_volumes() -> None:
    world = World(node("a"), lookups=seen([claim("x"), claim("y")], [volume("only", "1Gi")]))
    assert world.place(using("x", "y")) == (
        "0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind."
    )


def test_a_volume_kept_for_a_claim_comes_before_a_smaller_one() -> None:
    kept = volume("kept", "5Gi", claimRef={"namespace": "default", "name": "x"})
    world = World(node("a"), lookups=seen([claim("x")], [volume("small", "1Gi"), kept]))
    (choice,) = volumes.unbound(using("x"), "a", world.snapshot)
    assert choice.volume is kept


def test_a_claim_whose_volume_is_gone_or_elsewhere_says_which() -> None:
    world = World(
        node("a"),
        lookups=seen([claim("x", volumeName="gone"), claim("y", volumeName="far")], [volume("far", "1Gi", "b")]),
    )
    assert world.place(using("x")) == (
        "0/1 nodes are available: 1 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)."
    )
    assert world.place(using("y")) == (
        "0/1 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity."
    )


def test_a_claim_that_is_being_provided_for_one_node_ties_its_pod_to_it() -> None:
    asked = claim("x", annotations={"volume.kubernetes.io/selected-node": "b"})
    world = World(node("a"), node("b"), lookups=seen([asked], provisioner="disk.example.com"))
    assert world.place(using("x")) == "b"


def test_a_driver_that_tells_its_capacity_is_asked_where_there_is_enough() -> None:
    def space(zone: str, size: str) -> CSIStorageCapacity:
        body = {"storageClassName": "late", "capacity": size, "nodeTopology": {"matchLabels": {ZONE: zone}}}
        return msgspec.convert(body, CSIStorageCapacity)

    driver = msgspec.convert({"spec": {"storageCapacity": True}}, CSIDriver)
    facts = seen(
        [claim("x", "10Gi")],
        provisioner="disk.example.com",
        csi_driver=lambda name: driver,
        storage_capacities=lambda: [space("x", "5Gi"), space("y", "50Gi")],
    )
    nodes = [node(name, labels={ZONE: zone}) for name, zone in (("a", "x"), ("b", "y"))]
    world = World(*nodes, lookups=facts)
    assert world.place(using("x")) == "b"
    world.snapshot.remove_node("b")
    assert world.place(using("x")) == "0/1 nodes are available: 1 node(s) did not have enough free storage."


def test_an_ephemeral_claim_that_is_not_made_yet_is_waited_for() -> None:
    world = World(node("a"), lookups=seen())
    wanted = [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}}]
    assert world.place(pod("web", volumes=wanted)) == (
        "0/1 nodes are available: waiting for ephemeral volume controller to create the persistentvolumeclaim "
        '"web-scratch".'
    )


def test_a_claim_for_one_pod_has_one_user_however_fast_the_second_comes() -> None:
    alone = claim("x", volumeName="v", accessModes=["ReadWriteOncePod"])
    facts = seen([alone], [volume("v", "1Gi", nodeAffinity=None)])
    world = World(node("a"), node("b"), lookups=facts)
    first = using("x", name="first")
    where = world.place(first)
    reason = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
    assert world.place(using("x", name="second")) == f"0/2 nodes are available: 2 {reason}."
    way = room(world, using("x", name="urgent", priority=10))
    assert isinstance(way, preemption.Eviction)
    assert (way.node, [one.key for one in way.victims]) == (where, ["default/first"])
    world.snapshot.remove_pod(first.key, where)
    assert world.place(using("x", name="second")) in ("a", "b")
