"""One round of a Job: count what ended, decide whether it is over, keep the right number of pods running.

A pod carries a finalizer until it is counted: its uid goes into the status first, then the finalizer goes, then the
uid turns into a number, so that no crash counts a pod twice or not at all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from mizzen.api.views.batch import Job, JobStatus, Uncounted
from mizzen.api.views.core import Pod
from mizzen.api.views.meta import is_true
from mizzen.client.cache import Cache
from mizzen.client.resources import JOBS, PODS
from mizzen.controllers import pods as podlife
from mizzen.controllers.job import failures, indexes
from mizzen.controllers.ownership import Identity, about, candidates, claim, keys_of_pod, selects
from mizzen.controllers.status import created_at, status_patch, with_condition
from mizzen.machinery import times
from mizzen.machinery.errors import Object
from mizzen.reconcile.controller import Controller, Watch, own, split
from mizzen.reconcile.plan import NOTHING, Action, Create, Delete, Note, Patch, Plan

IDENTITY = Identity("batch/v1", "Job")
FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
INDEX_FAILURES = "batch.kubernetes.io/job-index-failure-count"
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


def index_of(pod: Pod) -> int | None:
    text = pod.metadata.annotations.get(INDEX, "")
    return int(text) if text.isdecimal() else None


def reconcile(seen: Snapshot, now: float) -> Plan:
    job = seen.job
    claimed = claim(job.metadata, IDENTITY, PODS, seen.pods, _selects(job))
    if claimed.patches:
        return Plan(claimed.patches)
    if is_over(job):
        return _cleared(claimed.mine)
    tally = _tallied(job, claimed.mine)
    if job.metadata.deleting:
        return Plan(tuple(_release(pod) for pod in tally.to_release))
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


def is_over(job: Job) -> bool:
    return is_true(job.status.conditions, "Complete") or is_true(job.status.conditions, "Failed")


def _cleared(mine: tuple[Pod, ...]) -> Plan:
    """Nothing of a Job that is over may still run or wait to be counted."""
    releases = [_release(pod) for pod in mine if FINALIZER in pod.metadata.finalizers and _has_ended(pod)]
    active = [_delete(pod, None) for pod in mine if podlife.is_active(pod)]
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
    only_failed = job.spec.podFailurePolicy is not None or job.spec.podReplacementPolicy == "Failed"
    return pod.metadata.deleting and not only_failed


def _is_new_success(job: Job, index: int | None, completed: set[int]) -> bool:
    return job.spec.completionMode != "Indexed" or (index is not None and index not in completed)


def _exhausts(job: Job, pod: Pod, action: str) -> bool:
    """Whether this failure is one too many for its index."""
    limit = job.spec.backoffLimitPerIndex
    if limit is None or action == "Ignore":
        return False
    text = pod.metadata.annotations.get(INDEX_FAILURES, "0")
    return (int(text) if text.isdecimal() else 0) >= limit


# -- endings


def _ending(job: Job, status: JobStatus, tally: Tally, now: float) -> Ending | None:
    for announced in status.conditions:
        if announced.status == "True" and announced.type in ("FailureTarget", "SuccessCriteriaMet"):
            return Ending(announced.reason, announced.message, announced.type == "SuccessCriteriaMet")
    if tally.fatal:
        return Ending("PodFailurePolicy", tally.fatal, False)
    if job.spec.backoffLimitPerIndex is None and tally.failed > job.spec.backoffLimit:
        return Ending("BackoffLimitExceeded", "Job has reached the specified backoff limit", False)
    if _restarts_exceed(job, tally):
        return Ending("BackoffLimitExceeded", "Job has reached the specified backoff limit", False)
    left = _deadline(job, status, now)
    if left is not None and left <= 0:
        return Ending("DeadlineExceeded", "Job was active longer than specified deadline", False)
    if job.spec.maxFailedIndexes is not None and len(tally.failed_indexes) > job.spec.maxFailedIndexes:
        return Ending(
            "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes", False
        )
    if _meets_success_policy(job, tally):
        return Ending("SuccessPolicy", "Matched rules at index 0", True)
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
    spec = job.spec.template.get("spec") or {}
    if spec.get("restartPolicy") != "OnFailure" or job.spec.backoffLimitPerIndex is not None:
        return False
    restarts = sum(one.restartCount for pod in tally.active for one in pod.status.containerStatuses)
    return restarts > 0 and restarts >= job.spec.backoffLimit if job.spec.backoffLimit else restarts > 0


def _meets_success_policy(job: Job, tally: Tally) -> bool:
    for rule in job.spec.successPolicy.rules if job.spec.successPolicy is not None else ():
        wanted = indexes.parse(rule.succeededIndexes) if rule.succeededIndexes is not None else None
        got = tally.completed if wanted is None else tally.completed & wanted
        needed = rule.succeededCount if rule.succeededCount is not None else len(wanted or ())
        if needed and len(got) >= needed:
            return True
    return False


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
    stops = tuple(_delete(pod, job) for pod in tally.active)
    plan = (*_told(job, status, tally), *stops)
    return Plan(plan, notes)


def _suspend(job: Job, status: JobStatus, tally: Tally, now: float) -> Plan:
    notes: tuple[Note, ...] = ()
    if not is_true(status.conditions, "Suspended"):
        conditions = with_condition(status.conditions, "Suspended", "True", "JobSuspended", "Job suspended", now)
        status = msgspec.structs.replace(status, conditions=conditions)
        notes = (Note(about(job.metadata, IDENTITY), "Suspended", "Job suspended"),)
    status = msgspec.structs.replace(status, startTime=None)
    return Plan((*_told(job, status, tally), *(_delete(pod, job) for pod in tally.active)), notes)


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
    return (*told, *(_release(pod) for pod in tally.to_release))


def _release(pod: Pod) -> Patch:
    meta = pod.metadata
    kept = [one for one in meta.finalizers if one != FINALIZER]
    patch = {"metadata": {"finalizers": kept or None}}
    return Patch(PODS, meta.namespace, meta.name, patch, uid=meta.uid, resource_version=meta.resourceVersion)


# -- pods


def _manage(job: Job, tally: Tally, mine: tuple[Pod, ...], now: float) -> tuple[tuple[Action, ...], float | None]:
    """Start or stop pods; answers also how long to wait before failed ones are replaced."""
    wanted = _wanted(job, tally)
    have = len(tally.active)
    if job.spec.podReplacementPolicy == "Failed" or job.spec.podFailurePolicy is not None:
        have += len(tally.terminating)
    if have > wanted:
        surplus = podlife.deletion_order(list(tally.active), {})[: len(tally.active) - max(0, wanted)]
        return tuple(_delete(pod, job) for pod in surplus), None
    missing = min(wanted - have, _BURST)
    if missing <= 0:
        return (), None
    last_success = max((failures.ended_at(p) for p in mine if p.status.phase == "Succeeded"), default=0.0)
    failed = [pod for pod in mine if pod.status.phase == "Failed" and failures.ended_at(pod) > last_success]
    wait = failures.pause(failed, now)
    if wait > 0:
        return (), wait
    if job.spec.completionMode != "Indexed":
        return (_create(job, None, 0),) * missing, None
    taken = {index_of(pod) for pod in (*tally.active, *tally.terminating)}
    free = (
        index
        for index in range(job.spec.completions or 0)
        if index not in tally.completed and index not in tally.failed_indexes and index not in taken
    )
    return tuple(
        _create(job, index, _failures_of(index, mine)) for index, _ in zip(free, range(missing), strict=False)
    ), None


def _wanted(job: Job, tally: Tally) -> int:
    if job.spec.completions is None:
        return len(tally.active) if tally.succeeded else job.spec.parallelism
    left = job.spec.completions - tally.succeeded - len(tally.failed_indexes)
    return max(0, min(job.spec.parallelism, left))


def _failures_of(index: int, mine: tuple[Pod, ...]) -> int:
    """How often this index has failed, by its latest pod."""
    counts = [
        int(pod.metadata.annotations.get(INDEX_FAILURES, "0") or 0) + 1
        for pod in sorted(mine, key=lambda pod: created_at(pod.metadata))
        if index_of(pod) == index and pod.status.phase == "Failed"
    ]
    return max(counts, default=0)


def _create(job: Job, index: int | None, failed: int) -> Create:
    body = podlife.from_template(job.spec.template, job.metadata, IDENTITY)
    meta: Object = {**body["metadata"]}
    meta["finalizers"] = [*meta.get("finalizers", []), FINALIZER]
    spec: Object = body["spec"]
    if index is not None:
        meta["generateName"] = f"{job.metadata.name}-{index}-"
        annotations = {INDEX: str(index)}
        if job.spec.backoffLimitPerIndex is not None:
            annotations[INDEX_FAILURES] = str(failed)
        meta["annotations"] = {**meta.get("annotations", {}), **annotations}
        meta["labels"] = {**meta.get("labels", {}), INDEX: str(index)}
        spec = _indexed(spec, job.metadata.name, index)
    subject = about(job.metadata, IDENTITY)
    return Create(
        PODS,
        {**body, "metadata": meta, "spec": spec},
        note=Note(subject, "SuccessfulCreate", "Created pod: {name}"),
        failed=Note(subject, "FailedCreate", "Error creating: {error}", "Warning"),
    )


def _indexed(spec: Object, name: str, index: int) -> Object:
    """A pod spec that tells its containers their index."""
    source = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{INDEX}']"}}
    variable = {"name": "JOB_COMPLETION_INDEX", "valueFrom": source}
    told = {**spec, "hostname": f"{name}-{index}"}
    for field in ("containers", "initContainers"):
        if spec.get(field):
            told[field] = [_with_variable(container, variable) for container in spec[field]]
    return told


def _with_variable(container: Object, variable: Object) -> Object:
    env = container.get("env") or []
    if any(one["name"] == variable["name"] for one in env):
        return container
    return {**container, "env": [*env, variable]}


def _delete(pod: Pod, job: Job | None) -> Delete:
    note = Note(about(job.metadata, IDENTITY), "SuccessfulDelete", "Deleted pod: {name}") if job is not None else None
    return Delete(PODS, pod.metadata.namespace, pod.metadata.name, uid=pod.metadata.uid, note=note)


CONTROLLER = Controller(
    name="job",
    watches=(Watch(JOBS, Job, own), Watch(PODS, Pod, keys_of_pod("Job", JOBS, Job, _selects))),
    observe=observe,
    reconcile=reconcile,
    component="job-controller",
)
