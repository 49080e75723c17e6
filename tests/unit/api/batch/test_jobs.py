"""Jobs and cron schedules, beyond what is recorded."""

import json
from typing import Any

import pytest

from mizzen.api.batch import schedule
from mizzen.api.batch.cronjob import CRON_JOB
from mizzen.api.batch.job import JOB
from mizzen.machinery.errors import Object

INDEXED = {"completionMode": "Indexed", "completions": 5}


def _job(**spec: Any) -> Object:
    pod = {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a:1"}]}
    body = json.loads(json.dumps({"template": {"spec": pod}, **spec}))
    job = {"metadata": {"name": "j", "namespace": "n", "uid": "u-1"}, "spec": body}
    assert JOB.default and JOB.prepare
    JOB.default(job)
    JOB.prepare(job, None)
    return job


def _errors(job: Object, old: Object | None = None) -> list[str]:
    assert JOB.validate
    return [error.path for error in JOB.validate(job, old)]


STARTED, ENDED = "2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"


def _status_errors(status: Object, before: Object | None = None, **spec: Any) -> list[str]:
    """The paths of what is wrong with a status, each without its `status.`."""
    assert JOB.validate_status
    old = {**_job(**spec), "status": before or {}}
    return [
        error.path.removeprefix("status.") for error in JOB.validate_status({**_job(**spec), "status": status}, old)
    ]


def _is(*types: str) -> list[Object]:
    return [{"type": type_, "status": "True"} for type_ in types]


COMPLETE = {
    "conditions": _is("SuccessCriteriaMet", "Complete"),
    "startTime": STARTED,
    "completionTime": ENDED,
    "succeeded": 1,
}
FAILED = {"conditions": _is("FailureTarget", "Failed"), "startTime": STARTED, "failed": 1}
RUNNING = {"startTime": STARTED, "active": 1}


def test_jobs_may_end_in_both_ways() -> None:
    assert (_status_errors(COMPLETE, RUNNING), _status_errors(FAILED, RUNNING)) == ([], [])


@pytest.mark.parametrize(
    ("status", "paths"),
    [
        (COMPLETE | {"conditions": _is("Complete")}, ["conditions"]),
        (FAILED | {"conditions": _is("Failed")}, ["conditions"]),
        (COMPLETE | {"conditions": _is("SuccessCriteriaMet", "Complete", "FailureTarget")}, ["conditions"] * 2),
        (COMPLETE | {"completionTime": None}, ["completionTime"]),
        (FAILED | {"completionTime": ENDED}, ["completionTime"]),
        (COMPLETE | {"startTime": "2026-01-02T00:00:00Z"}, ["completionTime", "startTime"]),
        (COMPLETE | {"startTime": None}, ["startTime", "startTime"]),
        (COMPLETE | {"active": 1}, ["active"]),
        (COMPLETE | {"terminating": 1}, ["terminating"]),
        (COMPLETE | {"uncountedTerminatedPods": {"failed": ["u"]}}, ["uncountedTerminatedPods"]),
        (RUNNING | {"ready": 2}, ["ready"]),
        (RUNNING | {"completedIndexes": "0"}, ["completedIndexes"]),
        (RUNNING | {"failedIndexes": ""}, ["failedIndexes"]),
    ],
)
def test_an_end_has_a_reason_a_start_and_no_pods_left(status: Object, paths: list[str]) -> None:
    assert _status_errors(status, RUNNING) == paths


def test_what_is_over_stays_over() -> None:
    assert _status_errors(RUNNING, FAILED) == ["conditions", "conditions", "failed"]
    assert _status_errors(COMPLETE | {"completionTime": "2026-01-01T00:06:00Z"}, COMPLETE) == ["completionTime"]
    assert _status_errors(COMPLETE | {"succeeded": 0}, COMPLETE) == ["succeeded"]
    assert _status_errors({}, RUNNING, suspend=True) == []


def test_a_status_from_before_the_rules_may_still_be_written() -> None:
    old = {"conditions": _is("Complete"), "active": 1}
    assert _status_errors(old | {"succeeded": 1}, old) == []


def test_indexes_fail_or_succeed_and_are_those_of_the_job() -> None:
    spec = {**INDEXED, "backoffLimitPerIndex": 1}
    assert _status_errors(RUNNING | {"completedIndexes": "0,2-3", "failedIndexes": "1"}, RUNNING, **spec) == []
    assert _status_errors(RUNNING | {"completedIndexes": "0-2", "failedIndexes": "2"}, RUNNING, **spec) == [
        "failedIndexes"
    ]
    assert _status_errors(RUNNING | {"completedIndexes": "7", "failedIndexes": "2,1"}, RUNNING, **spec) == [
        "completedIndexes",
        "failedIndexes",
    ]


def test_a_job_selects_its_pods_by_its_uid() -> None:
    job = _job()
    assert job["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": "u-1"}}
    assert job["spec"]["template"]["metadata"]["labels"]["job-name"] == "j"
    assert _errors(job) == []


