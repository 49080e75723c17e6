"""CronJob: starts a Job whenever its schedule says, and keeps only so many old ones.

Ref: https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/
"""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from mizzen.api.views.batch import CronJob, CronJobStatus, Job
from mizzen.api.views.meta import ObjectReference, is_true
from mizzen.client.cache import BY_CONTROLLER, Cache
from mizzen.client.resources import CRON_JOBS, JOBS
from mizzen.controllers import cron
from mizzen.controllers.ownership import Identity, about, owned_by
from mizzen.controllers.status import created_at, status_patch
from mizzen.machinery import times
from mizzen.machinery.errors import Object
from mizzen.reconcile.controller import Controller, Watch, of_controller, own, split
from mizzen.reconcile.plan import Action, Create, Delete, Note, Plan

IDENTITY = Identity("batch/v1", "CronJob")
SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
_TOO_MANY = 100


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A CronJob and its Jobs, oldest first."""

    cronjob: CronJob
    jobs: tuple[Job, ...]


def observe(cache: Cache, key: str) -> Snapshot | None:
    cronjob = cache.of(CRON_JOBS, CronJob).get(*split(key))
    if cronjob is None:
        return None
    jobs = cache.of(JOBS, Job).by(BY_CONTROLLER, cronjob.metadata.uid)
    return Snapshot(cronjob, tuple(sorted(jobs, key=lambda job: (created_at(job.metadata), job.metadata.name))))


def _is_done(job: Job) -> bool:
    return is_true(job.status.conditions, "Complete") or is_true(job.status.conditions, "Failed")


def reconcile(seen: Snapshot, now: float) -> Plan:
    cronjob = seen.cronjob
    pruned = _pruned(seen)
    status = _status(seen)
    if cronjob.metadata.deleting or cronjob.spec.suspend:
        return Plan((*pruned, *_told(cronjob, status)), _notes_of_done(seen))
    try:
        schedule = cron.parse(cronjob.spec.schedule)
        last, missed = _latest_due(cronjob, schedule, now)
        following = schedule.next(now, cronjob.spec.timeZone)
    except (ValueError, ZoneInfoNotFoundError) as error:
        text = f'unparseable schedule: "{cronjob.spec.schedule}" : {error}'
        note = Note(about(cronjob.metadata, IDENTITY), "UnparseableSchedule", text, "Warning")
        return Plan((*pruned, *_told(cronjob, status)), (note,))
    wait = following - now if following is not None else None
    actions: list[Action] = []
    notes = list(_notes_of_done(seen))
    if following is None:  # like a 31st of February
        text = (
            f"invalid schedule: {cronjob.spec.schedule} : time difference between two schedules is less than 1 second"
        )
        notes.append(Note(about(cronjob.metadata, IDENTITY), "InvalidSchedule", text, "Warning"))
    if missed > _TOO_MANY:
        text = (
            f"too many missed start times: {missed}. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        )
        notes.append(Note(about(cronjob.metadata, IDENTITY), "TooManyMissedTimes", text, "Warning"))
    if last is not None:
        starts, refusal = _start(seen, last, now)
        actions += starts
        notes += (refusal,) if refusal is not None else ()
        stopped = {action.uid for action in starts if isinstance(action, Delete)}
        status = msgspec.structs.replace(status, active=tuple(one for one in status.active if one.uid not in stopped))
        # A Job that is there already was started by a round that did not come to tell of it.
        if any(isinstance(action, Create) for action in starts) or _started(seen, last):
            status = msgspec.structs.replace(status, lastScheduleTime=times.format(last))
    return Plan((*actions, *pruned, *_told(cronjob, status)), tuple(notes), requeue_after=wait)


def _latest_due(cronjob: CronJob, schedule: cron.Schedule, now: float) -> tuple[float | None, int]:
    """The last time that was due and not yet served, and how many were (counted up to a hundred and one)."""
    since = created_at(cronjob.metadata)
    if cronjob.status.lastScheduleTime:
        since = times.parse(cronjob.status.lastScheduleTime)
    if cronjob.spec.startingDeadlineSeconds is not None:
        since = max(since, now - cronjob.spec.startingDeadlineSeconds)
    last, missed = None, 0
    moment = schedule.next(since, cronjob.spec.timeZone)
    while moment is not None and moment <= now:
        last, missed = moment, missed + 1
        if missed > _TOO_MANY:
            moment = schedule.next(max(moment, now - 2 * _span(schedule, now, cronjob)), cronjob.spec.timeZone)
            if moment is None or moment <= last:
                break
            continue
        moment = schedule.next(moment, cronjob.spec.timeZone)
    return last, missed


def _span(schedule: cron.Schedule, now: float, cronjob: CronJob) -> float:
    """Seconds between two runs around now."""
    first = schedule.next(now, cronjob.spec.timeZone) or now
    second = schedule.next(first, cronjob.spec.timeZone) or first
    return max(60.0, second - first)


def _name(cronjob: CronJob, due: float) -> str:
    """The name of the Job of a time: there can be one only."""
    return f"{cronjob.metadata.name}-{int(due) // 60}"


def _started(seen: Snapshot, due: float) -> bool:
    return any(job.metadata.name == _name(seen.cronjob, due) for job in seen.jobs)


def _start(seen: Snapshot, due: float, now: float) -> tuple[list[Action], Note | None]:
    """Start the Job that is due, unless running ones forbid it."""
    cronjob = seen.cronjob
    subject = about(cronjob.metadata, IDENTITY)
    running = [job for job in seen.jobs if not _is_done(job)]
    name = _name(cronjob, due)
    if _started(seen, due):
        return [], None
    if running and cronjob.spec.concurrencyPolicy == "Forbid":
        text = "Not starting job because prior execution is running and concurrency policy is Forbid"
        return [], Note(subject, "JobAlreadyActive", text)
    stops: list[Action] = []
    if cronjob.spec.concurrencyPolicy == "Replace":
        stops = [_delete(job, Note(subject, "SuccessfulDelete", f"Deleted job {job.metadata.name}")) for job in running]
    template = cronjob.spec.jobTemplate
    meta = template.get("metadata") or {}
    body: Object = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": cronjob.metadata.namespace,
            "labels": meta.get("labels") or {},
            "annotations": {**(meta.get("annotations") or {}), SCHEDULED: _local(due, cronjob.spec.timeZone)},
            "ownerReferences": owned_by(cronjob.metadata, IDENTITY),
        },
        "spec": template.get("spec") or {},
    }
    note = Note(subject, "SuccessfulCreate", f"Created job {name}")
    failed = Note(subject, "FailedCreate", "Error creating job: {error}", "Warning")
    return [*stops, Create(JOBS, body, note=note, failed=failed)], None


def _local(moment: float, zone: str | None) -> str:
    """A time as it reads in the zone of the schedule."""
    if not zone:
        return times.format(moment)
    return datetime.fromtimestamp(moment, ZoneInfo(zone)).isoformat().replace("+00:00", "Z")


def _pruned(seen: Snapshot) -> tuple[Action, ...]:
    """Deletions of finished Jobs past the history limits, oldest first."""
    spec = seen.cronjob.spec
    subject = about(seen.cronjob.metadata, IDENTITY)
    done = [job for job in seen.jobs if not job.metadata.deleting]
    good = [job for job in done if is_true(job.status.conditions, "Complete")]
    bad = [job for job in done if is_true(job.status.conditions, "Failed")]
    surplus = [
        *good[: max(0, len(good) - spec.successfulJobsHistoryLimit)],
        *bad[: max(0, len(bad) - spec.failedJobsHistoryLimit)],
    ]
    return tuple(_delete(job, Note(subject, "SuccessfulDelete", f"Deleted job {job.metadata.name}")) for job in surplus)


def _delete(job: Job, note: Note) -> Delete:
    meta = job.metadata
    return Delete(JOBS, meta.namespace, meta.name, uid=meta.uid, propagation="Background", note=note)


def _status(seen: Snapshot) -> CronJobStatus:
    status = seen.cronjob.status
    active = tuple(
        ObjectReference(
            apiVersion="batch/v1",
            kind="Job",
            namespace=job.metadata.namespace,
            name=job.metadata.name,
            uid=job.metadata.uid,
        )
        for job in seen.jobs
        if not _is_done(job)
    )
    ends = [job.status.completionTime for job in seen.jobs if job.status.completionTime]
    successful = max([*ends, *([status.lastSuccessfulTime] if status.lastSuccessfulTime else [])], default=None)
    return CronJobStatus(_kept(status.active, active), status.lastScheduleTime, successful)


def _kept(old: tuple[ObjectReference, ...], new: tuple[ObjectReference, ...]) -> tuple[ObjectReference, ...]:
    """The old references where they still name the same Jobs, so that nothing is written for nothing."""
    return old if [one.uid for one in old] == [one.uid for one in new] else new


def _notes_of_done(seen: Snapshot) -> tuple[Note, ...]:
    """A word on every Job that was active and is done or gone now."""
    active = {one.uid for one in seen.cronjob.status.active}
    subject = about(seen.cronjob.metadata, IDENTITY)
    known = {job.metadata.uid for job in seen.jobs}
    gone = (one.name for one in seen.cronjob.status.active if one.uid not in known)
    missing = (Note(subject, "MissingJob", f"Active job went missing: {name}") for name in gone)
    done = (
        Note(
            subject,
            "SawCompletedJob",
            f"Saw completed job: {job.metadata.name}, condition: "
            + ("Complete" if is_true(job.status.conditions, "Complete") else "Failed"),
        )
        for job in seen.jobs
        if job.metadata.uid in active and _is_done(job)
    )
    return (*missing, *done)


def _told(cronjob: CronJob, status: CronJobStatus) -> tuple[Action, ...]:
    return status_patch(CRON_JOBS, cronjob.metadata, cronjob.status, status)


CONTROLLER = Controller(
    name="cronjob",
    watches=(Watch(CRON_JOBS, CronJob, own), Watch(JOBS, Job, of_controller("CronJob"))),
    observe=observe,
    reconcile=reconcile,
    component="cronjob-controller",
)
