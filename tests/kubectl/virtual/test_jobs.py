"""Jobs and CronJobs over minutes and hours, with real kubectl."""

from datetime import UTC, datetime

from tests.kubectl.virtual.conftest import Console
from tests.kubectl.virtual.manifests import cron_job, job

HOUR = 3600


def at(console: Console) -> datetime:
    return datetime.fromtimestamp(console.cluster.now, UTC)


def to_the_hour(console: Console) -> None:
    """Let time pass until just after a full hour."""
    now = at(console)
    console.cluster.advance(HOUR - now.minute * 60 - now.second + 1)


def test_a_cron_job_runs_by_its_schedule_for_hours_and_keeps_its_history_short(console: Console) -> None:
    to_the_hour(console)
    console.apply(cron_job("tick", "*/10 * * * *", successfulJobsHistoryLimit=2))
    console.cluster.advance(2 * HOUR + 30)
    found = console.json("jobs")["items"]
    names = [one["metadata"]["name"] for one in found]
    assert names == [f"tick-{int(console.cluster.now) // 3600 * 60 + minute}" for minute in (-10, 0)]
    stamp = found[-1]["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"]
    assert stamp == at(console).strftime("%Y-%m-%dT%H:00:00Z")
    status = console.json("cronjob", "tick")["status"]
    assert status["lastScheduleTime"] == stamp
    assert status["lastSuccessfulTime"] > stamp
    told = console.events("tick")
    assert told.count(("SuccessfulCreate", f"Created job {names[0]}")) == 1
    assert ("SawCompletedJob", f"Saw completed job: {names[0]}, condition: Complete") in told
    deleted = [reason for reason, _ in told if reason == "SuccessfulDelete"]
    assert len(deleted) == 6, "those of the last hour"
    assert "*/10 * * * *" in console("describe", "cronjob", "tick")


def test_a_cron_job_follows_its_time_zone(console: Console) -> None:
    to_the_hour(console)
    hour = at(console).hour
    console.apply(cron_job("east", f"15 {(hour + 6) % 24} * * *", timeZone="Asia/Kolkata"))
    console.cluster.advance(HOUR)
    [found] = console.json("jobs")["items"]
    stamp = found["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"]
    assert stamp.endswith("+05:30"), stamp
    assert datetime.fromisoformat(stamp).astimezone(UTC).hour == hour


def test_a_cron_job_waits_for_the_run_before_or_replaces_it(console: Console) -> None:
    to_the_hour(console)
    console.apply(cron_job("polite", "*/10 * * * *", "sleeps", concurrencyPolicy="Forbid"))
    console.apply(cron_job("hasty", "*/10 * * * *", "sleeps", concurrencyPolicy="Replace"))
    console.cluster.advance(15 * 60)
    first = {name: console.field(".status.active[*].name", "cronjob", name) for name in ("polite", "hasty")}
    console.cluster.advance(10 * 60)
    assert console.field(".status.active[*].name", "cronjob", "polite") == first["polite"]
    assert ("JobAlreadyActive", console.events("polite")[-1][1]) == console.events("polite")[-1]
    assert console.field(".status.active[*].name", "cronjob", "hasty") not in ("", first["hasty"])
    console("patch", "cronjob", "hasty", "-p", '{"spec":{"suspend":true}}')
    running = console.field(".status.active[*].name", "cronjob", "hasty")
    console.cluster.advance(HOUR / 4)
    assert console.field(".status.active[*].name", "cronjob", "hasty") == running
    assert "created" in console("create", "job", "by-hand", "--from=cronjob/hasty")
    assert console.field(".metadata.annotations.cronjob\\.kubernetes\\.io/instantiate", "job", "by-hand") == "manual"


def test_a_start_that_is_missed_by_too_much_is_told_of_and_skipped(console: Console) -> None:
    to_the_hour(console)
    console.apply(cron_job("late", "*/15 * * * *", "sleeps", suspend=True, startingDeadlineSeconds=60))
    console.cluster.advance(15 * 60 + 90)
    console("patch", "cronjob", "late", "-p", '{"spec":{"suspend":false}}')
    console.cluster.advance(5)
    assert console.names("jobs") == []
    console.cluster.advance(HOUR / 4)
    assert len(console.names("jobs")) == 1


def test_a_deleted_cron_job_takes_its_running_jobs_and_pods_along(console: Console) -> None:
    to_the_hour(console)
    console.apply(cron_job("short", "* * * * *", "sleeps"))
    console.cluster.advance(150)
    assert len(console.names("pods")) == 2
    console("delete", "cronjob", "short", "--wait=false")
    console.cluster.advance(60)
    assert console.names("cronjobs,jobs,pods") == []


