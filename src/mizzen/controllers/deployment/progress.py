"""A deployment's status: its counts, and how it fares (Available, Progressing, ReplicaFailure)."""

from mizzen.api.views.apps import Deployment, DeploymentStatus
from mizzen.api.views.meta import Condition, condition
from mizzen.controllers.deployment.revision import Rollout
from mizzen.controllers.deployment.scaling import available, total
from mizzen.controllers.status import with_condition, without_condition
from mizzen.machinery import times

NO_DEADLINE = 2**31 - 1
_DONE = "NewReplicaSetAvailable"
_LATE = "ProgressDeadlineExceeded"


def counted(seen: Rollout) -> DeploymentStatus:
    """The status with its counts from the ReplicaSets and its conditions as they were."""
    old = seen.deployment.status
    have = available(seen.all)
    terminating = sum(one.status.terminatingReplicas or 0 for one in seen.all)
    return DeploymentStatus(
        observedGeneration=seen.deployment.metadata.generation,
        replicas=sum(one.status.replicas for one in seen.all),
        updatedReplicas=seen.new.status.replicas if seen.new is not None else 0,
        readyReplicas=sum(one.status.readyReplicas for one in seen.all),
        availableReplicas=have,
        unavailableReplicas=max(0, total(seen.all) - have),
        terminatingReplicas=terminating,
        collisionCount=old.collisionCount,
        conditions=old.conditions,
    )


def is_complete(deployment: Deployment, status: DeploymentStatus) -> bool:
    """All pods are of the new template and available, and no old ones run."""
    wanted = deployment.spec.replicas
    return (
        status.updatedReplicas == wanted
        and status.replicas == wanted
        and status.availableReplicas == wanted
        and status.observedGeneration >= deployment.metadata.generation
    )


def conditions(seen: Rollout, status: DeploymentStatus, now: float) -> tuple[Condition, ...]:
    """The conditions of a deployment that rolls or is merely counted."""
    current = availability(seen, status, now)
    current = _progress(seen, status, current, now)
    failure = next((one for rs in reversed(seen.all) for one in rs.status.conditions if _is_failure(one)), None)
    if failure is None:
        return without_condition(current, "ReplicaFailure")
    return with_condition(current, "ReplicaFailure", failure.status, failure.reason, failure.message, now, updated=True)


def _is_failure(one: Condition) -> bool:
    return one.type == "ReplicaFailure" and one.status == "True"


def availability(seen: Rollout, status: DeploymentStatus, now: float) -> tuple[Condition, ...]:
    """The conditions with Available as it is now."""
    if status.availableReplicas >= seen.deployment.spec.replicas - seen.max_unavailable:
        verdict = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        verdict = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    return with_condition(status.conditions, "Available", *verdict, now, updated=True)


def _progress(
    seen: Rollout, status: DeploymentStatus, current: tuple[Condition, ...], now: float
) -> tuple[Condition, ...]:
    deployment = seen.deployment
    if deployment.spec.progressDeadlineSeconds == NO_DEADLINE:
        return without_condition(current, "Progressing")
    before = condition(deployment.status.conditions, "Progressing")
    if status.replicas == status.updatedReplicas and before is not None and before.reason == _DONE:
        return current
    subject = _subject(seen)
    if is_complete(deployment, status):
        text = f"{subject} has successfully progressed."
        return with_condition(current, "Progressing", "True", _DONE, text, now, updated=True)
    if _has_progressed(deployment.status, status):
        return _refreshed(current, before, f"{subject} is progressing.", now)
    if _is_late(deployment, now):
        text = f"{subject} has timed out progressing."
        return with_condition(current, "Progressing", "False", _LATE, text, now, updated=True)
    return current


def _subject(seen: Rollout) -> str:
    if seen.new is not None:
        return f'ReplicaSet "{seen.new.metadata.name}"'
    return f'Deployment "{seen.deployment.metadata.name}"'


def _refreshed(
    current: tuple[Condition, ...], before: Condition | None, text: str, now: float
) -> tuple[Condition, ...]:
    """Progress made just now: a fresh lastUpdateTime, the deadline starts over."""
    stamp = times.format(now)
    since = before.lastTransitionTime if before is not None and before.status == "True" else stamp
    fresh = Condition(
        type="Progressing",
        status="True",
        reason="ReplicaSetUpdated",
        message=text,
        lastTransitionTime=since,
        lastUpdateTime=stamp,
    )
    return (*without_condition(current, "Progressing"), fresh)


def _has_progressed(old: DeploymentStatus, new: DeploymentStatus) -> bool:
    return (
        new.updatedReplicas > old.updatedReplicas
        or new.replicas - new.updatedReplicas < old.replicas - old.updatedReplicas
        or new.readyReplicas > old.readyReplicas
        or new.availableReplicas > old.availableReplicas
    )


def _is_late(deployment: Deployment, now: float) -> bool:
    before = condition(deployment.status.conditions, "Progressing")
    if before is None or before.reason == _DONE:
        return False
    return before.reason == _LATE or deadline(deployment, before) <= now


def deadline(deployment: Deployment, progressing: Condition) -> float:
    """When the rollout counts as stuck."""
    since = progressing.lastUpdateTime
    return (times.parse(since) if since else 0.0) + deployment.spec.progressDeadlineSeconds


def wait(deployment: Deployment, status: DeploymentStatus, now: float) -> float | None:
    """Seconds until the progress deadline has to be checked."""
    progressing = condition(status.conditions, "Progressing")
    if progressing is None or progressing.reason in (_DONE, _LATE) or is_complete(deployment, status):
        return None
    if deployment.spec.paused or deployment.spec.progressDeadlineSeconds == NO_DEADLINE:
        return None
    return max(0.0, deadline(deployment, progressing) - now) + 1


def marked_paused(seen: Rollout, now: float) -> tuple[Condition, ...]:
    """The conditions of a paused deployment; one that is stuck stays stuck."""
    before = condition(seen.deployment.status.conditions, "Progressing")
    if before is not None and before.reason == _LATE:
        return seen.deployment.status.conditions
    return _progressing(seen, "Unknown", "DeploymentPaused", "Deployment is paused", now)


def marked_running(seen: Rollout, now: float) -> tuple[Condition, ...]:
    """The conditions of a deployment that may roll: resumed, or one whose ReplicaSet was there before it."""
    before = condition(seen.deployment.status.conditions, "Progressing")
    if before is not None and before.reason == "DeploymentPaused":
        return _progressing(seen, "Unknown", "DeploymentResumed", "Deployment is resumed", now)
    if before is None and seen.new is not None:
        text = f'Found new replica set "{seen.new.metadata.name}"'
        return _progressing(seen, "True", "FoundNewReplicaSet", text, now)
    return seen.deployment.status.conditions


def marked_created(seen: Rollout, name: str, now: float) -> tuple[Condition, ...]:
    """The conditions of a deployment that makes a new ReplicaSet."""
    return _progressing(seen, "True", "NewReplicaSetCreated", f'Created new replica set "{name}"', now)


def _progressing(seen: Rollout, status: str, reason: str, text: str, now: float) -> tuple[Condition, ...]:
    current = seen.deployment.status.conditions
    if seen.deployment.spec.progressDeadlineSeconds == NO_DEADLINE:
        return current
    return with_condition(current, "Progressing", status, reason, text, now, updated=True)
