"""ReplicaSet and ReplicationController: as many active pods as wanted, no more.

Ref: https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from mizzen.api.views.apps import ReplicaSet
from mizzen.api.views.core import Pod, ReplicaStatus, ReplicationController
from mizzen.client.cache import BY_CONTROLLER, Cache
from mizzen.client.client import Resource
from mizzen.client.resources import PODS, REPLICA_SETS, REPLICATION_CONTROLLERS
from mizzen.controllers import pods as podlife
from mizzen.controllers.ownership import Identity, about, candidates, claim, keys_of_pod, selects
from mizzen.controllers.status import status_patch, with_condition, without_condition
from mizzen.reconcile.controller import Controller, Watch, own, split
from mizzen.reconcile.plan import NOTHING, Action, Create, Delete, Note, Plan

BURST = 500
"""At most so many pods are created or deleted in one round."""


@dataclass(frozen=True, slots=True)
class Flavor:
    """What differs between the two kinds."""

    identity: Identity
    resource: Resource
    view: type[Any]
    name: str
    component: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A replica set, the pods it has or could adopt, and how many related pods run on each node."""

    owner: ReplicaSet | ReplicationController
    pods: tuple[Pod, ...]
    neighbours: Mapping[str, int]


def _selects(owner: Any) -> Callable[[Mapping[str, str]], bool]:
    return selects(owner.spec.selector)


def observe(flavor: Flavor, cache: Cache, key: str) -> Snapshot | None:
    owner = cache.of(flavor.resource, flavor.view).get(*split(key))
    if owner is None:
        return None
    pods = candidates(cache.of(PODS, Pod), owner.metadata, _selects(owner))
    neighbours: Mapping[str, int] = {}
    if sum(map(podlife.is_active, pods)) > owner.spec.replicas:
        neighbours = _neighbours(flavor, cache, owner, pods)
    return Snapshot(owner, pods, neighbours)


def _neighbours(flavor: Flavor, cache: Cache, owner: Any, pods: tuple[Pod, ...]) -> Mapping[str, int]:
    """Active pods on each node among all replica sets with the same controller."""
    related = list(pods)
    if (controller := owner.metadata.controller) is not None:
        for sibling in cache.of(flavor.resource, flavor.view).by(BY_CONTROLLER, controller.uid):
            if sibling.metadata.uid != owner.metadata.uid:
                related += cache.of(PODS, Pod).by(BY_CONTROLLER, sibling.metadata.uid)
    return Counter(pod.spec.nodeName for pod in related if podlife.is_active(pod))


def reconcile(flavor: Flavor, seen: Snapshot, now: float) -> Plan:
    owner = seen.owner
    claimed = claim(owner.metadata, flavor.identity, PODS, seen.pods, _selects(owner))
    if claimed.patches:
        return Plan(claimed.patches)
    active = [pod for pod in claimed.mine if podlife.is_active(pod)]
    terminating = sum(pod.metadata.deleting and not podlife.is_finished(pod) for pod in claimed.mine)
    status = _status(seen, active, terminating, now)
    actions: tuple[Action, ...] = ()
    if not owner.metadata.deleting:
        actions = _scaling(flavor, seen, active, status, now)
    requeue = podlife.next_available(active, owner.spec.minReadySeconds, now)
    written = status_patch(
        flavor.resource, owner.metadata, owner.status, status, always=("replicas", "terminatingReplicas")
    )
    if not actions and not written:
        return Plan(requeue_after=requeue) if requeue else NOTHING
    return Plan((*actions, *written), requeue_after=requeue)


def _scaling(
    flavor: Flavor, seen: Snapshot, active: list[Pod], status: ReplicaStatus, now: float
) -> tuple[Action, ...]:
    owner = seen.owner
    subject = about(owner.metadata, flavor.identity)
    missing = owner.spec.replicas - len(active)
    if missing > 0:
        body = podlife.from_template(owner.spec.template, owner.metadata, flavor.identity)
        create = Create(
            PODS,
            body,
            note=Note(subject, "SuccessfulCreate", "Created pod: {name}"),
            failed=Note(subject, "FailedCreate", "Error creating: {error}", "Warning"),
            otherwise=_failure(flavor, owner, status, "FailedCreate", now),
        )
        return (create,) * min(missing, BURST)
    if not missing:
        return ()  # the common case: whom to give up first need not be known
    return tuple(
        Delete(
            PODS,
            pod.metadata.namespace,
            pod.metadata.name,
            uid=pod.metadata.uid,
            note=Note(subject, "SuccessfulDelete", "Deleted pod: {name}"),
            failed=Note(subject, "FailedDelete", "Error deleting: {error}", "Warning"),
            otherwise=_failure(flavor, owner, status, "FailedDelete", now),
        )
        for pod in podlife.deletion_order(active, seen.neighbours)[: min(-missing, BURST)]
    )


def _failure(
    flavor: Flavor, owner: ReplicaSet | ReplicationController, status: ReplicaStatus, reason: str, now: float
) -> tuple[Action, ...]:
    """The status as it is counted now, with the failure: who reads its generation takes its numbers for current."""
    conditions = with_condition(owner.status.conditions, "ReplicaFailure", "True", reason, "{error}", now)
    new = msgspec.structs.replace(status, conditions=conditions)
    return status_patch(flavor.resource, owner.metadata, owner.status, new, always=("replicas", "terminatingReplicas"))


def _status(seen: Snapshot, active: list[Pod], terminating: int, now: float) -> ReplicaStatus:
    owner = seen.owner
    labels = ((owner.spec.template.get("metadata") or {}).get("labels") or {}).items()
    return ReplicaStatus(
        replicas=len(active),
        fullyLabeledReplicas=sum(labels <= pod.metadata.labels.items() for pod in active),
        readyReplicas=sum(map(podlife.is_ready, active)),
        availableReplicas=sum(podlife.is_available(pod, owner.spec.minReadySeconds, now) for pod in active),
        terminatingReplicas=terminating if isinstance(owner, ReplicaSet) else owner.status.terminatingReplicas,
        observedGeneration=owner.metadata.generation,
        conditions=without_condition(owner.status.conditions, "ReplicaFailure"),
    )


def _controller(flavor: Flavor) -> Controller:
    return Controller(
        name=flavor.name,
        watches=(
            Watch(flavor.resource, flavor.view, own),
            Watch(PODS, Pod, keys_of_pod(flavor.identity.kind, flavor.resource, flavor.view, _selects)),
        ),
        observe=partial(observe, flavor),
        reconcile=partial(reconcile, flavor),
        component=flavor.component,
    )


REPLICA_SET = _controller(
    Flavor(Identity("apps/v1", "ReplicaSet"), REPLICA_SETS, ReplicaSet, "replicaset", "replicaset-controller")
)
REPLICATION_CONTROLLER = _controller(
    Flavor(
        Identity("v1", "ReplicationController"),
        REPLICATION_CONTROLLERS,
        ReplicationController,
        "replicationcontroller",
        "replication-controller",
    )
)