def test_failed_pods_are_replaced_ever_more_slowly_until_the_limit(console: Console) -> None:
    console.apply(job("doomed", "fails", backoffLimit=3))
    took = console.cluster.until(
        lambda: console.field(".status.conditions[?(@.type=='Failed')].reason", "job", "doomed"), 600, 5
    )
    assert 10 + 20 + 40 <= took <= 10 + 20 + 40 + 30
    status = console.json("job", "doomed")["status"]
    assert status["failed"] == 4 and "active" not in status
    assert [(one["type"], one["reason"]) for one in status["conditions"]] == [
        ("FailureTarget", "BackoffLimitExceeded"),
        ("Failed", "BackoffLimitExceeded"),
    ]
    assert ("BackoffLimitExceeded", "Job has reached the specified backoff limit") in console.events("doomed")
    assert "condition met" in console("wait", "job/doomed", "--for=condition=failed", "--timeout=5s")


def test_a_job_ends_at_its_deadline_and_vanishes_when_its_time_to_live_is_over(console: Console) -> None:
    console.apply(job("slow", "sleeps", activeDeadlineSeconds=120, ttlSecondsAfterFinished=300))
    console.cluster.advance(119)
    assert len(console.names("pods")) == 1
    console.cluster.advance(40)
    status = console.json("job", "slow")["status"]
    assert [(one["type"], one["reason"]) for one in status["conditions"]][-1] == ("Failed", "DeadlineExceeded")
    assert ("DeadlineExceeded", "Job was active longer than specified deadline") in console.events("slow")
    console.cluster.advance(240)
    assert console.names("jobs") == ["slow"]
    console.cluster.advance(90)
    assert console.names("jobs,pods") == []


def test_a_suspended_job_stops_its_pods_and_starts_its_clock_anew(console: Console) -> None:
    console.apply(job("pausing", "sleeps", parallelism=2, completions=2))
    console.cluster.advance(5)
    began = console.field(".status.startTime", "job", "pausing")
    console("patch", "job", "pausing", "-p", '{"spec":{"suspend":true}}')
    console.cluster.advance(40)
    assert console.names("pods") == []
    assert "Suspended" in console("get", "job", "pausing")
    console("patch", "job", "pausing", "-p", '{"spec":{"suspend":false}}')
    console.cluster.advance(5)
    assert len(console.names("pods")) == 2
    assert console.field(".status.startTime", "job", "pausing") > began
    assert [reason for reason, _ in console.events("pausing") if reason in ("Suspended", "Resumed")] == [
        "Suspended",
        "Resumed",
    ]


def test_an_indexed_job_tells_every_index_apart(console: Console) -> None:
    console.apply(job("many", "fails", completions=4, parallelism=2, completionMode="Indexed", backoffLimitPerIndex=1))
    console.cluster.advance(120)
    status = console.json("job", "many")["status"]
    assert (status["failed"], status["failedIndexes"]) == (8, "0-3")
    assert [(one["type"], one["reason"]) for one in status["conditions"]][-1] == ("Failed", "FailedIndexes")
    second = [one for one in console.json("pods")["items"] if one["metadata"]["annotations"].get(FAILURES) == "1"]
    assert sorted(one["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] for one in second) == [*"0123"]
    assert {one["spec"]["hostname"] for one in second} == {f"many-{index}" for index in range(4)}


FAILURES = "batch.kubernetes.io/job-index-failure-count"


def test_pods_of_a_deleted_job_go_with_it_or_stay_behind(console: Console) -> None:
    console.apply(job("gone", "sleeps"))
    console.apply(job("left", "sleeps"))
    console.cluster.advance(5)
    console("delete", "job", "gone", "--wait=false")
    console("delete", "job", "left", "--wait=false", "--cascade=orphan")
    console.cluster.advance(60)
    [pod] = console.json("pods")["items"]
    assert pod["metadata"]["labels"]["job-name"] == "left"
    assert "finalizers" not in pod["metadata"] and "ownerReferences" not in pod["metadata"]
    console("delete", "pods", "--all", "--wait=false")
    console.cluster.advance(40)
    assert console.names("pods") == []


def test_a_pod_that_is_deleted_is_replaced_once_it_has_ended_where_the_job_says_so(console: Console) -> None:
    console.apply(job("careful", "sleeps", podReplacementPolicy="Failed"))
    console.cluster.advance(5)
    [first] = console.names("pods")
    console("delete", "pod", first, "--wait=false")
    console.cluster.advance(20)
    assert console.json("job", "careful")["status"]["failed"] == 1
    [second] = console.names("pods")
    assert second != first


def test_a_rule_for_failed_pods_ends_the_job_at_once_with_its_reason(console: Console) -> None:
    rule = {"action": "FailJob", "onExitCodes": {"containerName": "c", "operator": "In", "values": [1]}}
    console.apply(job("strict", "fails", podFailurePolicy={"rules": [rule]}, backoffLimit=6))
    console.cluster.advance(10)
    status = console.json("job", "strict")["status"]
    last = status["conditions"][-1]
    assert (status["failed"], last["type"], last["reason"]) == (1, "Failed", "PodFailurePolicy")
    [pod] = console.names("pods")
    where = f"{console.kubectl.namespace}/{pod}"
    told = f"Container c for pod {where} failed with exit code 1 matching FailJob rule at index 0"
    assert last["message"] == told
    assert ("PodFailurePolicy", told) in console.events("strict")
