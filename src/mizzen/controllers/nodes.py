"""Node lifecycle: silent nodes turn Unknown, conditions become taints, pods on lost nodes are no longer ready.

Ref: https://kubernetes.io/docs/concepts/architecture/nodes/#node-controller
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import msgspec

from mizzen.api.views.coordination import Lease
from mizzen.api.views.core import Node, Pod, Taint
from mizzen.api.views.meta import Condition, condition
from mizzen.client.cache import BY_NODE, Cache
from mizzen.client.resources import LEASES, NODES, PODS
from mizzen.controllers.config import Config
from mizzen.controllers.heartbeats import Heartbeats
from mizzen.controllers.ownership import Identity, about
from mizzen.controllers.pods import is_ready
from mizzen.controllers.status import created_at
from mizzen.machinery import times
from mizzen.machinery.errors import Object
from mizzen.reconcile.controller import Controller, Watch, own
from mizzen.reconcile.plan import Action, Answer, Get, Note, Patch, Plan

IDENTITY = Identity("v1", "Node")
LEASE_NAMESPACE = "kube-node-lease"
NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_PRESSURE = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
_OURS = {NOT_READY, UNREACHABLE, UNSCHEDULABLE, *_PRESSURE.values()}
_REPORTED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A node, when its lease was last renewed, and the pods on it that call themselves ready."""

    node: Node
    renewed: float | None
    ready_pods: tuple[Pod, ...]
    verified: bool = False
    """The lease was read from the API itself: a watch that lags must not cost a node its pods."""


def observe(cache: Cache, key: str) -> Snapshot | None:
    node = cache.of(NODES, Node).get("", key)
    if node is None:
        return None
    lease = cache.of(LEASES, Lease).get(LEASE_NAMESPACE, key)
    renewed = times.parse(lease.spec.renewTime) if lease is not None and lease.spec.renewTime else None
    ready: tuple[Pod, ...] = ()
    if (state := condition(node.status.conditions, "Ready")) is None or state.status != "True":
        pods = cache.of(PODS, Pod).by(BY_NODE, key)
        ready = tuple(sorted((pod for pod in pods if is_ready(pod)), key=lambda pod: pod.metadata.name))
    return Snapshot(node, renewed, ready)


def _question(name: str) -> Get:
    return Get(LEASES.path(LEASE_NAMESPACE, name))


def informed(seen: Snapshot, answers: Mapping[Get, Answer]) -> Snapshot:
    """The snapshot with the lease as the API has it."""
    answer = answers[_question(seen.node.metadata.name)]
    if answer.status != 200:
        return replace(seen, verified=answer.status == 404)
    text = (answer.body.get("spec") or {}).get("renewTime")
    return replace(seen, renewed=times.parse(text) if text else seen.renewed, verified=True)


def reconcile(config: Config, heartbeats: Heartbeats | None, seen: Snapshot, now: float) -> Plan:
    node = seen.node
    if node.metadata.deleting:
        return Plan()
    until = _trusted_until(config, heartbeats, seen, now)
    actions: list[Action] = []
    notes: tuple[Note, ...] = ()
    conditions = node.status.conditions
    if now >= until and _unknown(node, now) != conditions:
        if not seen.verified:
            return Plan(ask=(_question(node.metadata.name),), requeue_after=1.0)
        conditions = _unknown(node, now)
    if conditions != node.status.conditions:
        patch = {"status": {"conditions": [_written(one) for one in conditions]}}
        actions.append(_patch(node, patch, "status"))
        notes = (
            Note(
                about(node.metadata, IDENTITY), "NodeNotReady", f"Node {node.metadata.name} status is now: NodeNotReady"
            ),
        )
    taints = tuple(_taints(node, conditions, now))
    if taints != node.spec.taints:
        actions.append(_patch(node, {"spec": {"taints": [_plain(taint) for taint in taints] or None}}, ""))
    state = condition(conditions, "Ready")
    if state is not None and state.status != "True":
        actions += (_not_ready(pod, now) for pod in seen.ready_pods if not _is_vouched_for(pod, state))
    if len(actions) > 1 and isinstance(actions[0], Patch) and actions[0].resource is NODES:
        return Plan(tuple(actions[:1]), notes, requeue_after=0.0)
    wait = max(0.0, until - now) if now < until else None
    return Plan(tuple(actions), notes, requeue_after=wait)


def _trusted_until(config: Config, heartbeats: Heartbeats | None, seen: Snapshot, now: float) -> float:
    """When the node must have been heard of again, by the time of day that it is `now`."""
    state = condition(seen.node.status.conditions, "Ready")
    heard = [seen.renewed] if seen.renewed is not None else []
    if state is not None and state.lastHeartbeatTime and state.status != "Unknown":
        heard.append(times.parse(state.lastHeartbeatTime))
    meta = seen.node.metadata
    stamp = max(heard) if heard else created_at(meta)
    grace = config.node_grace_seconds if heard else config.node_startup_grace_seconds
    silence = now - stamp if heartbeats is None else heartbeats.silence(meta.name, stamp, now)
    return now + grace - silence


