"""StatefulSet: pods with names, each with claims of its own, started, updated and stopped in order.

Ref: https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from mizzen.api.views.apps import ControllerRevision, StatefulSet, StatefulSetStatus
from mizzen.api.views.core import PersistentVolumeClaim, Pod
from mizzen.api.views.meta import OwnerReference, plain
from mizzen.client.cache import Cache
from mizzen.client.resources import CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from mizzen.controllers import pods as podlife
from mizzen.controllers import revisions
from mizzen.controllers.ownership import Identity, about, candidates, claim, keys_of_pod, owned_by, selects
from mizzen.controllers.status import status_patch
from mizzen.machinery.errors import Object
from mizzen.machinery.intstr import scale_up
from mizzen.reconcile.controller import Controller, Watch, own, split
from mizzen.reconcile.plan import Action, Create, Delete, Note, Patch, Plan

IDENTITY = Identity("apps/v1", "StatefulSet")
NAME_LABEL = "statefulset.kubernetes.io/pod-name"
INDEX_LABEL = "apps.kubernetes.io/pod-index"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A StatefulSet, its pods and revisions (had or adoptable), and the claims of all its ordinals by name."""

    set: StatefulSet
    pods: tuple[Pod, ...]
    revisions: tuple[ControllerRevision, ...]
    namesake: ControllerRevision | None
    claims: Mapping[str, PersistentVolumeClaim]


def _selects(one: StatefulSet) -> Callable[[Mapping[str, str]], bool]:
    return selects(one.spec.selector)


def _owner(one: StatefulSet) -> revisions.Owner:
    return revisions.Owner(one.metadata, IDENTITY, one.spec.template, one.status.collisionCount)


def ordinal(one: StatefulSet, name: str) -> int | None:
    """The ordinal in a pod's name; None for a name that is not this set's."""
    parent, _, number = name.rpartition("-")
    return int(number) if parent == one.metadata.name and number.isdecimal() else None


def observe(cache: Cache, key: str) -> Snapshot | None:
    one = cache.of(STATEFUL_SETS, StatefulSet).get(*split(key))
    if one is None:
        return None
    namespace = one.metadata.namespace
    pods = tuple(
        pod
        for pod in candidates(cache.of(PODS, Pod), one.metadata, _selects(one))
        if ordinal(one, pod.metadata.name) is not None
    )
    table = cache.of(CONTROLLER_REVISIONS, ControllerRevision)
    known = candidates(table, one.metadata, _selects(one))
    namesake = table.get(namespace, revisions.name_for(_owner(one))[0])
    claims: dict[str, PersistentVolumeClaim] = {}
    if one.spec.volumeClaimTemplates:
        held = cache.of(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim)
        ordinals = {*_wanted(one), *(number for pod in pods if (number := ordinal(one, pod.metadata.name)) is not None)}
        ordinals |= _claimed(one, held.in_namespace(namespace))
        names = (name for number in ordinals for name in claim_names(one, number))
        claims = {name: found for name in names if (found := held.get(namespace, name)) is not None}
    return Snapshot(one, pods, known, namesake, claims)


def _claimed(one: StatefulSet, held: list[PersistentVolumeClaim]) -> set[int]:
    """Ordinals that have claims, whether or not they have pods."""
    prefixes = tuple(f"{_template_name(template)}-{one.metadata.name}-" for template in one.spec.volumeClaimTemplates)
    found = set()
    for claimed in held:
        prefix, _, number = claimed.metadata.name.rpartition("-")
        if f"{prefix}-" in prefixes and number.isdecimal() and _selects(one)(claimed.metadata.labels):
            found.add(int(number))
    return found


def _wanted(one: StatefulSet) -> range:
    start = one.spec.ordinals.start
    return range(start, start + one.spec.replicas)


def _template_name(template: Object) -> str:
    name: str = template["metadata"]["name"]
    return name


def claim_names(one: StatefulSet, number: int) -> list[str]:
    """The names of an ordinal's claims, in the order of the claim templates."""
    return [f"{_template_name(template)}-{one.metadata.name}-{number}" for template in one.spec.volumeClaimTemplates]


