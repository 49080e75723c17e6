"""PodDisruptionBudgets: how many pods may be disturbed right now.

Ref: https://kubernetes.io/docs/concepts/workloads/pods/disruptions/
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from mizzen.api.views.apps import Deployment, ReplicaSet, StatefulSet
from mizzen.api.views.core import Pod, ReplicationController
from mizzen.api.views.meta import OwnerReference
from mizzen.api.views.policy import PodDisruptionBudget, PodDisruptionBudgetStatus
from mizzen.client.cache import Cache
from mizzen.client.resources import (
    DEPLOYMENTS,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    STATEFUL_SETS,
)
from mizzen.controllers.ownership import Identity, about
from mizzen.controllers.pods import is_finished, is_ready
from mizzen.controllers.status import status_patch, with_condition
from mizzen.machinery import times
from mizzen.machinery.intstr import scale_up
from mizzen.reconcile.controller import Controller, Watch, own, split
from mizzen.reconcile.plan import Answer, Get, Note, Plan

IDENTITY = Identity("policy/v1", "PodDisruptionBudget")
_DISRUPTION_TIMEOUT = 120.0
_UNMANAGED = (
    "Pods selected by this PodDisruptionBudget were found to be unmanaged, so that its status cannot be calculated "
    'correctly. To account for these pods please set ".spec.minAvailable" to an integer value.'
)
_ALWAYS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A budget, the pods it covers, and the wanted size of each scalable owner of theirs by uid."""

    budget: PodDisruptionBudget
    pods: tuple[Pod, ...]
    scales: Mapping[str, int]
    unknown: Mapping[Get, str] = field(default_factory=dict)
    """Where the sizes of owners of other kinds are asked for, with the uids of those owners."""


def observe(cache: Cache, key: str) -> Snapshot | None:
    budget = cache.of(POD_DISRUPTION_BUDGETS, PodDisruptionBudget).get(*split(key))
    if budget is None:
        return None
    pods = tuple(sorted(_covered(cache, budget), key=lambda pod: pod.metadata.name))
    scales: dict[str, int] = {}
    unknown: dict[Get, str] = {}
    for pod in pods:
        controller = pod.metadata.controller
        if controller is None:
            continue
        found = _scale(cache, pod.metadata.namespace, controller)
        if found is not None:
            scales[found[0]] = found[1]
        elif (question := _question(cache, pod.metadata.namespace, controller)) is not None:
            unknown[question] = controller.uid
    return Snapshot(budget, pods, scales, unknown)


def _question(cache: Cache, namespace: str, owner: OwnerReference) -> Get | None:
    """Where to ask for the size of an owner that is of none of the built-in kinds."""
    resource = cache.kinds.get((owner.apiVersion, owner.kind))
    if resource is None or resource.group in ("", "apps", "batch"):
        return None
    return Get(resource.path(namespace, owner.name, "scale"))


def informed(seen: Snapshot, answers: Mapping[Get, Answer]) -> Snapshot:
    """The snapshot with the sizes of owners of other kinds; one that cannot be scaled counts for nothing."""
    sizes = {
        seen.unknown[question]: (answer.body.get("spec") or {}).get("replicas", 0)
        for question, answer in answers.items()
        if answer.status == 200 and answer.body["metadata"].get("uid") == seen.unknown[question]
    }
    return replace(seen, scales={**seen.scales, **sizes}, unknown={})


def _covered(cache: Cache, budget: PodDisruptionBudget) -> Iterable[Pod]:
    selector = budget.spec.selector
    if selector is None:
        return
    for pod in cache.of(PODS, Pod).in_namespace(budget.metadata.namespace):
        if selector.matches(pod.metadata.labels) and not is_finished(pod):
            yield pod


def _scale(cache: Cache, namespace: str, owner: OwnerReference) -> tuple[str, int] | None:
    """The uid and size of the topmost scalable owner."""
    match owner.kind:
        case "ReplicaSet":
            one = cache.of(REPLICA_SETS, ReplicaSet).get(namespace, owner.name)
            if one is None or one.metadata.uid != owner.uid:
                return None
            above = one.metadata.controller
            if above is not None and above.kind == "Deployment":
                deployment = cache.of(DEPLOYMENTS, Deployment).get(namespace, above.name)
                if deployment is not None and deployment.metadata.uid == above.uid:
                    return above.uid, deployment.spec.replicas
            return owner.uid, one.spec.replicas
        case "StatefulSet":
            stateful = cache.of(STATEFUL_SETS, StatefulSet).get(namespace, owner.name)
            return (owner.uid, stateful.spec.replicas) if stateful is not None else None
        case "ReplicationController":
            controller = cache.of(REPLICATION_CONTROLLERS, ReplicationController).get(namespace, owner.name)
            return (owner.uid, controller.spec.replicas) if controller is not None else None
    return None


