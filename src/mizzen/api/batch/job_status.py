"""What the status of a Job may say, whoever writes it: a Job that has ended stays as it ended.

A rule is looked at when what it is about has changed, so that a status from before the rule can still be written.
Ref: https://kubernetes.io/docs/concepts/workloads/controllers/job/#terminal-job-conditions
"""

from collections.abc import Iterator

from mizzen.api.batch.job_validation import count_indexes
from mizzen.api.rules import workloads
from mizzen.machinery import times
from mizzen.machinery.errors import OMITTED, FieldError, Object, duplicate, invalid, required

_COUNTS = ("active", "succeeded", "failed", "ready", "terminating")
_LASTING = ("Failed", "Complete", "FailureTarget")
_CONDITIONS = "status.conditions"


def errors(job: Object, old: Object | None) -> Iterator[FieldError]:
    status = job.get("status") or {}
    before = (old or {}).get("status") or {}
    yield from workloads.not_negative("status", status, *_COUNTS)
    yield from _uncounted_errors(status.get("uncountedTerminatedPods") or {})
    now, then = _true(status), _true(before)
    yield from _condition_errors(now, then)
    yield from _time_errors(job, status, before, now, then)
    yield from _end_errors(status, before, now, then)
    yield from _index_errors(job["spec"], status, before)
    yield from _count_errors(job["spec"], status, before)


def _true(status: Object) -> frozenset[str]:
    """The types of the conditions that hold."""
    return frozenset(one.get("type") or "" for one in status.get("conditions") or () if one.get("status") == "True")


def _changed(new: Object, old: Object, *fields: str) -> bool:
    return any((new.get(field) or None) != (old.get(field) or None) for field in fields)


def _told(detail: str) -> FieldError:
    return invalid(_CONDITIONS, OMITTED, detail)


def _uncounted_errors(uncounted: Object) -> Iterator[FieldError]:
    seen: set[str] = set()
    for field in ("succeeded", "failed"):
        for i, uid in enumerate(uncounted.get(field) or ()):
            path = f"status.uncountedTerminatedPods.{field}[{i}]"
            if not uid:
                yield invalid(path, uid, "must not be empty")
            elif uid in seen:
                yield duplicate(path, uid)
            seen.add(uid)


def _condition_errors(now: frozenset[str], then: frozenset[str]) -> Iterator[FieldError]:
    """Conditions that exclude or need each other, and those that never end."""
    new = now ^ then
    for one, other in (("Complete", "Failed"), ("Complete", "FailureTarget")):
        if {one, other} <= now and {one, other} & new:
            yield _told(f"cannot set {one}=True and {other}=true conditions")
    for end, reason in (("Failed", "FailureTarget"), ("Complete", "SuccessCriteriaMet")):
        if end in now and reason not in now and {end, reason} & new:
            yield _told(f"cannot set {end}=True condition without the {reason}=true condition")
    for other in ("Failed", "FailureTarget"):
        if {"SuccessCriteriaMet", other} <= now:
            yield _told(f"cannot set SuccessCriteriaMet=True and {other}=true conditions")
    for lasting in _LASTING:
        if lasting in then - now:
            yield _told(f"cannot disable the terminal {lasting}=True condition")
    if "SuccessCriteriaMet" in then - now:
        yield _told("cannot disable the SuccessCriteriaMet=True condition")
    if "Complete" in then and "SuccessCriteriaMet" in now - then:
        yield _told("cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions")


