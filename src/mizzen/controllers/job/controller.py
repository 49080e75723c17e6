"""One round of a Job: count what ended, decide whether it is over, keep the right number of pods running.

A pod carries a finalizer until it is counted: its uid goes into the status first, then the finalizer goes, then the
uid turns into a number, so that no crash counts a pod twice or not at all.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import msgspec

from mizzen.api.views.batch import Job, JobStatus, Uncounted
from mizzen.api.views.core import Pod
from mizzen.api.views.meta import is_true
from mizzen.client.cache import Cache
from mizzen.client.resources import JOBS, PODS
from mizzen.controllers import pods as podlife
from mizzen.controllers.job import failures, indexes
from mizzen.controllers.job.pods import FINALIZER, IDENTITY, create, delete, index_of, release
from mizzen.controllers.ownership import about, candidates, claim, keys_of_pod, selects
from mizzen.controllers.status import status_patch, with_condition
from mizzen.machinery import times
from mizzen.reconcile.controller import Controller, Watch, own, split
from mizzen.reconcile.plan import NOTHING, Action, Note, Patch, Plan

_BURST = 500


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A Job and the pods it has or could adopt."""

    job: Job
    pods: tuple[Pod, ...]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a Job ends: the condition that announces it and the one that seals it."""

    reason: str
    message: str
    success: bool


@dataclass(frozen=True, slots=True)
class Tally:
    """A Job's pods by how they stand, and its counts with everything that has ended so far."""

    active: tuple[Pod, ...]
    terminating: tuple[Pod, ...]
    succeeded: int
    failed: int
    completed: frozenset[int]
    failed_indexes: frozenset[int]
    uncounted: Uncounted
    counted: tuple[int, int]
    """Succeeded and failed that are numbers already."""
    to_release: tuple[Pod, ...]
    fatal: str = ""


def _selects(job: Job) -> Callable[[Mapping[str, str]], bool]:
    return selects(job.spec.selector)


def observe(cache: Cache, key: str) -> Snapshot | None:
    job = cache.of(JOBS, Job).get(*split(key))
    if job is None or job.spec.managedBy not in (None, "kubernetes.io/job-controller"):
        return None
    return Snapshot(job, candidates(cache.of(PODS, Pod), job.metadata, _selects(job)))


def reconcile(seen: Snapshot, now: float) -> Plan:
    job = seen.job
    claimed = claim(job.metadata, IDENTITY, PODS, seen.pods, _selects(job))
    if claimed.patches:
        return Plan(tuple(_with_tracking(patch, seen.pods) for patch in claimed.patches))
    if is_over(job):
        return _cleared(claimed.mine)
    tally = _tallied(job, claimed.mine)
    if job.metadata.deleting:
        return Plan(tuple(release(pod) for pod in tally.to_release))
    status = job.status
    if status.startTime is None and not job.spec.suspend:
        status = msgspec.structs.replace(status, startTime=times.format(now))
    ending = _ending(job, status, tally, now)
    if ending is not None:
        return _end(job, status, tally, ending, now)
    if job.spec.suspend:
        return _suspend(job, status, tally, now)
    notes: tuple[Note, ...] = ()
    if is_true(status.conditions, "Suspended"):
        conditions = with_condition(status.conditions, "Suspended", "False", "JobResumed", "Job resumed", now)
        status = msgspec.structs.replace(status, conditions=conditions, startTime=times.format(now))
        notes = (Note(about(job.metadata, IDENTITY), "Resumed", "Job resumed"),)
    pods, wait = _manage(job, tally, claimed.mine, now)
    deadline = _deadline(job, status, now)
    waits = [each for each in (wait, deadline) if each is not None]
    return Plan((*_told(job, status, tally), *pods), notes, requeue_after=min(waits, default=None))


def _with_tracking(patch: Patch, pods: tuple[Pod, ...]) -> Patch:
    """A pod that is adopted will be counted; one that is let go must not wait for that."""
    meta = next(pod.metadata for pod in pods if pod.metadata.name == patch.name)
    others = [one for one in meta.finalizers if one != FINALIZER]
    finalizers = [*others, FINALIZER] if meta.controller is None else others
    assert isinstance(patch.patch, dict)
    return replace(patch, patch={"metadata": {**patch.patch["metadata"], "finalizers": finalizers or None}})


def is_over(job: Job) -> bool:
    return is_true(job.status.conditions, "Complete") or is_true(job.status.conditions, "Failed")


