"""What a CronJob does when a round before it did not come to its end."""

from typing import Any

import msgspec

from mizzen.api.views.batch import CronJob, Job
from mizzen.controllers import cronjob
from mizzen.machinery import times
from mizzen.reconcile.plan import Patch

NOW = times.parse("2026-01-01T00:05:30Z")


def seen(*jobs: str, **status: Any) -> cronjob.Snapshot:
    meta = {"name": "tick", "namespace": "d", "uid": "t", "creationTimestamp": "2026-01-01T00:00:00Z"}
    spec = {"schedule": "*/5 * * * *", "jobTemplate": {"spec": {}}}
    one = msgspec.convert({"metadata": meta, "spec": spec, "status": status}, CronJob)
    made = [msgspec.convert({"metadata": {"name": name, "namespace": "d", "uid": name}}, Job) for name in jobs]
    return cronjob.Snapshot(one, tuple(made))


def test_a_job_that_was_started_untold_is_told_now_and_never_started_again() -> None:
    name = f"tick-{int(times.parse('2026-01-01T00:05:00Z')) // 60}"
    plan = cronjob.reconcile(seen(name), NOW)
    [patch] = plan.actions
    assert isinstance(patch, Patch)
    assert isinstance(patch.patch, dict)
    assert patch.patch["status"]["lastScheduleTime"] == "2026-01-01T00:05:00Z"
    gone = seen(lastScheduleTime="2026-01-01T00:05:00Z")
    assert cronjob.reconcile(gone, NOW).actions == (), "even when it has ended and is gone"


def test_a_schedule_that_never_comes_is_told() -> None:
    never = seen()
    spec = msgspec.structs.replace(never.cronjob.spec, schedule="59 23 31 2 *")
    plan = cronjob.reconcile(cronjob.Snapshot(msgspec.structs.replace(never.cronjob, spec=spec), ()), NOW)
    assert [(note.reason, note.type) for note in plan.notes] == [("InvalidSchedule", "Warning")]
    assert (plan.actions, plan.requeue_after) == ((), None)
    assert cronjob.reconcile(seen(lastScheduleTime="2026-01-01T00:05:00Z"), NOW).notes == ()