def reconcile(seen: Snapshot, now: float) -> Plan:
    one = seen.set
    claimed = claim(one.metadata, IDENTITY, PODS, seen.pods, _selects(one))
    known = claim(one.metadata, IDENTITY, CONTROLLER_REVISIONS, seen.revisions, _selects(one))
    if claimed.patches or known.patches:
        return Plan((*claimed.patches, *known.patches))
    update = revisions.current(_owner(one), known.mine, seen.namesake)
    if one.metadata.deleting:
        return Plan()
    if update.collides:
        status = msgspec.structs.replace(one.status, collisionCount=one.status.collisionCount + 1)
        return Plan(status_patch(STATEFUL_SETS, one.metadata, one.status, status))
    if update.action is not None:
        return Plan((update.action,))
    names = {revision.metadata.name for revision in known.mine}
    current = one.status.currentRevision if one.status.currentRevision in names else update.name
    view = _View(seen, claimed.mine, update.name, current, known.mine, now)
    status = view.status()
    told = status_patch(STATEFUL_SETS, one.metadata, one.status, status, always=("replicas", "availableReplicas"))
    actions = view.retention() or view.pods_to_move()
    pruned = revisions.surplus(
        known.mine,
        (update.name, current, *(pod.metadata.labels.get(revisions.HASH_LABEL, "") for pod in claimed.mine)),
        one.spec.revisionHistoryLimit,
    )
    wait = podlife.next_available(claimed.mine, one.spec.minReadySeconds, now)
    return Plan((*told, *actions, *pruned), requeue_after=wait)