def _unknown(node: Node, now: float) -> tuple[Condition, ...]:
    """The node's conditions once nobody can vouch for them."""
    stamp = times.format(now)
    found = {one.type: one for one in node.status.conditions}
    for kind in _REPORTED:
        old = found.get(kind)
        if old is None:
            text = "Kubelet never posted node status."
            found[kind] = Condition(
                type=kind, status="Unknown", reason="NodeStatusNeverUpdated", message=text, lastTransitionTime=stamp
            )
        elif old.status != "Unknown":
            found[kind] = msgspec.structs.replace(
                old,
                status="Unknown",
                reason="NodeStatusUnknown",
                message="Kubelet stopped posting node status.",
                lastTransitionTime=stamp,
            )
    return tuple(found.values())


def _taints(node: Node, conditions: tuple[Condition, ...], now: float) -> Iterable[Taint]:
    """The node's taints: other people's as they are, ours as the conditions say."""
    wanted: list[tuple[str, str]] = []
    state = condition(conditions, "Ready")
    if state is not None and state.status != "True":
        key = NOT_READY if state.status == "False" else UNREACHABLE
        wanted.append((key, "NoSchedule"))
        if any(taint.key in (NOT_READY, UNREACHABLE) and taint.effect == "NoExecute" for taint in node.spec.taints):
            wanted.append((key, "NoExecute"))  # its pods leave already; who begins is paced by `node_evictions`
    wanted += [
        (key, "NoSchedule")
        for kind, key in _PRESSURE.items()
        if (one := condition(conditions, kind)) is not None and one.status == "True"
    ]
    if node.spec.unschedulable:
        wanted.append((UNSCHEDULABLE, "NoSchedule"))
    have = set()
    for taint in node.spec.taints:
        if taint.key not in _OURS or (taint.key, taint.effect) in wanted or (state is None and taint.key == NOT_READY):
            have.add((taint.key, taint.effect))
            yield _dated(taint, now)
    for key, effect in wanted:
        if (key, effect) not in have:
            yield Taint(key=key, effect=effect, timeAdded=times.format(now))


def _dated(taint: Taint, now: float) -> Taint:
    """The taint, with the time from which pods may tolerate it for a while."""
    if taint.effect != "NoExecute" or taint.timeAdded:
        return taint
    return msgspec.structs.replace(taint, timeAdded=times.format(now))


def _is_vouched_for(pod: Pod, state: Condition) -> bool:
    """It became ready when the node was lost already: its agent is alive and will tell of the node soon."""
    own = condition(pod.status.conditions, "Ready")
    if own is None or not own.lastTransitionTime or not state.lastTransitionTime:
        return False
    return times.parse(own.lastTransitionTime) >= times.parse(state.lastTransitionTime)


def _not_ready(pod: Pod, now: float) -> Patch:
    conditions = [
        msgspec.structs.replace(one, status="False", reason="NodeNotReady", lastTransitionTime=times.format(now))
        if one.type == "Ready"
        else one
        for one in pod.status.conditions
    ]
    meta = pod.metadata
    return Patch(
        PODS,
        meta.namespace,
        meta.name,
        {"status": {"conditions": [_written(one) for one in conditions]}},
        subresource="status",
        resource_version=meta.resourceVersion,
        note=Note(about(meta, Identity("v1", "Pod")), "NodeNotReady", "Node is not ready", "Warning"),
    )


def _patch(node: Node, patch: Object, subresource: str) -> Patch:
    meta = node.metadata
    return Patch(
        NODES, "", meta.name, patch, subresource=subresource, uid=meta.uid, resource_version=meta.resourceVersion
    )


def _written(one: Condition) -> Object:
    body: Object = msgspec.to_builtins(one)
    return {key: value for key, value in body.items() if value not in (None, "")}


def _plain(taint: Taint) -> Object:
    body: Object = msgspec.to_builtins(taint)
    return {key: value for key, value in body.items() if value not in (None, "")}


def _concerns(old: Lease, new: Lease) -> bool:
    """Renewals of a lease matter only after a silence: the timer looks at the latest one anyway."""
    return old.spec.holderIdentity != new.spec.holderIdentity


def lifecycle(config: Config) -> Controller:
    """Watches over nodes with these grace periods."""
    return Controller(
        name="node-lifecycle",
        watches=(
            Watch(NODES, Node, own),
            Watch(LEASES, Lease, _keys_of_lease, _concerns),
            Watch(PODS, Pod, _keys_of_pod, lambda old, new: is_ready(old) != is_ready(new)),
        ),
        observe=observe,
        reconcile=partial(reconcile, config, Heartbeats(config.awake) if config.awake is not None else None),
        informed=informed,
        component="node-controller",
        workers=10,
    )


def _keys_of_lease(_cache: Cache, lease: Lease) -> tuple[str, ...]:
    return (lease.metadata.name,) if lease.metadata.namespace == LEASE_NAMESPACE else ()


def _keys_of_pod(cache: Cache, pod: Pod) -> tuple[str, ...]:
    """A pod that turns ready on a node that is not."""
    node = cache.of(NODES, Node).get("", pod.spec.nodeName) if pod.spec.nodeName else None
    if node is None or not is_ready(pod):
        return ()
    state = condition(node.status.conditions, "Ready")
    return () if state is None or state.status == "True" else (pod.spec.nodeName,)
