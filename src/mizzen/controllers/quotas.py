"""ResourceQuota status: what a namespace uses of what it may.

Admission enforces quotas: it counts in what is made before it is there. This controller counts anew when something
goes or shrinks, once after a limit has come into force, and now and then; not when something is made, since what
admission has let in may not show yet. Ref: https://kubernetes.io/docs/concepts/policy/resource-quotas/
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from mizzen.api.resource import devicecounts
from mizzen.api.views.core import (
    PersistentVolumeClaim,
    Pod,
    ResourceQuota,
    ResourceQuotaSpec,
    ResourceQuotaStatus,
    ScopedSelectorRequirement,
    Service,
)
from mizzen.api.views.resource import ResourceClaim
from mizzen.client.cache import BY_NAMESPACE, Cache
from mizzen.client.client import Resource
from mizzen.client.resources import PERSISTENT_VOLUME_CLAIMS, PODS, RESOURCE_CLAIMS, RESOURCE_QUOTAS, SERVICES
from mizzen.controllers.pods import is_finished
from mizzen.controllers.status import status_patch
from mizzen.controllers.volumes.classes import attributes_of, class_name
from mizzen.machinery import quantity
from mizzen.machinery.errors import Object
from mizzen.machinery.quantity import ZERO, Quantity
from mizzen.reconcile.controller import Controller, Watch, key_of, own, split
from mizzen.reconcile.plan import Answer, Get, Plan

_OLD_COUNTS = {
    "pods": "pods",
    "services": "services",
    "replicationcontrollers": "replicationcontrollers",
    "resourcequotas": "resourcequotas",
    "secrets": "secrets",
    "configmaps": "configmaps",
    "persistentvolumeclaims": "persistentvolumeclaims",
}
_SIZED = (PODS, SERVICES, PERSISTENT_VOLUME_CLAIMS, RESOURCE_CLAIMS)
_LOOK_AGAIN = 1.0
_ONE = Quantity(quantity.NANO)
_ATTRIBUTES = "VolumeAttributesClass"
_QOS = ("cpu", "memory")
Usage = dict[str, Quantity]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A quota, the objects whose sizes it may limit, and how many there are of everything it counts."""

    quota: ResourceQuota
    pods: tuple[Pod, ...]
    services: tuple[Service, ...]
    claims: tuple[PersistentVolumeClaim, ...]
    counts: Mapping[str, int]
    devices: tuple[ResourceClaim, ...] = ()
    """Claims of devices."""
    behind: tuple[Resource, ...] = ()
    """What the cache has seen nothing of since admission last counted: it may lack what was let in."""


def observe(cache: Cache, key: str) -> Snapshot | None:
    quota = cache.of(RESOURCE_QUOTAS, ResourceQuota).get(*split(key))
    if quota is None:
        return None
    namespace = quota.metadata.namespace
    counts = {name: _count(cache, name, namespace) for name in quota.spec.hard if _counted(name) not in (None, "pods")}
    return Snapshot(
        quota,
        tuple(cache.of(PODS, Pod).in_namespace(namespace)),
        tuple(cache.of(SERVICES, Service).in_namespace(namespace)),
        tuple(cache.of(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim).in_namespace(namespace)),
        counts,
        tuple(cache.of(RESOURCE_CLAIMS, ResourceClaim).in_namespace(namespace)),
        _behind(cache, quota),
    )


def _behind(cache: Cache, quota: ResourceQuota) -> tuple[Resource, ...]:
    counted = {_counted(name) for name in quota.spec.hard}
    since = int(quota.metadata.resourceVersion or 0)
    return tuple(
        table.resource
        for table in cache.tables
        if table.revision <= since and (table.resource in _SIZED or _name(table.resource) in counted)
    )


def _name(resource: Resource) -> str:
    return f"{resource.plural}.{resource.group}" if resource.group else resource.plural