class _View:
    """One round's working view: pods by ordinal, and the questions that the order of things asks."""

    def __init__(
        self,
        seen: Snapshot,
        mine: tuple[Pod, ...],
        update: str,
        current: str,
        known: tuple[ControllerRevision, ...],
        now: float,
    ) -> None:
        self._seen = seen
        self._one = seen.set
        self._now = now
        self._update = update
        self._current = current
        self._known = {revision.metadata.name: revision for revision in known}
        self._pods = {ordinal(seen.set, pod.metadata.name) or 0: pod for pod in mine}
        self._parallel = seen.set.spec.podManagementPolicy == "Parallel"

    # -- status

    def status(self) -> StatefulSetStatus:
        one, pods = self._one, list(self._pods.values())
        minimum = one.spec.minReadySeconds
        counted = [pod for pod in pods if not pod.metadata.deleting]
        running = [pod for pod in pods if pod.status.phase == "Running"]
        current = sum(self._revision(pod) == self._current for pod in counted)
        updated = sum(self._revision(pod) == self._update for pod in counted)
        status = StatefulSetStatus(
            observedGeneration=one.metadata.generation,
            replicas=len(pods),
            readyReplicas=sum(podlife.is_ready(pod) for pod in running),
            availableReplicas=sum(podlife.is_available(pod, minimum, self._now) for pod in running),
            currentReplicas=current,
            updatedReplicas=updated,
            currentRevision=self._current,
            updateRevision=self._update,
            collisionCount=one.status.collisionCount,
        )
        if one.spec.updateStrategy.type == "RollingUpdate" and self._is_rolled_out(status):
            return msgspec.structs.replace(status, currentReplicas=status.updatedReplicas, currentRevision=self._update)
        return status

    def _is_rolled_out(self, status: StatefulSetStatus) -> bool:
        return status.updatedReplicas == status.replicas == status.readyReplicas == self._one.spec.replicas

    def _revision(self, pod: Pod) -> str:
        return pod.metadata.labels.get(revisions.HASH_LABEL, "")

    # -- pods

    def pods_to_move(self) -> tuple[Action, ...]:
        """Start, replace or stop pods: one at a time in order, or all at once for Parallel."""
        actions: list[Action] = []
        for number in _wanted(self._one):
            pod = self._pods.get(number)
            moves = self._fill(number, pod)
            actions += moves
            if not self._parallel and (moves or pod is None or not self._is_settled(pod)):
                return tuple(actions)
        surplus = sorted((number for number in self._pods if number not in _wanted(self._one)), reverse=True)
        if surplus and not self._parallel:
            return (*actions, *self._stop_in_order(surplus[0]))
        actions += [self._delete(self._pods[n]) for n in surplus if not self._pods[n].metadata.deleting]
        if actions or surplus:
            return tuple(actions)
        return self._update_in_order()

    def _is_settled(self, pod: Pod) -> bool:
        return not pod.metadata.deleting and podlife.is_available(pod, self._one.spec.minReadySeconds, self._now)

    def _stop_in_order(self, number: int) -> tuple[Action, ...]:
        """Stop the highest surplus pod; one that is not well is stopped only when all below it are."""
        pod = self._pods[number]
        sick = min((n for n, one in self._pods.items() if not self._is_settled(one)), default=number)
        if pod.metadata.deleting or (not self._is_settled(pod) and sick != number):
            return ()
        return (self._delete(pod),)

    def _fill(self, number: int, pod: Pod | None) -> list[Action]:
        """What an ordinal in range needs: its claims, its pod, or a fresh pod for one that has ended."""
        if pod is None:
            return [] if self._has_leaving_claim(number) else [*self._missing_claims(number), self._create(number)]
        if podlife.is_finished(pod) and not pod.metadata.deleting:
            return [self._delete(pod, "RecreatingTerminatedPod")]
        return list(self._relabelled(number, pod)) if not pod.metadata.deleting else []

    def _has_leaving_claim(self, number: int) -> bool:
        """Whether a claim of this ordinal is on its way out: a pod that used it would wait for it for ever."""
        claims = (self._seen.claims.get(name) for name in claim_names(self._one, number))
        return any(one is not None and one.metadata.deleting for one in claims)

    def _relabelled(self, number: int, pod: Pod) -> tuple[Action, ...]:
        """Restore the labels by which the pod is known, and claims that went missing."""
        wanted = {NAME_LABEL: pod.metadata.name, INDEX_LABEL: str(number)}
        missing = {key: value for key, value in wanted.items() if pod.metadata.labels.get(key) != value}
        meta = pod.metadata
        patch = (Patch(PODS, meta.namespace, meta.name, {"metadata": {"labels": missing}}, uid=meta.uid),)
        return (*self._missing_claims(number), *(patch if missing else ()))

    def _update_in_order(self) -> tuple[Action, ...]:
        """Replace pods of older revisions from the highest ordinal down to the partition."""
        strategy = self._one.spec.updateStrategy
        if strategy.type != "RollingUpdate":
            return ()
        limit = 1
        if strategy.rollingUpdate.maxUnavailable is not None:
            limit = max(1, scale_up(strategy.rollingUpdate.maxUnavailable, self._one.spec.replicas))
        floor = self._one.spec.ordinals.start + strategy.rollingUpdate.partition
        missing = sum(not self._is_settled(pod) for pod in self._pods.values())
        actions: list[Action] = []
        for number in sorted((n for n in self._pods if n >= floor), reverse=True):
            pod = self._pods[number]
            if self._revision(pod) != self._update and not pod.metadata.deleting:
                counted = not self._is_settled(pod)
                if not counted and missing >= limit:
                    break
                actions.append(self._delete(pod))
                missing += not counted
                if len(actions) >= limit:
                    break
            elif not self._is_settled(pod) and limit == 1:
                break
        return tuple(actions)

    def _revision_for(self, number: int) -> str:
        """The revision a new pod of this ordinal gets: below the partition, the one that is current."""
        strategy = self._one.spec.updateStrategy
        if strategy.type != "RollingUpdate" or self._current == self._update:
            return self._update
        below = number - self._one.spec.ordinals.start < strategy.rollingUpdate.partition
        return self._current if below else self._update

    def _create(self, number: int) -> Create:
        one = self._one
        name = f"{one.metadata.name}-{number}"
        revision = self._revision_for(number)
        template = _template(self._known.get(revision), one.spec.template)
        body = podlife.from_template(template, one.metadata, IDENTITY)
        meta = {key: value for key, value in body["metadata"].items() if key != "generateName"}
        meta["name"] = name
        labels = {revisions.HASH_LABEL: revision, NAME_LABEL: name, INDEX_LABEL: str(number)}
        meta["labels"] = {**meta.get("labels", {}), **labels}
        spec = {**body["spec"], "hostname": name, "subdomain": one.spec.serviceName}
        if one.spec.volumeClaimTemplates:
            spec["volumes"] = _volumes(one, number, spec.get("volumes") or [])
        subject = about(one.metadata, IDENTITY)
        done = f"create Pod {name} in StatefulSet {one.metadata.name} "
        return Create(
            PODS,
            {**body, "metadata": meta, "spec": {key: value for key, value in spec.items() if value != ""}},
            note=Note(subject, "SuccessfulCreate", f"{done}successful"),
            failed=Note(subject, "FailedCreate", f"{done}failed error: {{error}}", "Warning"),
        )

    def _delete(self, pod: Pod, reason: str = "") -> Delete:
        one = self._one
        subject = about(one.metadata, IDENTITY)
        done = f"delete Pod {pod.metadata.name} in StatefulSet {one.metadata.name} "
        note = Note(subject, "SuccessfulDelete", f"{done}successful")
        if reason:
            text = f"StatefulSet {one.metadata.namespace}/{one.metadata.name} is recreating terminated Pod {{name}}"
            note = Note(subject, reason, text, "Warning")
        return Delete(
            PODS,
            pod.metadata.namespace,
            pod.metadata.name,
            uid=pod.metadata.uid,
            note=note,
            failed=Note(subject, "FailedDelete", f"{done}failed error: {{error}}", "Warning"),
        )

    # -- claims

    def _missing_claims(self, number: int) -> list[Create]:
        one = self._one
        made = []
        for template, name in zip(one.spec.volumeClaimTemplates, claim_names(one, number), strict=True):
            if name in self._seen.claims:
                continue
            meta = template.get("metadata") or {}
            labels = {**(meta.get("labels") or {}), **one.spec.selector.matchLabels}
            body: Object = {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": name, "namespace": one.metadata.namespace, "labels": labels},
                "spec": template.get("spec") or {},
            }
            if meta.get("annotations"):
                body["metadata"]["annotations"] = meta["annotations"]
            if one.spec.persistentVolumeClaimRetentionPolicy.whenDeleted == "Delete":
                body["metadata"]["ownerReferences"] = owned_by(one.metadata, IDENTITY)
            text = f"create Claim {name} Pod {one.metadata.name}-{number} in StatefulSet {one.metadata.name} "
            subject = about(one.metadata, IDENTITY)
            made.append(
                Create(
                    PERSISTENT_VOLUME_CLAIMS,
                    body,
                    note=Note(subject, "SuccessfulCreate", f"{text}success"),
                    failed=Note(subject, "FailedCreate", f"{text}failed error: {{error}}", "Warning"),
                )
            )
        return made

    def retention(self) -> tuple[Action, ...]:
        """Make claims belong to the set, or to the pod that is scaled away, as the retention policy says."""
        policy = self._one.spec.persistentVolumeClaimRetentionPolicy
        actions: list[Action] = []
        for name, claimed in self._seen.claims.items():
            number = int(name.rpartition("-")[2])
            wanted = self._owners(claimed, number, policy.whenDeleted, policy.whenScaled)
            meta = claimed.metadata
            if wanted != meta.ownerReferences and not meta.deleting:
                patch = {"metadata": {"ownerReferences": [plain(owner) for owner in wanted] or None}}
                actions.append(
                    Patch(PERSISTENT_VOLUME_CLAIMS, meta.namespace, name, patch, resource_version=meta.resourceVersion)
                )
        return tuple(actions)

    def _owners(
        self, claimed: PersistentVolumeClaim, number: int, when_deleted: str, when_scaled: str
    ) -> tuple[OwnerReference, ...]:
        meta = self._one.metadata
        owners = claimed.metadata.ownerReferences
        pod_name = f"{meta.name}-{number}"
        kept = tuple(one for one in owners if one.uid != meta.uid and not (one.kind == "Pod" and one.name == pod_name))
        surplus = number not in _wanted(self._one)
        pod = self._pods.get(number)
        if surplus and when_scaled == "Delete":
            if pod is None:
                return tuple(one for one in owners if one.uid != meta.uid)
            return (*kept, OwnerReference("v1", "Pod", pod_name, pod.metadata.uid))
        if when_deleted == "Delete":
            have = next((one for one in owners if one.uid == meta.uid), None)
            return (*kept, have or OwnerReference(IDENTITY.apiVersion, IDENTITY.kind, meta.name, meta.uid, True, True))
        return kept