def reconcile(seen: Snapshot, now: float) -> Plan:
    budget = seen.budget
    if seen.unknown and not isinstance(budget.spec.minAvailable, int):
        return Plan(ask=tuple(seen.unknown))
    expected, wanted = _expectation(seen)
    disrupted, wait = _disrupted(seen, now)
    healthy = sum(
        is_ready(pod) and not pod.metadata.deleting and pod.metadata.name not in disrupted for pod in seen.pods
    )
    allowed = max(0, healthy - wanted) if expected > 0 else 0
    reason, state = ("SufficientPods", "True") if allowed else ("InsufficientPods", "False")
    conditions = with_condition(budget.status.conditions, "DisruptionAllowed", state, reason, "", now)
    conditions = tuple(
        msgspec.structs.replace(one, observedGeneration=budget.metadata.generation)
        if one.type == "DisruptionAllowed"
        else one
        for one in conditions
    )
    status = PodDisruptionBudgetStatus(
        observedGeneration=budget.metadata.generation,
        disruptedPods=disrupted,
        disruptionsAllowed=allowed,
        currentHealthy=healthy,
        desiredHealthy=wanted,
        expectedPods=expected,
        conditions=conditions,
    )
    told = status_patch(POD_DISRUPTION_BUDGETS, budget.metadata, budget.status, status, always=_ALWAYS)
    return Plan(told, _warnings(seen) if told else (), requeue_after=wait)


def _warnings(seen: Snapshot) -> tuple[Note, ...]:
    """Pods without an owner are of no known number, of which a share could be meant."""
    spec = seen.budget.spec
    is_share = spec.maxUnavailable is not None or isinstance(spec.minAvailable, str)
    if not is_share or all(pod.metadata.controller is not None for pod in seen.pods):
        return ()
    return (Note(about(seen.budget.metadata, IDENTITY), "UnmanagedPods", _UNMANAGED, "Warning"),)


def _expectation(seen: Snapshot) -> tuple[int, int]:
    """How many pods there should be, and how many of them must be healthy."""
    spec = seen.budget.spec
    if spec.maxUnavailable is not None:
        expected = _scaled(seen)
        return expected, max(0, expected - scale_up(spec.maxUnavailable, expected))
    if isinstance(spec.minAvailable, int):
        return len(seen.pods), spec.minAvailable
    if spec.minAvailable is not None:
        expected = _scaled(seen)
        return expected, scale_up(spec.minAvailable, expected)
    return len(seen.pods), len(seen.pods)


def _scaled(seen: Snapshot) -> int:
    return sum(seen.scales.values())


def _disrupted(seen: Snapshot, now: float) -> tuple[dict[str, str], float | None]:
    """Evictions that were allowed but have not shown yet, and when the next of them is given up."""
    names = {pod.metadata.name for pod in seen.pods if not pod.metadata.deleting}
    left = {
        name: at
        for name, at in seen.budget.status.disruptedPods.items()
        if name in names and times.parse(at) + _DISRUPTION_TIMEOUT > now
    }
    waits = [times.parse(at) + _DISRUPTION_TIMEOUT - now for at in left.values()]
    return left, min(waits, default=None)


def _keys_of_pod(cache: Cache, pod: Pod) -> Iterable[str]:
    for budget in cache.of(POD_DISRUPTION_BUDGETS, PodDisruptionBudget).in_namespace(pod.metadata.namespace):
        if budget.spec.selector is not None and budget.spec.selector.matches(pod.metadata.labels):
            yield f"{budget.metadata.namespace}/{budget.metadata.name}"


CONTROLLER = Controller(
    name="disruption",
    watches=(
        Watch(POD_DISRUPTION_BUDGETS, PodDisruptionBudget, own),
        Watch(PODS, Pod, _keys_of_pod),
        Watch(REPLICA_SETS, ReplicaSet),
        Watch(DEPLOYMENTS, Deployment),
        Watch(STATEFUL_SETS, StatefulSet),
        Watch(REPLICATION_CONTROLLERS, ReplicationController),
    ),
    observe=observe,
    reconcile=reconcile,
    informed=informed,
    component="controllermanager",
)