def _time_errors(
    job: Object, status: Object, before: Object, now: frozenset[str], then: frozenset[str]
) -> Iterator[FieldError]:
    """A Job has an end when it is complete, after its start; neither moves."""
    started, ended = status.get("startTime"), status.get("completionTime")
    is_complete, path = "Complete" in now, "status.completionTime"
    if is_complete != ("Complete" in then) or _changed(status, before, "completionTime"):
        if ended and not is_complete:
            yield invalid(path, ended, "cannot set completionTime when there is no Complete=True condition")
        if is_complete and not ended:
            yield required(path, "completionTime is required for Complete jobs")
    is_moved = _changed(status, before, "startTime", "completionTime")
    if is_moved and started and ended and times.parse(ended) < times.parse(started):
        yield invalid(path, ended, "completionTime cannot be set before startTime")
    if ended and before.get("completionTime") and _changed(status, before, "completionTime"):
        yield invalid(path, ended, "completionTime cannot be mutated")
    if before.get("startTime") and _changed(status, before, "startTime") and not job["spec"].get("suspend"):
        yield required("status.startTime", "startTime cannot be removed for unsuspended job")


def _end_errors(status: Object, before: Object, now: frozenset[str], then: frozenset[str]) -> Iterator[FieldError]:
    """A Job that has ended was started and has no pods left."""
    ends = {"Complete", "Failed"}
    if not now & ends:
        return
    just = not then & ends
    if (status.get("active") or 0) > 0 and (just or _changed(status, before, "active")):
        yield invalid("status.active", status["active"], "active>0 is invalid for finished job")
    if not status.get("startTime") and (just or _changed(status, before, "startTime")):
        yield required("status.startTime", "startTime is required for finished job")
    uncounted = status.get("uncountedTerminatedPods") or {}
    if (uncounted.get("succeeded") or uncounted.get("failed")) and (
        just or _changed(status, before, "uncountedTerminatedPods")
    ):
        detail = "uncountedTerminatedPods needs to be empty for finished job"
        yield invalid("status.uncountedTerminatedPods", uncounted, detail)
    if (status.get("terminating") or 0) > 0 and (just or _changed(status, before, "terminating")):
        yield invalid("status.terminating", status["terminating"], "terminating>0 is invalid for finished job")


def _index_errors(spec: Object, status: Object, before: Object) -> Iterator[FieldError]:
    """Indexes are those that the Job has, written in order, and none has both failed and succeeded."""
    completions = spec.get("completions")
    done, failed = status.get("completedIndexes") or "", status.get("failedIndexes")
    parsed = True
    if _changed(status, before, "completedIndexes"):
        if completions is not None and (problem := count_indexes(done, completions)[0]):
            parsed = False
            yield invalid("status.completedIndexes", done, f"error parsing completedIndexes: {problem}")
        if done and spec.get("completionMode") != "Indexed":
            detail = "cannot set non-empty completedIndexes when non-indexed completion mode"
            yield invalid("status.completedIndexes", done, detail)
    if failed is None:
        return
    if failed != before.get("failedIndexes"):
        if spec.get("backoffLimitPerIndex") is None:
            detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
            yield invalid("status.failedIndexes", failed, detail)
        elif completions is not None and (problem := count_indexes(failed, completions)[0]):
            parsed = False
            yield invalid("status.failedIndexes", failed, f"error parsing failedIndexes: {problem}")
    if parsed and completions is not None and _changed(status, before, "failedIndexes", "completedIndexes"):
        both = _indexes(done) & _indexes(failed)
        if both:
            detail = f"failedIndexes and completedIndexes overlap at index: {min(both)}"
            yield invalid("status.failedIndexes", failed, detail)


def _indexes(text: str) -> set[int]:
    found: set[int] = set()
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def _count_errors(spec: Object, status: Object, before: Object) -> Iterator[FieldError]:
    """Ends that were counted stay counted, but for what a Job that can shrink gives up."""
    if (status.get("failed") or 0) < (before.get("failed") or 0):
        yield invalid("status.failed", status.get("failed") or 0, "cannot decrease the failed counter")
    can_shrink = spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")
    if (status.get("succeeded") or 0) < (before.get("succeeded") or 0) and not can_shrink:
        yield invalid("status.succeeded", status.get("succeeded") or 0, "cannot decrease the succeeded counter")
    ready, active = status.get("ready"), status.get("active") or 0
    if ready is not None and ready > active and _changed(status, before, "ready", "active"):
        yield invalid("status.ready", ready, "cannot set more ready pods than active")
