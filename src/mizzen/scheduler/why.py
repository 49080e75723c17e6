"""Why a pod waits, node by node: everything that stands in the way of each node, and what would unblock it."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, assert_never

from mizzen.api.views.core import Node, Pod
from mizzen.scheduler import preemption
from mizzen.scheduler.cycle import Decider, Unschedulable
from mizzen.scheduler.framework import Plugin, Reject
from mizzen.scheduler.plugins.taints import untolerated
from mizzen.scheduler.preemption import Budget
from mizzen.scheduler.snapshot import Lookups, NodeInfo, PodInfo, Snapshot, pod_info
from mizzen.scheduler.tables import is_finished

_REMEDIES: Mapping[str, str] = {
    "NodeUnschedulable": "uncordon the node: kubectl uncordon {node}",
    "NodeName": "the pod names another node in spec.nodeName",
    "NodeAffinity": "label the node as the pod's nodeSelector and node affinity ask, or relax them",
    "NodePorts": "free the host port on the node, or ask for another one",
    "NodeVolumeLimits": "detach a volume of the same driver from the node, or raise the driver's limit",
    "VolumeBinding": "make a volume available that this node can reach",
    "VolumeZone": "use a volume of the node's zone",
    "PodTopologySpread": "make room in the domains with fewer matching pods, or raise maxSkew",
    "InterPodAffinity": "place or remove the pods that the affinity rules speak of, or relax the rules",
    "DynamicResources": "free devices on the node, or publish more in a ResourceSlice",
    "SchedulingGates": "remove the pod's scheduling gates",
}

_BY_CONDITION = {
    f"node.kubernetes.io/{name}"
    for name in ("memory-pressure", "disk-pressure", "pid-pressure", "not-ready", "unreachable", "network-unavailable")
}
"""Taints that come and go with a condition: who takes them away sees them again."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One plugin's objection to a node, and what would take it away."""

    plugin: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found: a fact about the pod itself, or the obstacles of every node; an empty tuple means it fits."""

    pod: str
    summary: str
    nodes: Mapping[str, tuple[Obstacle, ...]]
    of_the_pod: Obstacle | None = None
    preemption: str = ""

    def document(self) -> dict[str, Any]:
        """The answer as JSON."""

        def shown(one: Obstacle) -> dict[str, str]:
            return {"plugin": one.plugin, "reason": one.reason, "remedy": one.remedy}

        return {
            "pod": self.pod,
            "summary": self.summary,
            "obstacle": shown(self.of_the_pod) if self.of_the_pod else None,
            "nodes": [
                {"name": name, "fits": not found, "obstacles": [shown(one) for one in found]}
                for name, found in self.nodes.items()
            ],
            "preemption": self.preemption,
        }

    def text(self) -> str:
        """The answer for people; nodes with the same obstacles are told once."""
        lines = [f"{self.pod}: {self.summary}"]
        if self.of_the_pod is not None:
            lines += [f"  {self.of_the_pod.reason}", f"    → {self.of_the_pod.remedy}"]
        alike: dict[tuple[tuple[str, str], ...], list[str]] = {}
        for name, found in self.nodes.items():
            alike.setdefault(tuple((one.reason, one.plugin) for one in found), []).append(name)
        for names in alike.values():
            lines.append(f"  {_few(names)}")
            found = self.nodes[names[0]]
            if not found:
                lines.append("    fits")
            for one in found:
                remedy = one.remedy.replace(names[0], "NODE") if len(names) > 1 else one.remedy
                lines += [f"    {one.reason}  [{one.plugin}]", f"      → {remedy}"]
        if self.preemption:
            lines.append(f"  preemption: {self.preemption}")
        return "\n".join(lines)


def ask(
    pod: Pod,
    nodes: Sequence[Node],
    pods: Sequence[Pod],
    seen: Lookups,
    plugins: Sequence[Plugin],
    budgets: Sequence[Budget],
) -> Answer:
    """Judge every node for a pod with the scheduler's own plugins."""
    info = pod_info(pod)
    if pod.spec.nodeName:
        return Answer(info.key, f"is assigned to node {pod.spec.nodeName} already; its phase is {pod.status.phase}", {})
    snapshot = Snapshot(seen)
    for node in nodes:
        snapshot.set_node(node)
    for other in pods:
        if other.spec.nodeName and not is_finished(other):
            snapshot.set_pod(pod_info(other), other.spec.nodeName)
    decider = Decider(snapshot, plugins, random.Random(0).random)
    verdict = decider.decide(info)
    if isinstance(verdict, Unschedulable) and verdict.pod_reason is not None:
        return Answer(info.key, verdict.message, {}, of_the_pod=_obstacle(verdict.pod_reason, info, None))
    alike = decider.class_of(info)
    found = {
        name: tuple(
            _obstacle(replace(reject, reason=reason, more=()), info, snapshot.nodes[name])
            for reject in alike.objections(snapshot.nodes[name])
            for reason in reject.reasons
        )
        for name in sorted(snapshot.nodes)
    }
    if not isinstance(verdict, Unschedulable):
        fitting = sum(1 for one in found.values() if not one)
        return Answer(info.key, f"fits on {fitting}/{len(found)} nodes; the best is {verdict.node}", found)
    way = preemption.find(info, alike, verdict, snapshot, budgets)
    match way:
        case preemption.NoWay():
            text = way.message
        case preemption.Eviction():
            victims = ", ".join(one.key for one in way.victims)
            text = f"node {way.node} would have room without {victims}"
        case _:
            assert_never(way)
    return Answer(info.key, verdict.message, found, preemption=text)