def _template(revision: ControllerRevision | None, fallback: Object) -> Object:
    if revision is None:
        return fallback
    recorded: Object = (revision.data.get("spec") or {}).get("template") or fallback
    return {key: value for key, value in recorded.items() if key != "$patch"}


def _volumes(one: StatefulSet, number: int, volumes: list[Any]) -> list[Object]:
    """The pod's volumes with the ordinal's claims in place of whatever had their names."""
    names = [_template_name(template) for template in one.spec.volumeClaimTemplates]
    claims = [
        {"name": name, "persistentVolumeClaim": {"claimName": claimed}}
        for name, claimed in zip(names, claim_names(one, number), strict=True)
    ]
    return [*claims, *(volume for volume in volumes if volume["name"] not in names)]


def _keys_of_claim(cache: Cache, seen: PersistentVolumeClaim) -> tuple[str, ...]:
    sets = cache.of(STATEFUL_SETS, StatefulSet).in_namespace(seen.metadata.namespace)
    return tuple(
        f"{one.metadata.namespace}/{one.metadata.name}"
        for one in sets
        if one.spec.volumeClaimTemplates and _selects(one)(seen.metadata.labels)
    )


CONTROLLER = Controller(
    name="statefulset",
    watches=(
        Watch(STATEFUL_SETS, StatefulSet, own),
        Watch(PODS, Pod, keys_of_pod("StatefulSet", STATEFUL_SETS, StatefulSet, _selects)),
        Watch(
            CONTROLLER_REVISIONS, ControllerRevision, keys_of_pod("StatefulSet", STATEFUL_SETS, StatefulSet, _selects)
        ),
        Watch(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim, _keys_of_claim),
    ),
    observe=observe,
    reconcile=reconcile,
)