def _question(seen: Snapshot, resource: Resource) -> Get:
    return Get(resource.path(seen.quota.metadata.namespace))


def informed(seen: Snapshot, answers: Mapping[Get, Answer]) -> Snapshot:
    """The snapshot with what the API itself lists."""
    unread: list[Resource] = []
    for resource in seen.behind:
        answer = answers[_question(seen, resource)]
        if answer.status == 200:
            seen = _with_listed(seen, resource, answer.body.get("items") or [])
        elif answer.status != 404:
            unread.append(resource)
    return replace(seen, behind=tuple(unread))


def _with_listed(seen: Snapshot, resource: Resource, items: list[Object]) -> Snapshot:
    counts = {name: len(items) if _counted(name) == _name(resource) else known for name, known in seen.counts.items()}
    seen = replace(seen, counts=counts)
    if resource == PODS:
        return replace(seen, pods=tuple(msgspec.convert(one, Pod) for one in items))
    if resource == SERVICES:
        return replace(seen, services=tuple(msgspec.convert(one, Service) for one in items))
    if resource == PERSISTENT_VOLUME_CLAIMS:
        return replace(seen, claims=tuple(msgspec.convert(one, PersistentVolumeClaim) for one in items))
    if resource == RESOURCE_CLAIMS:
        return replace(seen, devices=tuple(msgspec.convert(one, ResourceClaim) for one in items))
    return seen


def _counted(name: str) -> str | None:
    """The `plural.group` that a quota name counts; None for sizes."""
    return name.removeprefix("count/") if name.startswith("count/") else _OLD_COUNTS.get(name)


def _count(cache: Cache, name: str, namespace: str) -> int:
    plural, _, group = (_counted(name) or "").partition(".")
    for table in cache.tables:
        if (table.resource.plural, table.resource.group) == (plural, group):
            return len(table.by(BY_NAMESPACE, namespace))
    return 0


def reconcile(seen: Snapshot, now: float) -> Plan:
    quota = seen.quota
    usage: Usage = {}
    for pod in seen.pods:
        if in_scope(quota.spec, pod):
            _add(usage, {"count/pods": _ONE} if is_finished(pod) else usage_of_pod(pod))
    is_scoped = bool(quota.spec.scopes) or quota.spec.scopeSelector is not None
    for claim in seen.claims:
        if _covers_claim(quota.spec, claim):
            _add(usage, _usage_of_claim(claim))
            if is_scoped:
                _add(usage, {"persistentvolumeclaims": _ONE, "count/persistentvolumeclaims": _ONE})
    if not is_scoped:
        for service in seen.services:
            _add(usage, _usage_of_service(service))
        for devices in seen.devices:
            counts = devicecounts.by_class(devices.spec)
            _add(usage, {name: Quantity(count * quantity.NANO) for name, count in counts.items()})
        _add(usage, {name: Quantity(count * quantity.NANO) for name, count in seen.counts.items()})
    used = {name: str(usage.get(name, ZERO)) for name in quota.spec.hard}
    if seen.behind and _gives_room(quota.status.used, used):
        return Plan(ask=tuple(_question(seen, resource) for resource in seen.behind))
    status = ResourceQuotaStatus(hard=quota.spec.hard, used=_kept(quota.status.used, used))
    # Until a limit is in force, admission does not count: what it let in meanwhile may not show yet.
    again = _LOOK_AGAIN if quota.status.hard != quota.spec.hard else None
    return Plan(status_patch(RESOURCE_QUOTAS, quota.metadata, quota.status, status), requeue_after=again)


def _gives_room(old: Mapping[str, Any], new: Mapping[str, str]) -> bool:
    return any(name in old and quantity.compare(text, str(old[name])) < 0 for name, text in new.items())


def _kept(old: Mapping[str, Any], new: dict[str, str]) -> dict[str, Any]:
    """Amounts as they are written already where they mean the same."""
    return {
        name: old[name] if name in old and quantity.compare(str(old[name]), text) == 0 else text
        for name, text in new.items()
    }


