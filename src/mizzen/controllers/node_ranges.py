"""Node IPAM: every node gets its own part of the cluster's pod addresses. And node TTL, by cluster size.

Ref: https://kubernetes.io/docs/reference/networking/virtual-ips/
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from mizzen.api.views.core import Node
from mizzen.client.cache import Cache
from mizzen.client.resources import NODES
from mizzen.controllers.config import Config
from mizzen.controllers.nodes import IDENTITY
from mizzen.controllers.ownership import about
from mizzen.reconcile.controller import Controller, Watch
from mizzen.reconcile.plan import NOTHING, Note, Patch, Plan

TTL = "node.alpha.kubernetes.io/ttl"
_TTL_BY_SIZE = ((100, 0), (500, 15), (1000, 30), (2000, 60))
_KEY = "nodes"
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All nodes, by name."""

    nodes: tuple[Node, ...]


def observe(cache: Cache, key: str) -> Snapshot:
    return Snapshot(tuple(sorted(cache.of(NODES, Node), key=lambda node: node.metadata.name)))


def reconcile_ranges(config: Config, seen: Snapshot, now: float) -> Plan:
    waiting = [node for node in seen.nodes if not node.spec.podCIDR and not node.metadata.deleting]
    if not waiting or not config.cluster_cidrs:
        return NOTHING
    used = {cidr for node in seen.nodes for cidr in (node.spec.podCIDRs or (node.spec.podCIDR,)) if cidr}
    free = [_free(cluster, config, used) for cluster in config.cluster_cidrs]
    actions, notes = [], []
    for node in waiting[:_AT_ONCE]:
        cidrs = [next(source, "") for source in free]
        meta = node.metadata
        if not all(cidrs):
            text = f"Node {meta.name} status is now: CIDRNotAvailable"
            notes.append(Note(about(meta, IDENTITY), "CIDRNotAvailable", text))
            continue
        patch = {"spec": {"podCIDR": cidrs[0], "podCIDRs": cidrs}}
        actions.append(Patch(NODES, "", meta.name, patch, uid=meta.uid, resource_version=meta.resourceVersion))
    return Plan(tuple(actions), tuple(notes), requeue_after=60.0 if notes else None)


def _free(cluster: str, config: Config, used: set[str]) -> Iterator[str]:
    """The parts of a range that no node has, lowest first."""
    network = ipaddress.ip_network(cluster)
    mask = config.node_mask_v4 if network.version == 4 else config.node_mask_v6
    for part in network.subnets(new_prefix=max(mask, network.prefixlen)):
        if str(part) not in used:
            yield str(part)


def reconcile_ttl(seen: Snapshot, now: float) -> Plan:
    wanted = str(next((ttl for size, ttl in _TTL_BY_SIZE if len(seen.nodes) <= size), 300))
    stale = [node for node in seen.nodes if node.metadata.annotations.get(TTL) != wanted]
    patch = {"metadata": {"annotations": {TTL: wanted}}}
    actions = tuple(Patch(NODES, "", node.metadata.name, patch, uid=node.metadata.uid) for node in stale[:_AT_ONCE])
    return Plan(actions) if actions else NOTHING


def ranges(config: Config) -> Controller:
    """Gives out parts of the configured ranges; all nodes are one key, so that no part is given twice."""
    return Controller(
        name="node-ipam",
        watches=(Watch(NODES, Node, lambda _cache, _node: (_KEY,), lambda old, new: old.spec != new.spec),),
        observe=observe,
        reconcile=partial(reconcile_ranges, config),
        component="cidrAllocator",
    )


NODE_TTL = Controller(
    name="ttl",
    watches=(
        Watch(
            NODES,
            Node,
            lambda _cache, _node: (_KEY,),
            lambda old, new: old.metadata.annotations != new.metadata.annotations,
        ),
    ),
    observe=observe,
    reconcile=reconcile_ttl,
    component="ttl-controller",
)