def _cleared(mine: tuple[Pod, ...]) -> Plan:
    """Nothing of a Job that is over may still run or wait to be counted."""
    releases = [release(pod) for pod in mine if FINALIZER in pod.metadata.finalizers and _has_ended(pod)]
    active = [delete(pod, None) for pod in mine if podlife.is_active(pod)]
    return Plan((*active, *releases)) if active or releases else NOTHING


def _has_ended(pod: Pod) -> bool:
    return podlife.is_finished(pod) or pod.metadata.deleting


# -- counting


def _tallied(job: Job, mine: tuple[Pod, ...]) -> Tally:
    stored = job.status.uncountedTerminatedPods or Uncounted()
    held = {pod.metadata.uid for pod in mine if FINALIZER in pod.metadata.finalizers}
    succeeded = [uid for uid in stored.succeeded if uid in held]
    failed = [uid for uid in stored.failed if uid in held]
    counted = (
        job.status.succeeded + len(stored.succeeded) - len(succeeded),
        job.status.failed + len(stored.failed) - len(failed),
    )
    completed = set(indexes.parse(job.status.completedIndexes))
    failed_indexes = set(indexes.parse(job.status.failedIndexes))
    release: list[Pod] = []
    fatal = ""
    for pod in mine:
        if pod.metadata.uid not in held or not _counts_as_ended(job, pod):
            continue
        release.append(pod)
        known = pod.metadata.uid in stored.succeeded or pod.metadata.uid in stored.failed
        index = index_of(pod)
        if pod.status.phase == "Succeeded":
            if not known and _is_new_success(job, index, completed):
                succeeded.append(pod.metadata.uid)
            if index is not None:
                completed.add(index)
            continue
        verdict = failures.judge(job, pod)
        if verdict.action == "FailJob":
            fatal = fatal or verdict.message
        if index is not None and (verdict.action == "FailIndex" or _exhausts(job, pod, verdict.action)):
            failed_indexes.add(index)
        if not known and verdict.action != "Ignore":
            failed.append(pod.metadata.uid)
    ended = {pod.metadata.uid for pod in release}
    alive = [pod for pod in mine if pod.metadata.uid not in ended and not podlife.is_finished(pod)]
    limit = job.spec.completions if job.spec.completionMode == "Indexed" else None
    if limit is not None:
        completed = {index for index in completed if index < limit}
    return Tally(
        active=tuple(pod for pod in alive if not pod.metadata.deleting),
        terminating=tuple(pod for pod in alive if pod.metadata.deleting),
        succeeded=len(completed) if limit is not None else counted[0] + len(succeeded),
        failed=counted[1] + len(failed),
        completed=frozenset(completed),
        failed_indexes=frozenset(failed_indexes - completed),
        uncounted=Uncounted(tuple(succeeded), tuple(failed)),
        counted=(len(completed) if limit is not None else counted[0], counted[1]),
        to_release=tuple(release),
        fatal=fatal,
    )


def _counts_as_ended(job: Job, pod: Pod) -> bool:
    """Finished; or, where failed pods alone are replaced, only then; else also on its way out."""
    if podlife.is_finished(pod):
        return True
    never_ran = pod.status.phase == "Pending"
    return pod.metadata.deleting and (never_ran or not _replaces_failed_alone(job))


def _is_new_success(job: Job, index: int | None, completed: set[int]) -> bool:
    return job.spec.completionMode != "Indexed" or (index is not None and index not in completed)


def _exhausts(job: Job, pod: Pod, action: str) -> bool:
    """Whether this failure is one too many for its index."""
    limit = job.spec.backoffLimitPerIndex
    if limit is None or action == "Ignore":
        return False
    return failures.earlier(pod, failures.COUNTED) >= limit


# -- endings


def _ending(job: Job, status: JobStatus, tally: Tally, now: float) -> Ending | None:
    for announced in status.conditions:
        if announced.status == "True" and announced.type in ("FailureTarget", "SuccessCriteriaMet"):
            return Ending(announced.reason, announced.message, announced.type == "SuccessCriteriaMet")
    if tally.fatal:
        return Ending("PodFailurePolicy", tally.fatal, False)
    if tally.failed > job.spec.backoffLimit or _restarts_exceed(job, tally):
        return Ending("BackoffLimitExceeded", "Job has reached the specified backoff limit", False)
    left = _deadline(job, status, now)
    if left is not None and left <= 0:
        return Ending("DeadlineExceeded", "Job was active longer than specified deadline", False)
    if job.spec.maxFailedIndexes is not None and len(tally.failed_indexes) > job.spec.maxFailedIndexes:
        return Ending(
            "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes", False
        )
    rule = _met_success_rule(job, tally)
    if rule is not None:
        return Ending("SuccessPolicy", f"Matched rules at index {rule}", True)
    return _completion(job, tally)