def test_patience_per_index_lifts_the_limit_of_the_whole() -> None:
    assert _job(**INDEXED, backoffLimitPerIndex=1)["spec"]["backoffLimit"] == 2147483647
    assert _errors(_job(**INDEXED, backoffLimitPerIndex=1, maxFailedIndexes=5)) == []


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"backoffLimitPerIndex": 1}, "spec.backoffLimitPerIndex"),
        ({**INDEXED, "maxFailedIndexes": 1}, "spec.backoffLimitPerIndex"),
        ({**INDEXED, "backoffLimitPerIndex": 1, "maxFailedIndexes": 6}, "spec.maxFailedIndexes"),
        ({"completionMode": "Indexed", "parallelism": 2}, "spec.completions"),
        ({"managedBy": "me"}, "spec.managedBy"),
        ({"podReplacementPolicy": "Now"}, "spec.podReplacementPolicy"),
        ({**INDEXED, "successPolicy": {"rules": []}}, "spec.successPolicy.rules"),
        ({**INDEXED, "successPolicy": {"rules": [{}]}}, "spec.successPolicy.rules[0]"),
        ({"successPolicy": {"rules": [{"succeededCount": 1}]}}, "spec.successPolicy"),
        ({"podFailurePolicy": {"rules": [{"action": "Count"}]}}, "spec.podFailurePolicy.rules[0]"),
    ],
)
def test_a_job_spec_is_checked(spec: Object, path: str) -> None:
    assert _errors(_job(**spec)) == [path]


@pytest.mark.parametrize(
    ("spec", "paths"),
    [
        ({"completionMode": "Odd", "backoffLimitPerIndex": 1}, ["spec.completionMode"]),
        (
            {**INDEXED, "completions": 100_001, "parallelism": 10_001, "backoffLimitPerIndex": 1},
            ["spec.maxFailedIndexes", "spec.parallelism"],
        ),
        ({**INDEXED, "completions": 100_000, "parallelism": 10_001, "backoffLimitPerIndex": 1}, []),
        (
            {**INDEXED, "successPolicy": {"rules": [{"succeededCount": 6, "succeededIndexes": "0,9"}]}},
            [
                "spec.successPolicy.rules[0].succeededIndexes",
                "spec.successPolicy.rules[0].succeededCount",
                "spec.successPolicy.rules[0].succeededCount",
            ],
        ),
        ({"managedBy": "A_b/c"}, ["spec.managedBy"]),
    ],
)
def test_rules_of_counting_do_not_hide_each_other(spec: Object, paths: list[str]) -> None:
    assert _errors(_job(**spec)) == paths


def test_an_unknown_restart_policy_is_refused_by_the_job_as_well_as_by_its_pods() -> None:
    job = _job()
    job["spec"]["template"]["spec"]["restartPolicy"] = "Odd"
    assert _errors(job) == ["spec.template.spec.restartPolicy"] * 2


@pytest.mark.parametrize(
    ("indexes", "fine"), [("0,2-4", True), ("", True), ("4-2", False), ("1,1", False), ("5", False), ("a", False)]
)
def test_indexes_of_a_success_policy_ascend_and_exist(indexes: str, fine: bool) -> None:
    job = _job(**INDEXED, successPolicy={"rules": [{"succeededIndexes": indexes}]})
    assert _errors(job) == ([] if fine else ["spec.successPolicy.rules[0].succeededIndexes"])


