"""Taints of devices: pods leave devices whose NoExecute taints their claims do not tolerate, and rules tell of it.

Ref: https://kubernetes.io/docs/concepts/resource-management/dynamic-resource-allocation/device-taints/
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from mizzen.api.views.core import Pod, Taint, Toleration
from mizzen.api.views.resource import Conditions, DeviceTaintRule, ResourceClaim, ResourceSlice
from mizzen.client.cache import Cache
from mizzen.client.resources import DEVICE_TAINT_RULES, PODS, RESOURCE_CLAIMS, RESOURCE_SLICES
from mizzen.controllers.pods import is_finished
from mizzen.controllers.status import status_patch, with_condition
from mizzen.controllers.taint_eviction import FOREVER, evicted, leaves_at
from mizzen.reconcile.controller import Controller, Watch, key_of, own, split
from mizzen.reconcile.plan import NOTHING, Plan

Id = tuple[str, str, str]
"""Driver, pool and device."""
_SELECTED = ("driver", "pool", "device")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A placed pod, and the NoExecute taints of its devices, each with what its claim tolerates of that device."""

    pod: Pod
    taints: tuple[tuple[Taint, tuple[Toleration, ...]], ...]


def observe(cache: Cache, key: str) -> Snapshot | None:
    pod = cache.of(PODS, Pod).get(*split(key))
    if pod is None or not _may_leave(pod):
        return None
    found = [
        (taint, tolerations)
        for claim in _claims_of(cache, pod)
        for id, tolerations in allocated(claim)
        for taint in _dated(_taints(cache, id), claim)
        if taint.effect == "NoExecute"
    ]
    return Snapshot(pod, tuple(found)) if found else None


def reconcile(seen: Snapshot, now: float) -> Plan:
    due = min(leaves_at(tolerations, taint, now) for taint, tolerations in seen.taints)
    return evicted(seen.pod, due, "DeviceTaintManager", now)


def _may_leave(pod: Pod) -> bool:
    return bool(pod.spec.nodeName) and not pod.metadata.deleting and not is_finished(pod)


def _claims_of(cache: Cache, pod: Pod) -> Iterator[ResourceClaim]:
    """The claims that are kept for a pod."""
    table = cache.of(RESOURCE_CLAIMS, ResourceClaim)
    for name in dict.fromkeys(claim_names(pod)):
        claim = table.get(pod.metadata.namespace, name)
        if claim is not None and any(one.uid == pod.metadata.uid for one in claim.status.reservedFor):
            yield claim


def claim_names(pod: Pod) -> Iterator[str]:
    """The claims that a pod names, those made for it, and the one for its extended resources."""
    yield from (one.resourceClaimName for one in pod.spec.resourceClaims if one.resourceClaimName)
    yield from (one.resourceClaimName for one in pod.status.resourceClaimStatuses if one.resourceClaimName)
    if pod.status.extendedResourceClaimStatus is not None:
        yield pod.status.extendedResourceClaimStatus.resourceClaimName


def allocated(claim: ResourceClaim) -> Iterator[tuple[Id, tuple[Toleration, ...]]]:
    """The devices of a claim, with what it tolerates of each."""
    for one in ((claim.status.allocation or {}).get("devices") or {}).get("results") or ():
        tolerations = msgspec.convert(one.get("tolerations") or (), tuple[Toleration, ...])
        yield (one["driver"], one["pool"], one["device"]), tolerations


def _taints(cache: Cache, id: Id) -> Iterator[Taint]:
    """The taints of a device, from its driver and from rules."""
    for slice in _newest(cache, id):
        for device in slice.spec.get("devices") or ():
            if device.get("name") == id[2]:
                yield from msgspec.convert(device.get("taints") or (), tuple[Taint, ...])
    for rule in cache.of(DEVICE_TAINT_RULES, DeviceTaintRule):
        if selects(rule, id):
            yield _taint(rule)


def _dated(taints: Iterable[Taint], claim: ResourceClaim) -> Iterator[Taint]:
    """Taints with their time; one without has been there since the claim got its devices, as far as it is concerned."""
    since = (claim.status.allocation or {}).get("allocationTimestamp") or claim.metadata.creationTimestamp
    return (one if one.timeAdded else msgspec.structs.replace(one, timeAdded=since) for one in taints)


def _newest(cache: Cache, id: Id) -> list[ResourceSlice]:
    """The slices of the newest generation of a device's pool."""
    members = [one for one in cache.of(RESOURCE_SLICES, ResourceSlice) if _pool(one) == id[:2]]
    newest = max((_generation(one) for one in members), default=0)
    return [one for one in members if _generation(one) == newest]


def _pool(slice: ResourceSlice) -> tuple[str, str]:
    return slice.spec.get("driver", ""), (slice.spec.get("pool") or {}).get("name", "")


def _generation(slice: ResourceSlice) -> int:
    return int((slice.spec.get("pool") or {}).get("generation", 0))


def selects(rule: DeviceTaintRule, id: Id) -> bool:
    """Whether a rule is about a device; without a selector it is about none."""
    selector = rule.spec.get("deviceSelector")
    if selector is None:
        return False
    return all(selector.get(key) in (None, value) for key, value in zip(_SELECTED, id, strict=True))


def _taint(rule: DeviceTaintRule) -> Taint:
    return msgspec.convert(rule.spec.get("taint") or {}, Taint)


# --- what rules tell


@dataclass(frozen=True, slots=True)
class Told:
    """A rule, how many devices it is about (published ones, and those in use), and the pods that would have to go."""

    rule: DeviceTaintRule
    published: int
    used: int
    pods: Mapping[str, str]
    """Namespaces by the pods' uids."""


