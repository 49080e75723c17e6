"""DynamicResources: a pod goes where the devices are that its ResourceClaims ask for.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from mizzen.api.views.core import NodeSelector
from mizzen.api.views.resource import ResourceClaim
from mizzen.scheduler import extended
from mizzen.scheduler.devices import Devices, Picked, allocate, taken_by, with_picks
from mizzen.scheduler.framework import NodeFilter, Plugin, Ranked, Reject, share_of_most
from mizzen.scheduler.inventory import Amounts, Id, Inventory, Taken
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

MOST_CONSUMERS = 256
MOST_ALTERNATIVES = 8
_NOT_HERE = Reject("resourceclaim not available on the node", resolvable=False)
_NO_DEVICES = Reject("cannot allocate all claims")


def claim_names(pod: PodInfo) -> Iterator[tuple[str, str | None]]:
    """The pod's names for its claims, with the claims' own; None for those not made yet."""
    made = {one.name: one.resourceClaimName for one in pod.pod.status.resourceClaimStatuses}
    for one in pod.pod.spec.resourceClaims:
        if one.resourceClaimName:
            yield one.name, one.resourceClaimName
        elif one.name not in made:
            yield one.name, None
        elif made[one.name]:
            yield one.name, made[one.name]


def claims_of(pod: PodInfo, snapshot: Snapshot) -> tuple[ResourceClaim, ...]:
    """The pod's claims that are there."""
    namespace = pod.pod.metadata.namespace
    found = (snapshot.lookups.resource_claim(namespace, name) for _, name in claim_names(pod) if name)
    return tuple(one for one in found if one is not None)


def refuse(pod: PodInfo, snapshot: Snapshot) -> Reject | None:
    meta = pod.pod.metadata
    for wanted, name in claim_names(pod):
        if name is None:
            reason = f'waiting for dynamic resource controller to create the resourceclaim "{wanted}"'
            return Reject(reason, resolvable=False)
        claim = snapshot.lookups.resource_claim(meta.namespace, name)
        if claim is None:
            return Reject(f'resourceclaim "{name}" not found', resolvable=False)
        if claim.metadata.deleting:
            return Reject(f'resourceclaim "{name}" is being deleted', resolvable=False)
        owner = claim.metadata.controller
        if owner is not None and owner.kind == "Pod" and owner.uid != meta.uid:
            return Reject(f'ResourceClaim "{name}" was not created for Pod "{pod.key}"', resolvable=False)
        others = [one for one in claim.status.reservedFor if one.uid != meta.uid]
        if len(others) >= MOST_CONSUMERS:
            return Reject("resourceclaim in use", resolvable=False)
        for class_name in _classes(wants(claim)):
            if snapshot.lookups.device_class(class_name) is None:
                reason = f'request in claim "{name}": device class {class_name} does not exist'
                return Reject(reason, resolvable=False)
    return None


def wants(claim: ResourceClaim) -> Devices:
    return msgspec.convert(claim.spec.get("devices") or {}, Devices)


def _classes(wanted: Devices) -> Iterator[str]:
    for request in wanted.requests:
        for one in (request.exactly, *request.firstAvailable):
            if one is not None:
                yield one.deviceClassName


def filter_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeFilter | None:
    classes = extended.delegated(pod, snapshot)
    if not pod.pod.spec.resourceClaims and not classes:
        return None
    own = extended.claim_of(pod, snapshot) if classes else None
    claims = [*claims_of(pod, snapshot), *((own,) if own is not None else ())]
    bound = [where for where in map(_home, claims) if where is not None]

    def verdict(node: NodeInfo) -> Reject | None:
        if not all(where.matches(node.name, node.labels) for where in bound):
            return _NOT_HERE
        return None if _choose(pod, node, snapshot, classes, own) is not None else _NO_DEVICES

    return verdict


def choose(pod: PodInfo, node: NodeInfo, snapshot: Snapshot) -> dict[str, Picked] | None:
    """Devices on the node for the claims without an allocation, by the claims' uids; None when they do not suffice."""
    classes = extended.delegated(pod, snapshot)
    return _choose(pod, node, snapshot, classes, extended.claim_of(pod, snapshot) if classes else None)