def _completion(job: Job, tally: Tally) -> Ending | None:
    done = Ending("CompletionsReached", "Reached expected number of succeeded pods", True)
    if job.spec.completions is None:
        return done if tally.succeeded and not tally.active else None
    if job.spec.completionMode == "Indexed" and tally.failed_indexes:
        if len(tally.completed) + len(tally.failed_indexes) >= job.spec.completions and not tally.active:
            return Ending("FailedIndexes", "Job has failed indexes", False)
        return None
    return done if tally.succeeded >= job.spec.completions else None


def _restarts_exceed(job: Job, tally: Tally) -> bool:
    """Whether containers that start again in place have failed too often."""
    spec = job.spec.template.get("spec") or {}
    if spec.get("restartPolicy") != "OnFailure":
        return False
    statuses = (
        one for pod in tally.active for one in (*pod.status.initContainerStatuses, *pod.status.containerStatuses)
    )
    restarts = sum(one.restartCount for one in statuses)
    return restarts > 0 and restarts >= job.spec.backoffLimit


def _met_success_rule(job: Job, tally: Tally) -> int | None:
    """The number of the first rule of the success policy that holds."""
    for number, rule in enumerate(job.spec.successPolicy.rules if job.spec.successPolicy is not None else ()):
        wanted = indexes.parse(rule.succeededIndexes) if rule.succeededIndexes is not None else None
        got = tally.completed if wanted is None else tally.completed & wanted
        needed = rule.succeededCount if rule.succeededCount is not None else len(wanted or ())
        if needed and len(got) >= needed:
            return number
    return None


def _deadline(job: Job, status: JobStatus, now: float) -> float | None:
    """Seconds left of the Job's active time."""
    if job.spec.activeDeadlineSeconds is None or status.startTime is None or job.spec.suspend:
        return None
    return times.parse(status.startTime) + job.spec.activeDeadlineSeconds - now


def _end(job: Job, status: JobStatus, tally: Tally, ending: Ending, now: float) -> Plan:
    """Announce the end, stop what runs, and seal it once every pod is gone and counted."""
    announced = "SuccessCriteriaMet" if ending.success else "FailureTarget"
    conditions = with_condition(status.conditions, announced, "True", ending.reason, ending.message, now)
    notes: tuple[Note, ...] = ()
    uncounted = tally.uncounted
    if not (tally.active or tally.terminating or uncounted.succeeded or uncounted.failed or tally.to_release):
        sealed = "Complete" if ending.success else "Failed"
        conditions = with_condition(conditions, sealed, "True", ending.reason, ending.message, now)
        subject = about(job.metadata, IDENTITY)
        if ending.success:
            status = msgspec.structs.replace(status, completionTime=times.format(now))
            notes = (Note(subject, "Completed", "Job completed"),)
        else:
            notes = (Note(subject, ending.reason, ending.message, "Warning"),)
    status = msgspec.structs.replace(status, conditions=conditions)
    stops = tuple(delete(pod, job) for pod in tally.active)
    plan = (*_told(job, status, tally), *stops)
    return Plan(plan, notes)


def _suspend(job: Job, status: JobStatus, tally: Tally, now: float) -> Plan:
    notes: tuple[Note, ...] = ()
    if not is_true(status.conditions, "Suspended"):
        conditions = with_condition(status.conditions, "Suspended", "True", "JobSuspended", "Job suspended", now)
        status = msgspec.structs.replace(status, conditions=conditions)
        notes = (Note(about(job.metadata, IDENTITY), "Suspended", "Job suspended"),)
    status = msgspec.structs.replace(status, startTime=None)
    return Plan((*_told(job, status, tally), *(delete(pod, job) for pod in tally.active)), notes)


def _told(job: Job, status: JobStatus, tally: Tally) -> tuple[Action, ...]:
    """The status first, then the finalizers of the pods it now accounts for."""
    ready = sum(map(podlife.is_ready, tally.active))
    indexed = job.spec.completionMode == "Indexed"
    new = msgspec.structs.replace(
        status,
        active=len(tally.active),
        ready=ready,
        terminating=len(tally.terminating),
        succeeded=tally.counted[0],
        failed=tally.counted[1],
        completedIndexes=indexes.render(tally.completed) if indexed else "",
        failedIndexes=indexes.render(tally.failed_indexes) if job.spec.backoffLimitPerIndex is not None else None,
        uncountedTerminatedPods=tally.uncounted,
    )
    told = status_patch(
        JOBS, job.metadata, job.status, new, always=("ready", "terminating", "uncountedTerminatedPods", "failedIndexes")
    )
    return (*told, *(release(pod) for pod in tally.to_release))