def in_scope(spec: ResourceQuotaSpec, pod: Pod) -> bool:
    """Whether the quota's scopes cover the pod."""
    if not all(_has_scope(name, pod) for name in spec.scopes):
        return False
    for one in spec.scopeSelector.matchExpressions if spec.scopeSelector is not None else ():
        if one.scopeName != "PriorityClass":
            if not _has_scope(one.scopeName, pod):
                return False
            continue
        if not _compares(one, pod.spec.priorityClassName):
            return False
    return True


def _compares(selector: ScopedSelectorRequirement, value: str | None) -> bool:
    """Whether a value is what a scope selector asks for."""
    holds = {
        "In": value in selector.values,
        "NotIn": value not in selector.values,
        "Exists": bool(value),
        "DoesNotExist": not value,
    }
    return holds.get(selector.operator, False)


def _covers_claim(spec: ResourceQuotaSpec, claim: PersistentVolumeClaim) -> bool:
    """Whether the quota's scopes cover the claim of a volume: the only one that does is that of its attributes."""
    names = attributes_of(claim)
    if not all(name == _ATTRIBUTES and names for name in spec.scopes):
        return False
    selectors = spec.scopeSelector.matchExpressions if spec.scopeSelector is not None else ()
    return all(
        one.scopeName == _ATTRIBUTES and any(_compares(one, name) for name in names or ("",)) for one in selectors
    )


def _is_best_effort(pod: Pod) -> bool:
    """Whether a pod asks for no cpu or memory at all."""
    holders = [one.resources for one in (*pod.spec.containers, *pod.spec.initContainers)]
    if pod.spec.resources is not None:
        holders.append(pod.spec.resources)
    amounts = (values.get(name, "0") for one in holders for values in (one.requests, one.limits) for name in _QOS)
    return all(str(amount) == "0" for amount in amounts)


def _has_scope(name: str, pod: Pod) -> bool:
    terminating = pod.spec.activeDeadlineSeconds is not None
    best_effort = _is_best_effort(pod)
    affinity = pod.spec.affinity
    crosses = affinity is not None and any(
        term.namespaces or term.namespaceSelector is not None
        for kind in (affinity.podAffinity, affinity.podAntiAffinity)
        if kind is not None
        for term in (
            *kind.requiredDuringSchedulingIgnoredDuringExecution,
            *(one.podAffinityTerm for one in kind.preferredDuringSchedulingIgnoredDuringExecution),
        )
    )
    return {
        "Terminating": terminating,
        "NotTerminating": not terminating,
        "BestEffort": best_effort,
        "NotBestEffort": not best_effort,
        "PriorityClass": bool(pod.spec.priorityClassName),
        "CrossNamespacePodAffinity": crosses,
    }.get(name, False)


def usage_of_pod(pod: Pod) -> Usage:
    """What a pod counts as: itself, its requests and its limits."""
    usage: Usage = {"pods": _ONE, "count/pods": _ONE}
    for kind in ("requests", "limits"):
        for name, amount in _pod_total(pod, kind).items():
            usage[f"{kind}.{name}"] = amount
            if kind == "requests" and name in ("cpu", "memory", "ephemeral-storage"):
                usage[name] = amount
    return usage


def _pod_total(pod: Pod, kind: str) -> Usage:
    """Containers and side-cars together, or the largest start-up need, or what is said of the pod, plus overhead."""
    total: Usage = {}
    for container in pod.spec.containers:
        _add(total, _amounts(getattr(container.resources, kind)))
    sidecars: Usage = {}
    peak: Usage = {}
    for container in pod.spec.initContainers:
        amounts = _amounts(getattr(container.resources, kind))
        if container.restartPolicy == "Always":
            _add(sidecars, amounts)
            _raise(peak, sidecars)
        else:
            together = dict(sidecars)
            _add(together, amounts)
            _raise(peak, together)
    _add(total, sidecars)
    _raise(total, peak)
    if pod.spec.resources is not None:
        total |= _amounts(getattr(pod.spec.resources, kind))
    _add(
        total,
        {name: value for name, value in _amounts(pod.spec.overhead).items() if kind == "requests" or name in total},
    )
    return total


