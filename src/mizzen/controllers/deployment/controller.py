"""One round of a deployment, in the order it decides: adopt, pause, number, rescale, roll, clean up, tell."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from mizzen.api.views.apps import Deployment, ReplicaSet
from mizzen.api.views.core import Pod
from mizzen.client.cache import BY_CONTROLLER, Cache
from mizzen.client.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from mizzen.controllers.deployment import progress, revision, scaling
from mizzen.controllers.deployment.revision import IDENTITY, Rollout
from mizzen.controllers.ownership import about, candidates, claim, keys_of_pod, selects
from mizzen.controllers.pods import is_finished
from mizzen.controllers.status import status_patch
from mizzen.reconcile.controller import Controller, Watch, own, split
from mizzen.reconcile.plan import Action, Create, Delete, Note, Patch, Plan


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A deployment, the ReplicaSets it has or could adopt, who has the new one's name, and whether old pods run."""

    deployment: Deployment
    sets: tuple[ReplicaSet, ...]
    namesake: ReplicaSet | None
    old_pods_run: bool


def _selects(deployment: Deployment) -> Callable[[Mapping[str, str]], bool]:
    return selects(deployment.spec.selector)


def observe(cache: Cache, key: str) -> Snapshot | None:
    deployment = cache.of(DEPLOYMENTS, Deployment).get(*split(key))
    if deployment is None:
        return None
    table = cache.of(REPLICA_SETS, ReplicaSet)
    sets = candidates(table, deployment.metadata, _selects(deployment))
    namesake = table.get(deployment.metadata.namespace, revision.name_of_new(deployment)[0])
    old_run = deployment.spec.strategy.type == "Recreate" and _old_pods_run(cache, deployment, sets)
    return Snapshot(deployment, sets, namesake, old_run)


def _old_pods_run(cache: Cache, deployment: Deployment, sets: tuple[ReplicaSet, ...]) -> bool:
    """Whether old pods run or end; the pods' watch may lag, so the ReplicaSets must say so too."""
    pods = cache.of(PODS, Pod)
    old = revision.rollout(deployment, sets).old
    return any(
        one.status.replicas
        or one.status.terminatingReplicas
        or one.status.observedGeneration < one.metadata.generation
        or any(not is_finished(pod) for pod in pods.by(BY_CONTROLLER, one.metadata.uid))
        for one in old
    )


def reconcile(seen: Snapshot, now: float) -> Plan:
    deployment = seen.deployment
    claimed = claim(deployment.metadata, IDENTITY, REPLICA_SETS, seen.sets, _selects(deployment))
    if claimed.patches:
        return Plan(claimed.patches)
    rollout = revision.rollout(deployment, claimed.mine)
    if deployment.metadata.deleting:
        return _told(rollout, (), now)
    if deployment.spec.paused:
        marked = _with_conditions(rollout, progress.marked_paused(rollout, now))
        return _told(marked, _resized(rollout, scaling.rescaled(rollout)), now)
    rollout = _with_conditions(rollout, progress.marked_running(rollout, now))
    if scaling.was_rescaled(rollout):
        return _told(rollout, _resized(rollout, scaling.rescaled(rollout)) or _renumbered(rollout), now)
    if rollout.new is None:
        return _begin(seen, rollout, now)
    if actions := _renumbered(rollout):
        return _told(rollout, actions, now)
    if deployment.spec.strategy.type == "Recreate":
        sizes = scaling.none_old(rollout) or ({} if seen.old_pods_run else scaling.roll_up(rollout))
    else:
        sizes = scaling.roll_up(rollout) or scaling.roll_down(rollout)
    return _told(rollout, _resized(rollout, sizes) or _pruned(rollout), now)


def _begin(seen: Snapshot, rollout: Rollout, now: float) -> Plan:
    """Make the ReplicaSet of a new template, unless old pods must go first or its name is taken."""
    deployment = rollout.deployment
    if deployment.spec.strategy.type == "Recreate":
        sizes = scaling.none_old(rollout)
        if sizes or seen.old_pods_run:
            return _told(rollout, _resized(rollout, sizes), now)
    if seen.namesake is not None:
        status = msgspec.structs.replace(deployment.status, collisionCount=deployment.status.collisionCount + 1)
        return Plan(status_patch(DEPLOYMENTS, deployment.metadata, deployment.status, status))
    size = scaling.first_size(rollout)
    body = revision.body_of_new(rollout, size)
    name = body["metadata"]["name"]
    subject = about(deployment.metadata, IDENTITY)
    create = Create(
        REPLICA_SETS,
        body,
        note=Note(subject, "ScalingReplicaSet", f"Scaled up replica set {name} from 0 to {size}") if size else None,
        failed=Note(
            subject, "ReplicaSetCreateError", f'Failed to create new replica set "{name}": {{error}}', "Warning"
        ),
    )
    rollout = _with_conditions(rollout, progress.marked_created(rollout, name, now))
    number = body["metadata"]["annotations"][revision.REVISION]
    return _told(rollout, (create, *_number_deployment(deployment, number)), now)