# -- pods


def _manage(job: Job, tally: Tally, mine: tuple[Pod, ...], now: float) -> tuple[tuple[Action, ...], float | None]:
    """Start or stop pods; answers also how long to wait before failed ones are replaced."""
    wanted = _wanted(job, tally)
    have = len(tally.active)
    if _replaces_failed_alone(job):
        have += len(tally.terminating)
    surplus = _surplus(job, tally, have - wanted)
    if surplus:
        return tuple(delete(pod, job) for pod in surplus), None
    missing = min(wanted - have, _BURST)
    if missing <= 0:
        return (), None
    if job.spec.completionMode == "Indexed" and job.spec.backoffLimitPerIndex is not None:
        return _fill_each(job, tally, mine, missing, now)
    # Without any success all that have failed are one row, those that have been deleted since included.
    wait = failures.pause(_failed_in_a_row(mine), 0 if tally.succeeded else tally.failed, now)
    if wait > 0:
        return (), wait
    if job.spec.completionMode != "Indexed":
        return (create(job),) * missing, None
    return tuple(create(job, index) for index, _ in zip(_free(job, tally), range(missing), strict=False)), None


def _surplus(job: Job, tally: Tally, count: int) -> list[Pod]:
    """Pods to stop: of an indexed Job first those beyond its completions, and those that share an index."""
    if job.spec.completionMode != "Indexed":
        return podlife.deletion_order(list(tally.active), {})[: max(0, count)]
    taken: set[int | None] = set()
    idle: list[Pod] = []
    rest: list[Pod] = []
    for pod in reversed(podlife.deletion_order(list(tally.active), {})):
        index = index_of(pod)
        keep = index is not None and index < (job.spec.completions or 0) and index not in taken
        (rest if keep else idle).append(pod)
        taken.add(index)
    rest.sort(key=lambda pod: index_of(pod) or 0, reverse=True)
    return [*idle, *rest[: max(0, count - len(idle))]]


def _replaces_failed_alone(job: Job) -> bool:
    """Whether a pod is replaced only when it has ended, not already when it is on its way out."""
    return job.spec.podFailurePolicy is not None or job.spec.podReplacementPolicy == "Failed"


def _failed_in_a_row(mine: tuple[Pod, ...]) -> list[Pod]:
    """The pods that failed since one succeeded."""
    last = max((failures.ended_at(pod) for pod in mine if pod.status.phase == "Succeeded"), default=0.0)
    return [pod for pod in mine if pod.status.phase == "Failed" and failures.ended_at(pod) > last]


def _free(job: Job, tally: Tally) -> Iterator[int]:
    """The indexes that still need a pod, lowest first."""
    holders = (*tally.active, *(tally.terminating if _replaces_failed_alone(job) else ()))
    taken = {index_of(pod) for pod in holders}
    done = tally.completed | tally.failed_indexes
    return (index for index in range(job.spec.completions or 0) if index not in done and index not in taken)


def _fill_each(
    job: Job, tally: Tally, mine: tuple[Pod, ...], missing: int, now: float
) -> tuple[tuple[Action, ...], float | None]:
    """Start pods of indexes that wait each for themselves after a failure."""
    last: dict[int | None, Pod] = {}
    for pod in sorted(mine, key=failures.ended_at):
        if pod.status.phase == "Failed" or pod.metadata.deleting:
            last[index_of(pod)] = pod
    creates: list[Action] = []
    waits: list[float] = []
    for index in _free(job, tally):
        if len(creates) == missing:
            break
        before = last.get(index)
        counts = failures.counts(job, before) if before is not None else (0, 0)
        wait = failures.pause_of(before, sum(counts), now) if before is not None else 0.0
        if wait > 0:
            waits.append(wait)
        else:
            creates.append(create(job, index, counts))
    return tuple(creates), min(waits, default=None)


def _wanted(job: Job, tally: Tally) -> int:
    if job.spec.completions is None:
        return len(tally.active) if tally.succeeded else job.spec.parallelism
    left = job.spec.completions - tally.succeeded - len(tally.failed_indexes)
    return max(0, min(job.spec.parallelism, left))


CONTROLLER = Controller(
    name="job",
    watches=(Watch(JOBS, Job, own), Watch(PODS, Pod, keys_of_pod("Job", JOBS, Job, _selects))),
    observe=observe,
    reconcile=reconcile,
    component="job-controller",
)