def _choose(
    pod: PodInfo, node: NodeInfo, snapshot: Snapshot, classes: Mapping[str, str], own: ResourceClaim | None
) -> dict[str, Picked] | None:
    """The same, with the classes of its extended resources and the claim that was made for them."""
    waiting = [one for one in claims_of(pod, snapshot) if one.status.allocation is None]
    if own is not None and own.metadata.deleting:
        return None  # it makes way for another
    if classes:
        is_served = own is not None and own.status.allocation is not None
        classes = {} if is_served else extended.served_by_devices(classes, node)
    if not waiting and not classes:
        return {}
    inventory, taken = _inventory(snapshot), _taken(snapshot)
    devices = inventory.on_node(node.name, node.labels)
    found: dict[str, Picked] = {}
    for claim in waiting:
        if claim.metadata.uid in snapshot.assumed_devices:
            return None  # it is being allocated; that is merely not seen yet
        picked = allocate(wants(claim), devices, inventory, taken, _selectors(snapshot))
        if picked is None:
            return None
        taken = with_picks(taken, picked)
        found[claim.metadata.uid] = picked
    if classes:
        if extended.uid(pod.pod.metadata.uid) in snapshot.assumed_devices:
            return None
        picked = allocate(extended.devices(pod, classes), devices, inventory, taken, _selectors(snapshot))
        if picked is None:
            return None
        found[extended.uid(pod.pod.metadata.uid)] = picked
    return found


def score_nodes(pod: PodInfo, snapshot: Snapshot) -> Ranked | None:
    """Nodes where claims get what comes early in their lists of alternatives are preferred."""
    ranks = {
        f"{claim.metadata.uid} {request.name}/{one.name}": MOST_ALTERNATIVES - at
        for claim in claims_of(pod, snapshot)
        if claim.status.allocation is None
        for request in wants(claim).requests
        for at, one in enumerate(request.firstAvailable)
    }
    if not ranks:
        return None

    def rank(node: NodeInfo) -> int:
        chosen = choose(pod, node, snapshot) or {}
        served = {f"{uid} {one.request}" for uid, picked in chosen.items() for one in picked}
        return sum(ranks.get(one, 0) for one in served)

    return Ranked(rank, share_of_most)


def _inventory(snapshot: Snapshot) -> Inventory:
    """The devices there are, gathered once until some slice or taint rule changes."""
    if snapshot.inventory is None:
        seen = snapshot.lookups
        snapshot.inventory = Inventory(seen.resource_slices(), seen.device_taint_rules())
    return snapshot.inventory


def _taken(snapshot: Snapshot) -> Taken:
    """Everything that is allocated, or about to be."""
    if snapshot.taken is not None:
        return snapshot.taken
    whole: set[Id] = set()
    parts: dict[Id, Amounts] = {}
    for claim in snapshot.lookups.resource_claims():
        for id, part in taken_by(_results(claim.status.allocation)):
            if part is None:
                whole.add(id)
            else:
                known = parts.get(id, {})
                parts[id] = {name: known.get(name, 0) + part.get(name, 0) for name in (*known, *part)}
    found = Taken(frozenset(whole), parts)
    for _, picked in snapshot.assumed_devices.values():
        found = with_picks(found, picked)
    snapshot.taken = found
    return found


def class_config(wanted: Devices, snapshot: Snapshot) -> Sequence[dict[str, Any]]:
    """The configuration that the classes bring."""
    found: list[dict[str, Any]] = []
    for name in dict.fromkeys(_classes(wanted)):
        kind = snapshot.lookups.device_class(name)
        found.extend(kind.spec.get("config") or () if kind else ())
    return found


def _selectors(snapshot: Snapshot) -> Any:
    def of(name: str) -> tuple[str, ...] | None:
        kind = snapshot.lookups.device_class(name)
        if kind is None:
            return None
        return tuple(one["cel"]["expression"] for one in kind.spec.get("selectors") or () if one.get("cel"))

    return of


def _home(claim: ResourceClaim) -> NodeSelector | None:
    """The nodes that an allocated claim is for; None when it is for any, or not allocated."""
    selector = (claim.status.allocation or {}).get("nodeSelector")
    return msgspec.convert(selector, NodeSelector) if selector else None


def _results(allocation: Mapping[str, Any] | None) -> Sequence[Mapping[str, Any]]:
    return ((allocation or {}).get("devices") or {}).get("results") or ()


def signature(pod: PodInfo, snapshot: Snapshot) -> Hashable:
    """Pods share a class only when they share their claims; a claim for extended resources is a pod's own."""
    if extended.delegated(pod, snapshot) and (own := extended.claim_of(pod, snapshot)) is not None:
        return own.metadata.uid
    return tuple(claim_names(pod)) and (pod.pod.metadata.namespace, tuple(claim_names(pod)))


PLUGIN = Plugin(
    "DynamicResources",
    refuse=refuse,
    filter=filter_nodes,
    score=score_nodes,
    signature=signature,
    wakes_on=frozenset({"node added", "node changed", "pod gone", "resource claim", "device class"}),
)
