"""ResourceClaims of pods: made from templates, reserved while their pods run, released afterwards.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from mizzen.api.views.core import Pod
from mizzen.api.views.meta import plain
from mizzen.api.views.resource import ResourceClaim, ResourceClaimTemplate
from mizzen.client.cache import BY_CONTROLLER, Cache
from mizzen.client.resources import PODS, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS
from mizzen.controllers.ownership import Identity, about, owned_by
from mizzen.controllers.pods import is_finished
from mizzen.machinery.errors import Object
from mizzen.reconcile.controller import Controller, Watch, key_of, own, split
from mizzen.reconcile.plan import NOTHING, Action, Create, Delete, Note, Patch, Plan

POD = Identity("v1", "Pod")
POD_CLAIM = "resource.kubernetes.io/pod-claim-name"
PROTECTION = "resource.kubernetes.io/delete-protection"
"""Keeps a claim that has devices until nobody uses them; the scheduler sets it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A pod with claims, those made for it so far, and the templates it names."""

    pod: Pod
    claims: tuple[ResourceClaim, ...]
    templates: tuple[ResourceClaimTemplate, ...]


def observe(cache: Cache, key: str) -> Snapshot | None:
    pod = cache.of(PODS, Pod).get(*split(key))
    if pod is None or not _has_claims(pod):
        return None
    made = cache.of(RESOURCE_CLAIMS, ResourceClaim).by(BY_CONTROLLER, pod.metadata.uid)
    table = cache.of(RESOURCE_CLAIM_TEMPLATES, ResourceClaimTemplate)
    names = (one.resourceClaimTemplateName for one in pod.spec.resourceClaims)
    found = (table.get(pod.metadata.namespace, name) for name in names if name)
    return Snapshot(pod, tuple(made), tuple(one for one in found if one is not None))


def _has_claims(pod: Pod) -> bool:
    """Whether a pod has claims, of its own or for its extended resources."""
    return bool(pod.spec.resourceClaims) or pod.status.extendedResourceClaimStatus is not None


def reconcile(seen: Snapshot, now: float) -> Plan:
    pod = seen.pod
    made = {one.metadata.annotations.get(POD_CLAIM, ""): one for one in seen.claims}
    if is_finished(pod):
        meta = [one.metadata for one in seen.claims if not one.metadata.deleting]
        return Plan(tuple(Delete(RESOURCE_CLAIMS, one.namespace, one.name, uid=one.uid) for one in meta))
    if pod.metadata.deleting:
        return NOTHING
    templates = {one.metadata.name: one for one in seen.templates}
    actions: list[Action] = []
    notes: list[Note] = []
    for wanted in pod.spec.resourceClaims:
        name = wanted.resourceClaimTemplateName
        if not name or wanted.name in made:
            continue
        if name not in templates:
            text = f'PodResourceClaim {wanted.name}: resourceclaimtemplate "{name}" not found'
            notes.append(Note(about(pod.metadata, POD), "FailedResourceClaimCreation", text, "Warning"))
            continue
        actions.append(_create(pod, wanted.name, templates[name]))
    if actions or notes:
        return Plan(tuple(actions), tuple(notes), requeue_after=15.0 if notes else None)
    statuses = [
        {"name": one.name, "resourceClaimName": made[one.name].metadata.name}
        for one in pod.spec.resourceClaims
        if one.name in made
    ]
    if statuses == [plain(one) for one in pod.status.resourceClaimStatuses]:
        return NOTHING
    patch = {"status": {"resourceClaimStatuses": statuses}}
    meta_ = pod.metadata
    return Plan((Patch(PODS, meta_.namespace, meta_.name, patch, subresource="status", uid=meta_.uid),))


def _create(pod: Pod, name: str, template: ResourceClaimTemplate) -> Create:
    given = template.spec.metadata
    meta: Object = {
        "generateName": f"{pod.metadata.name}-{name}-",
        "namespace": pod.metadata.namespace,
        "labels": given.get("labels") or {},
        "annotations": {**(given.get("annotations") or {}), POD_CLAIM: name},
        "ownerReferences": owned_by(pod.metadata, POD),
    }
    body = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": meta, "spec": template.spec.spec}
    return Create(RESOURCE_CLAIMS, body)


@dataclass(frozen=True, slots=True)
class Reserved:
    """A claim, and the uids among its reservations whose pods still need it."""

    claim: ResourceClaim
    needed: frozenset[str]


def observe_claim(cache: Cache, key: str) -> Reserved | None:
    claim = cache.of(RESOURCE_CLAIMS, ResourceClaim).get(*split(key))
    if claim is None or not (claim.status.reservedFor or claim.metadata.deleting):
        return None
    pods = cache.of(PODS, Pod)
    found = ((one, pods.get(claim.metadata.namespace, one.name)) for one in claim.status.reservedFor)
    needed = {
        one.uid
        for one, pod in found
        if one.resource != "pods" or (pod is not None and pod.metadata.uid == one.uid and not is_finished(pod))
    }
    return Reserved(claim, frozenset(needed))


def reconcile_claim(seen: Reserved, now: float) -> Plan:
    """Take back reservations of pods that are done, the allocation with the last of them, then the protection."""
    claim = seen.claim
    kept = [one for one in claim.status.reservedFor if one.uid in seen.needed]
    if not claim.status.reservedFor and claim.status.allocation is None:
        return _unprotected(claim) if PROTECTION in claim.metadata.finalizers else NOTHING
    if kept and len(kept) == len(claim.status.reservedFor):
        return NOTHING
    status: Object = {"reservedFor": [msgspec.to_builtins(one) for one in kept] or None}
    if not kept:
        status["allocation"] = None
    meta = claim.metadata
    patch = Patch(
        RESOURCE_CLAIMS,
        meta.namespace,
        meta.name,
        {"status": status},
        subresource="status",
        uid=meta.uid,
        resource_version=meta.resourceVersion,
    )
    return Plan((patch,))


def _unprotected(claim: ResourceClaim) -> Plan:
    meta = claim.metadata
    kept = [one for one in meta.finalizers if one != PROTECTION]
    patch = {"metadata": {"finalizers": kept or None}}
    where = (meta.namespace, meta.name)
    return Plan((Patch(RESOURCE_CLAIMS, *where, patch, uid=meta.uid, resource_version=meta.resourceVersion),))


def _claims_of_pod(_cache: Cache, pod: Pod) -> Iterable[str]:
    for one in pod.status.resourceClaimStatuses:
        if one.resourceClaimName:
            yield f"{pod.metadata.namespace}/{one.resourceClaimName}"
    for wanted in pod.spec.resourceClaims:
        if wanted.resourceClaimName:
            yield f"{pod.metadata.namespace}/{wanted.resourceClaimName}"
    if pod.status.extendedResourceClaimStatus is not None:
        yield f"{pod.metadata.namespace}/{pod.status.extendedResourceClaimStatus.resourceClaimName}"


def _pod_of_claim(_cache: Cache, claim: ResourceClaim) -> Iterable[str]:
    controller = claim.metadata.controller
    if controller is not None and controller.kind == "Pod":
        yield f"{claim.metadata.namespace}/{controller.name}"


CONTROLLER = Controller(
    name="resourceclaim",
    watches=(
        Watch(PODS, Pod, lambda _cache, pod: (key_of(pod),) if _has_claims(pod) else ()),
        Watch(RESOURCE_CLAIMS, ResourceClaim, _pod_of_claim),
        Watch(RESOURCE_CLAIM_TEMPLATES, ResourceClaimTemplate),
    ),
    observe=observe,
    reconcile=reconcile,
    component="resource_claim",
)
RESERVATIONS = Controller(
    name="resourceclaim-reservations",
    watches=(Watch(RESOURCE_CLAIMS, ResourceClaim, own), Watch(PODS, Pod, _claims_of_pod)),
    observe=observe_claim,
    reconcile=reconcile_claim,
    component="resource_claim",
)
