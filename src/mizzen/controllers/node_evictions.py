"""The pace at which silent nodes lose their pods: one node every ten seconds in each zone, fewer in a troubled zone.

Only the NoExecute taints of nodes that are not ready are given here, and taken back once every node is silent; `nodes`
sets the others and takes all away.
Ref: https://kubernetes.io/docs/concepts/architecture/nodes/#rate-limits-on-eviction
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mizzen.api.views.core import Node, Taint
from mizzen.api.views.meta import condition, plain
from mizzen.client.cache import Cache, Index
from mizzen.client.resources import NODES
from mizzen.controllers.nodes import NOT_READY, UNREACHABLE
from mizzen.machinery import times
from mizzen.reconcile.controller import Controller, Watch
from mizzen.reconcile.plan import NOTHING, Action, Patch, Plan

_KEY = "nodes"
_ZONE = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone")
_PACE = 10.0
"""Seconds between two nodes of a zone."""
_SLOW_PACE = 100.0
"""Seconds between two nodes of a large zone of which more than half is silent."""
_UNHEALTHY = 0.55
_LARGE = 50
_KEYS = (NOT_READY, UNREACHABLE)

Zone = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The nodes of every zone, by name."""

    zones: Mapping[Zone, tuple[Node, ...]]


def observe(cache: Cache, key: str) -> Snapshot | None:
    """None while every node is as its taints say, which is nearly always."""
    nodes = cache.of(NODES, Node)
    if not nodes.by(_WAITING, True):
        return None
    zones: dict[Zone, list[Node]] = defaultdict(list)
    for node in nodes:
        zones[tuple(node.metadata.labels.get(label, "") for label in _ZONE)].append(node)
    return Snapshot({zone: tuple(sorted(found, key=lambda one: one.metadata.name)) for zone, found in zones.items()})


def _state(node: Node) -> str:
    """The status of Ready; "" when the node has not reported yet."""
    ready = condition(node.status.conditions, "Ready")
    return ready.status if ready is not None else ""


def _key(node: Node) -> str:
    return NOT_READY if _state(node) == "False" else UNREACHABLE


def _evicting(node: Node) -> Taint | None:
    return next((one for one in node.spec.taints if one.key in _KEYS and one.effect == "NoExecute"), None)


def _waits(node: Node) -> bool:
    """Whether the node lacks the taint that makes its pods leave."""
    return _state(node) not in ("", "True") and _evicting(node) is None and not node.metadata.deleting


_WAITING: Final[Index[Node]] = Index("lacking an eviction taint", lambda node: (True,) if _waits(node) else ())


def reconcile(seen: Snapshot, now: float) -> Plan:
    """In a cluster without a single healthy node nobody is evicted: it is more likely that we are cut off."""
    everybody = [node for nodes in seen.zones.values() for node in nodes]
    if not any(_state(node) == "True" for node in everybody):
        return Plan(tuple(_spared(node) for node in everybody if _evicting(node) is not None))
    actions: list[Action] = []
    waits: list[float] = []
    for nodes in seen.zones.values():
        waiting = [node for node in nodes if _waits(node)]
        pace = _pace(nodes)
        if not waiting or pace is None:
            continue
        given = [taint for node in nodes if (taint := _evicting(node)) is not None]
        last = max((times.parse(one.timeAdded) for one in given if one.timeAdded), default=0.0)
        if last + pace > now:
            waits.append(last + pace - now)
            continue
        actions.append(_tainted(waiting[0], now))
        waits += [pace] if len(waiting) > 1 else []
    if not actions and not waits:
        return NOTHING
    return Plan(tuple(actions), requeue_after=min(waits, default=None))


def _pace(nodes: tuple[Node, ...]) -> float | None:
    """Seconds between two nodes; None when nobody is to be evicted."""
    silent = sum(_state(node) not in ("", "True") for node in nodes)
    if silent == len(nodes) or silent <= 2 or silent / len(nodes) < _UNHEALTHY:
        return _PACE
    return _SLOW_PACE if len(nodes) > _LARGE else None


def _tainted(node: Node, now: float) -> Patch:
    taint = Taint(key=_key(node), effect="NoExecute", timeAdded=times.format(now))
    return _with_taints(node, (*node.spec.taints, taint))


def _spared(node: Node) -> Patch:
    """The node without what makes its pods leave: once others are heard of again, its time begins anew."""
    return _with_taints(
        node, tuple(one for one in node.spec.taints if one.key not in _KEYS or one.effect != "NoExecute")
    )


def _with_taints(node: Node, taints: tuple[Taint, ...]) -> Patch:
    meta = node.metadata
    patch = {"spec": {"taints": [plain(one) for one in taints] or None}}
    return Patch(NODES, "", meta.name, patch, uid=meta.uid, resource_version=meta.resourceVersion)


def _concerns(old: Node, new: Node) -> bool:
    return _state(old) != _state(new) or old.spec.taints != new.spec.taints


CONTROLLER = Controller(
    name="node-eviction",
    watches=(Watch(NODES, Node, lambda _cache, _node: (_KEY,), _concerns),),
    observe=observe,
    reconcile=reconcile,
    component="node-controller",
)