def observe_rule(cache: Cache, key: str) -> Told | None:
    rule = cache.of(DEVICE_TAINT_RULES, DeviceTaintRule).get("", key)
    if rule is None:
        return None
    devices = {
        (*_pool(one), device.get("name", ""))
        for one in cache.of(RESOURCE_SLICES, ResourceSlice)
        for device in one.spec.get("devices") or ()
    }
    used: set[Id] = set()
    pods: dict[str, str] = {}
    table = cache.of(PODS, Pod)
    would = msgspec.structs.replace(_taint(rule), effect="NoExecute")
    for claim in cache.of(RESOURCE_CLAIMS, ResourceClaim):
        mine = [(id, tolerations) for id, tolerations in allocated(claim) if selects(rule, id)]
        used |= {id for id, _ in mine}
        if not any(leaves_at(tolerations, would, 0.0) < FOREVER for _, tolerations in mine):
            continue
        for one in claim.status.reservedFor:
            pod = table.get(claim.metadata.namespace, one.name)
            if pod is not None and pod.metadata.uid == one.uid and _may_leave(pod):
                pods[one.uid] = claim.metadata.namespace
    return Told(rule, sum(selects(rule, id) for id in devices), len(used), pods)


def reconcile_rule(seen: Told, now: float) -> Plan:
    rule = seen.rule
    effect, pods = _taint(rule).effect, len(seen.pods)
    known = next((one for one in rule.status.conditions if one.type == "EvictionInProgress"), None)
    spaces = len(set(seen.pods.values()))
    if effect == "NoExecute":
        status, reason = ("True", "PodsPendingEviction") if pods else ("False", "Completed")
        message = f"{_count(pods, 'pod')} {_be(pods)} to be evicted{_within(spaces)}."
    else:
        if known is not None and known.observedGeneration == rule.metadata.generation:
            return NOTHING  # told once for each change of the rule
        status, reason = "False", "NoEffect"
        message = (
            f"{_count(seen.published, 'published device')} selected. {_count(seen.used, 'allocated device')} selected. "
            f"{_count(pods, 'pod')} would be evicted{_within(spaces)} if the effect was NoExecute. "
            "This information will not be updated again. Recreate the DeviceTaintRule to trigger an update."
        )
    if known is not None and known.message == message and known.observedGeneration == rule.metadata.generation:
        return NOTHING
    others = tuple(one for one in rule.status.conditions if one is not known)
    (made,) = with_condition((), "EvictionInProgress", status, reason, message, now)
    since = known.lastTransitionTime if known is not None and known.status == status else made.lastTransitionTime
    made = msgspec.structs.replace(made, lastTransitionTime=since, observedGeneration=rule.metadata.generation)
    return Plan(status_patch(DEVICE_TAINT_RULES, rule.metadata, rule.status, Conditions((*others, made))))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _be(number: int) -> str:
    return "needs" if number == 1 else "need"


def _within(namespaces: int) -> str:
    return f" in {_count(namespaces, 'namespace')}" if namespaces else ""


# --- whom changes concern


def _pods_of(claims: Iterable[ResourceClaim]) -> Iterator[str]:
    for claim in claims:
        for one in claim.status.reservedFor:
            if one.resource == "pods":
                yield f"{claim.metadata.namespace}/{one.name}"


def _pods_of_slice(cache: Cache, slice: ResourceSlice) -> Iterable[str]:
    pool = _pool(slice)
    claims = cache.of(RESOURCE_CLAIMS, ResourceClaim)
    return _pods_of(one for one in claims if any(id[:2] == pool for id, _ in allocated(one)))


def _pods_of_rule(cache: Cache, rule: DeviceTaintRule) -> Iterable[str]:
    claims = cache.of(RESOURCE_CLAIMS, ResourceClaim)
    return _pods_of(one for one in claims if any(selects(rule, id) for id, _ in allocated(one)))


def _rules(cache: Cache, _changed: Any) -> Iterable[str]:
    return tuple(one.metadata.name for one in cache.of(DEVICE_TAINT_RULES, DeviceTaintRule))


def _rules_of_pod(cache: Cache, pod: Pod) -> Iterable[str]:
    return _rules(cache, pod) if next(claim_names(pod), None) is not None else ()


def _concerns(old: Pod, new: Pod) -> bool:
    return _may_leave(old) != _may_leave(new) or tuple(claim_names(old)) != tuple(claim_names(new))


EVICTION = Controller(
    name="device-taint-eviction-controller",
    watches=(
        Watch(PODS, Pod, lambda _cache, pod: (key_of(pod),) if next(claim_names(pod), None) else (), _concerns),
        Watch(RESOURCE_CLAIMS, ResourceClaim, lambda _cache, claim: _pods_of((claim,))),
        Watch(RESOURCE_SLICES, ResourceSlice, _pods_of_slice),
        Watch(DEVICE_TAINT_RULES, DeviceTaintRule, _pods_of_rule, lambda old, new: old.spec != new.spec),
    ),
    observe=observe,
    reconcile=reconcile,
    component="device-taint-eviction-controller",
)
RULES = Controller(
    name="device-taint-rules",
    watches=(
        Watch(DEVICE_TAINT_RULES, DeviceTaintRule, own),
        Watch(PODS, Pod, _rules_of_pod, _concerns),
        Watch(RESOURCE_CLAIMS, ResourceClaim, _rules),
        Watch(RESOURCE_SLICES, ResourceSlice, _rules),
    ),
    observe=observe_rule,
    reconcile=reconcile_rule,
    component="device-taint-eviction-controller",
)
