"""Hand-made clusters for the scheduler to decide on: nodes, pods, claims, and where pods went."""

import itertools
import random
from typing import Any

import msgspec

from mizzen.api.views.core import Node, PersistentVolume, PersistentVolumeClaim, Pod
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


def affinity(kind: str, key: str, app: str = "a", *, preferred: bool = False) -> dict[str, Any]:
    term = {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key}
    if preferred:
        return {kind: {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 50, "podAffinityTerm": term}]}}
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def spread(key: str, skew: int = 1, when: str = "DoNotSchedule", **rest: Any) -> list[dict[str, Any]]:
    selector = {"matchLabels": {"app": "a"}}
    return [{"maxSkew": skew, "topologyKey": key, "whenUnsatisfiable": when, "labelSelector": selector, **rest}]


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


def room(world: World, urgent: PodInfo, *budgets: preemption.Budget) -> preemption.Eviction | preemption.NoWay:
    """How the scheduler would make room for a pod that fits nowhere."""
    why = world.decider.decide(urgent)
    assert isinstance(why, Unschedulable)
    return preemption.find(urgent, world.decider.class_of(urgent), why, world.snapshot, budgets)