def test_an_elastic_indexed_job_may_grow() -> None:
    old = _job(completionMode="Indexed", completions=3, parallelism=3)
    assert _errors(_job(completionMode="Indexed", completions=5, parallelism=5), old) == []
    assert _errors(_job(completionMode="Indexed", completions=5, parallelism=3), old) == ["spec.completions"]
    before = _job(completionMode="Indexed", completions=2, parallelism=1)
    assert _errors(_job(completionMode="Indexed", completions=3, parallelism=3), before) == []


def test_a_suspended_job_that_never_ran_may_be_told_where_to_run() -> None:
    old, new = _job(suspend=True), _job(suspend=True)
    new["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "ssd"}
    assert _errors(new, old) == []
    old["status"] = {"startTime": "2026-01-01T00:00:00Z"}
    assert _errors(new, old) == ["spec.template"]
    new["spec"]["template"]["spec"]["containers"][0]["image"] = "b:1"
    old["status"] = {}
    assert _errors(new, old) == ["spec.template"]


@pytest.mark.parametrize(
    "text",
    [
        "* * * * *",
        "*/15 0-6,22 1 jan-MAR ?",
        "0 0 * * sun",
        "5/10 * * * *",
        "@hourly",
        "@every 1h30m",
        "TZ=Etc/UTC 0 * * * *",
    ],
)
def test_a_schedule_is_understood(text: str) -> None:
    assert schedule.problem(text) == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("9-3 * * * *", "beginning of range (9) beyond end of range (3): 9-3"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        ("@sometimes", "unrecognized descriptor: @sometimes"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
    ],
)
def test_a_schedule_that_is_not_understood_says_why(text: str, problem: str) -> None:
    assert schedule.problem(text) == problem


def test_a_zone_in_the_schedule_stays_if_it_was_there() -> None:
    spec = {"schedule": "TZ=UTC 0 * * * *", "jobTemplate": {"spec": {"template": _job()["spec"]["template"]}}}
    cron_job: Object = {"metadata": {"name": "c"}, "spec": spec}
    assert CRON_JOB.default and CRON_JOB.validate
    CRON_JOB.default(cron_job)
    assert [error.path for error in CRON_JOB.validate(cron_job, None)] == ["spec.schedule"]
    assert [error.path for error in CRON_JOB.validate(cron_job, cron_job)] == []


@pytest.mark.parametrize(
    ("true", "word"),
    [
        ((), "Running"),
        (("Suspended",), "Suspended"),
        (("FailureTarget", "Failed"), "Failed"),
        (("Complete",), "Complete"),
    ],
)
def test_a_table_says_how_a_job_fares(true: tuple[str, ...], word: str) -> None:
    job = _job()
    job["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    job["status"] = {"conditions": [{"type": kind, "status": "True"} for kind in true]}
    assert JOB.table is not None
    cells = dict(zip((one.name for one in JOB.table.columns), JOB.table.row(job, 1_800_000_000.0), strict=True))
    assert cells["Status"] == word


def test_labels_that_only_the_server_gives_are_refused_from_clients() -> None:
    job = _job(
        template={"metadata": {"labels": {"controller-uid": "mine"}}, "spec": _job()["spec"]["template"]["spec"]}
    )
    assert _errors(job) == ["spec.template.metadata.labels[controller-uid]"]


def test_an_update_looks_at_the_spec_twice() -> None:
    job = _job()
    new = json.loads(json.dumps(job))
    new["spec"]["parallelism"] = -1
    assert _errors(new, job) == ["spec.parallelism"] * 2


def test_pods_that_are_still_to_be_counted_are_named_once() -> None:
    status = {"uncountedTerminatedPods": {"succeeded": ["a", ""], "failed": ["a"]}}
    assert JOB.validate_status
    assert [error.path for error in JOB.validate_status({**_job(), "status": status}, _job())] == [
        "status.uncountedTerminatedPods.succeeded[1]",
        "status.uncountedTerminatedPods.failed[0]",
    ]


def test_a_cron_jobs_jobs_get_their_selectors_from_the_server() -> None:
    template = {"spec": {"template": {"spec": _job()["spec"]["template"]["spec"]}, "selector": {}}}
    cron_job = {"metadata": {"name": "c"}, "spec": {"schedule": "@daily", "jobTemplate": template}}
    assert CRON_JOB.default and CRON_JOB.validate
    CRON_JOB.default(cron_job)
    assert [error.path for error in CRON_JOB.validate(cron_job, None)] == ["spec.jobTemplate.spec.selector"]