def _number_deployment(deployment: Deployment, number: str) -> tuple[Patch, ...]:
    """The revision, written by way of the status: that alone leaves the deployment's generation as its user made it."""
    if deployment.metadata.annotations.get(revision.REVISION) == number:
        return ()
    patch = {"metadata": {"annotations": {revision.REVISION: number}}}
    meta = deployment.metadata
    return (Patch(DEPLOYMENTS, meta.namespace, meta.name, patch, subresource="status", uid=meta.uid),)


def _renumbered(seen: Rollout) -> tuple[Action, ...]:
    """Bring annotations and minReadySeconds of the new ReplicaSet, and the deployment's revision, up to date."""
    new = seen.new
    if new is None:
        return ()
    patch: dict[str, Any] = {}
    annotations = revision.renumbered(seen, new)
    if annotations:
        patch["metadata"] = {"annotations": annotations}
    if new.spec.minReadySeconds != seen.deployment.spec.minReadySeconds:
        patch["spec"] = {"minReadySeconds": seen.deployment.spec.minReadySeconds}
    number = annotations.get(revision.REVISION) or str(revision.number(new))
    meta = new.metadata
    patches = (
        (Patch(REPLICA_SETS, meta.namespace, meta.name, patch, resource_version=meta.resourceVersion),) if patch else ()
    )
    return (*patches, *_number_deployment(seen.deployment, number))


def _resized(seen: Rollout, sizes: scaling.Sizes) -> tuple[Action, ...]:
    """Patches that give ReplicaSets their new sizes; growth first."""
    subject = about(seen.deployment.metadata, IDENTITY)
    annotations = revision.sizes(seen)
    actions: list[Patch] = []
    for one in seen.all:
        size = sizes.get(one.metadata.name)
        if size is None:
            continue
        meta = one.metadata
        missing = {key: value for key, value in annotations.items() if meta.annotations.get(key) != value}
        if size == one.spec.replicas and not missing:
            continue
        patch: dict[str, Any] = {"spec": {"replicas": size}}
        if missing:
            patch["metadata"] = {"annotations": missing}
        note = None
        if size != one.spec.replicas:
            way = "up" if size > one.spec.replicas else "down"
            text = f"Scaled {way} replica set {meta.name} from {one.spec.replicas} to {size}"
            note = Note(subject, "ScalingReplicaSet", text)
        actions.append(
            Patch(REPLICA_SETS, meta.namespace, meta.name, patch, resource_version=meta.resourceVersion, note=note)
        )
    return tuple(actions)


def _pruned(seen: Rollout) -> tuple[Action, ...]:
    """Deletions of old revisions past the history limit, once the rollout is complete."""
    deployment = seen.deployment
    if deployment.spec.revisionHistoryLimit >= 2**31 - 1 or not progress.is_complete(deployment, deployment.status):
        return ()
    idle = [
        one
        for one in seen.old
        if not one.status.replicas
        and not one.spec.replicas
        and not one.metadata.deleting
        and one.metadata.generation <= one.status.observedGeneration
    ]
    idle.sort(key=lambda one: (revision.number(one), revision.by_age(one)))
    surplus = max(0, len(seen.old) - deployment.spec.revisionHistoryLimit)
    return tuple(
        Delete(REPLICA_SETS, one.metadata.namespace, one.metadata.name, uid=one.metadata.uid) for one in idle[:surplus]
    )


def _told(seen: Rollout, actions: tuple[Action, ...], now: float) -> Plan:
    """The plan with the status that goes with it."""
    deployment = seen.deployment
    status = progress.counted(seen)
    resting = deployment.spec.paused or deployment.metadata.deleting
    judged = progress.availability if resting else progress.conditions
    status = msgspec.structs.replace(status, conditions=judged(seen, status, now))
    told = status_patch(DEPLOYMENTS, deployment.metadata, seen.stored, status, always=("terminatingReplicas",))
    if any(action.resource is DEPLOYMENTS for action in actions):
        told = tuple(replace(patch, resource_version="") for patch in told)  # the plan itself moves it on
    wait = None if resting else progress.wait(deployment, status, now)
    return Plan((*actions, *told), requeue_after=wait)


def _with_conditions(seen: Rollout, conditions: tuple[Any, ...]) -> Rollout:
    status = msgspec.structs.replace(seen.deployment.status, conditions=conditions)
    return replace(seen, deployment=msgspec.structs.replace(seen.deployment, status=status))


CONTROLLER = Controller(
    name="deployment",
    watches=(
        Watch(DEPLOYMENTS, Deployment, own),
        Watch(REPLICA_SETS, ReplicaSet, keys_of_pod("Deployment", DEPLOYMENTS, Deployment, _selects)),
        Watch(PODS, Pod),
    ),
    observe=observe,
    reconcile=reconcile,
)