def _amounts(values: Mapping[str, Any]) -> Usage:
    return {name: quantity.parse(str(value)) for name, value in values.items()}


def _usage_of_service(service: Service) -> Usage:
    usage: Usage = {}
    if service.spec.type in ("NodePort", "LoadBalancer"):
        ports = len(service.spec.ports)
        if service.spec.type == "LoadBalancer" and not service.spec.allocateLoadBalancerNodePorts:
            ports = sum(bool(port.nodePort) for port in service.spec.ports)
        usage["services.nodeports"] = Quantity(ports * quantity.NANO)
    if service.spec.type == "LoadBalancer":
        usage["services.loadbalancers"] = _ONE
    return usage


def _usage_of_claim(claim: PersistentVolumeClaim) -> Usage:
    size = quantity.parse(str(claim.spec.resources.requests.get("storage", "0")))
    usage: Usage = {"requests.storage": size}
    if name := class_name(claim):
        prefix = f"{name}.storageclass.storage.k8s.io"
        usage[f"{prefix}/requests.storage"] = size
        usage[f"{prefix}/persistentvolumeclaims"] = _ONE
    return usage


def _add(total: Usage, more: Mapping[str, Quantity]) -> None:
    for name, amount in more.items():
        total[name] = total[name].plus(amount) if name in total else amount


def _raise(total: Usage, least: Mapping[str, Quantity]) -> None:
    for name, amount in least.items():
        if name not in total or total[name].nanos < amount.nanos:
            total[name] = amount


def _keys(cache: Cache, resource: Resource, seen: Any) -> Iterable[str]:
    """All quotas of the namespace of an object that has gone or changed; one that stands as it is seen is new."""
    namespace = seen.metadata.namespace
    table = cache.find(resource)
    if not namespace or (table is not None and table.get(namespace, seen.metadata.name) is seen):
        return ()
    quotas = cache.of(RESOURCE_QUOTAS, ResourceQuota).in_namespace(namespace)
    return tuple(f"{namespace}/{quota.metadata.name}" for quota in quotas)


def _concerns(old: Any, new: Any) -> bool:
    """Counts change when objects come and go; sizes when specs or phases do, or attributes of volumes."""
    if isinstance(new, Pod) and isinstance(old, Pod):
        resized = old.spec.containers != new.spec.containers or old.spec.resources != new.spec.resources
        return resized or is_finished(old) != is_finished(new)
    if isinstance(new, PersistentVolumeClaim):
        return bool(old.spec != new.spec) or attributes_of(old) != attributes_of(new)
    if isinstance(new, Service):
        return bool(old.spec != new.spec)
    return False


def _is_redefined(old: ResourceQuota, new: ResourceQuota) -> bool:
    return old.spec != new.spec or old.status.hard != new.status.hard or old.metadata.uid != new.metadata.uid


def _all(cache: Cache) -> Iterable[str]:
    return [key_of(quota) for quota in cache.of(RESOURCE_QUOTAS, ResourceQuota)]


CONTROLLER = Controller(
    name="resourcequota",
    watches=(
        Watch(RESOURCE_QUOTAS, ResourceQuota, own, _is_redefined),
        Watch(PODS, Pod),
        Watch(SERVICES, Service),
        Watch(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim),
        Watch(RESOURCE_CLAIMS, ResourceClaim),
    ),
    observe=observe,
    reconcile=reconcile,
    informed=informed,
    follows_everything=_keys,
    concerns_everything=_concerns,
    resync=_all,
    resync_seconds=60.0,
    component="resourcequota-controller",
)
