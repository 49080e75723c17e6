"""Taint-based eviction: pods leave a node whose NoExecute taints they do not tolerate, or no longer.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions
"""

from dataclasses import dataclass

from mizzen.api.views.core import Node, Pod, Taint, Toleration
from mizzen.client.cache import BY_NODE, Cache
from mizzen.client.resources import NODES, PODS
from mizzen.controllers.disruption import doomed
from mizzen.controllers.ownership import Identity, about
from mizzen.machinery import times
from mizzen.reconcile.controller import Controller, Watch, key_of, own, split
from mizzen.reconcile.plan import NOTHING, Delete, Note, Plan

FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A pod and the NoExecute taints of its node."""

    pod: Pod
    taints: tuple[Taint, ...]


def observe(cache: Cache, key: str) -> Snapshot | None:
    pod = cache.of(PODS, Pod).get(*split(key))
    if pod is None or not pod.spec.nodeName or pod.metadata.deleting:
        return None
    node = cache.of(NODES, Node).get("", pod.spec.nodeName)
    taints = tuple(one for one in node.spec.taints if one.effect == "NoExecute") if node is not None else ()
    return Snapshot(pod, taints) if taints else None


def reconcile(seen: Snapshot, now: float) -> Plan:
    due = min((leaves_at(seen.pod.spec.tolerations, taint, now) for taint in seen.taints), default=FOREVER)
    return evicted(seen.pod, due, "TaintManager", now)


def evicted(pod: Pod, due: float, manager: str, now: float) -> Plan:
    """Delete a pod when it is due, in the name of a manager: `TaintManager`, or that of devices."""
    if due == FOREVER:
        return NOTHING
    if due > now:
        return Plan(requeue_after=due - now)
    meta = pod.metadata
    text = f"Marking for deletion Pod {meta.namespace}/{meta.name}"
    note = Note(about(meta, Identity("v1", "Pod")), f"{manager}Eviction", text)
    name = manager.replace("TaintManager", " Taint manager").strip()
    marked = doomed(pod, f"DeletionBy{manager}", f"{name}: deleting due to NoExecute taint", now)
    return Plan((*marked, Delete(PODS, meta.namespace, meta.name, uid=meta.uid, note=note)))


def leaves_at(tolerations: tuple[Toleration, ...], taint: Taint, now: float) -> float:
    """When a pod with these tolerations has to leave because of a taint."""
    tolerating = [one for one in tolerations if one.tolerates(taint)]
    if not tolerating:
        return now
    limits = [one.tolerationSeconds for one in tolerating if one.tolerationSeconds is not None]
    if not limits:
        return FOREVER
    since = times.parse(taint.timeAdded) if taint.timeAdded else now  # the node controller is about to date it
    return since + max(0, min(limits))


def _keys_of_node(cache: Cache, node: Node) -> tuple[str, ...]:
    return tuple(key_of(pod) for pod in cache.of(PODS, Pod).by(BY_NODE, node.metadata.name))


def _pod_concerns(old: Pod, new: Pod) -> bool:
    return old.spec.nodeName != new.spec.nodeName or old.spec.tolerations != new.spec.tolerations


CONTROLLER = Controller(
    name="taint-eviction-controller",
    watches=(
        Watch(PODS, Pod, own, _pod_concerns),
        Watch(NODES, Node, _keys_of_node, lambda old, new: old.spec.taints != new.spec.taints),
    ),
    observe=observe,
    reconcile=reconcile,
    component="taint-eviction-controller",
)