def _obstacle(reject: Reject, pod: PodInfo, node: NodeInfo | None) -> Obstacle:
    return Obstacle(reject.plugin, reject.reason, _remedy(reject, pod, node))


def _remedy(reject: Reject, pod: PodInfo, node: NodeInfo | None) -> str:
    if reject.plugin == "NodeResourcesFit" and node is not None:
        return _room(reject, pod, node)
    if reject.plugin == "TaintToleration" and node is not None and (taint := untolerated(pod, node)) is not None:
        if taint.key in _BY_CONDITION:
            return f"the taint {taint.key} goes with a condition of the node: kubectl describe node {node.name}"
        named = f"{taint.key}={taint.value}:{taint.effect}" if taint.value else f"{taint.key}:{taint.effect}"
        return f"give the pod a toleration for {named}, or remove the taint: kubectl taint node {node.name} {named}-"
    if "persistentvolumeclaim" in reject.reason.lower():
        return "look at the claim: kubectl describe pvc -n " + pod.pod.metadata.namespace
    if "resourceclaim" in reject.reason.lower():
        return "look at the claim: kubectl describe resourceclaim -n " + pod.pod.metadata.namespace
    known = _REMEDIES.get(reject.plugin, "ask who runs the plugin")
    return known.format(node=node.name if node is not None else "")


def _room(reject: Reject, pod: PodInfo, node: NodeInfo) -> str:
    """How much of what is lacking."""
    name = reject.reason.removeprefix("Insufficient ")
    if name == reject.reason:
        return f"remove a pod, or raise the node's limit of {node.allocatable.get('pods', 0)} pods"
    wants, has = pod.requests.get(name, 0), node.allocatable.get(name, 0)
    free = has - node.requested.get(name, 0)
    if wants > has:
        return f"ask for less: the pod wants {_amount(name, wants)}, the whole node has {_amount(name, has)}"
    lacks = _amount(name, wants - free)
    return f"free {lacks}: the pod wants {_amount(name, wants)}, {_amount(name, free)} of {_amount(name, has)} are free"


def _amount(name: str, value: int) -> str:
    if name == "cpu":
        return f"{value / 1000:g} cpu"
    if name == "memory" or name.startswith("hugepages-") or name.endswith("storage"):
        return f"{value / 2**20:,.0f} MiB" if value >= 2**20 or not value else f"{value} bytes"
    return f"{value} {name}"


def _few(names: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    shown = ", ".join(names[:5])
    prefix = "node" if len(names) == 1 else f"{len(names)} nodes:"
    return f"{prefix} {shown}" + (", …" if len(names) > 5 else "")
