"""CronJob (batch/v1): a Job at every time of a schedule."""

from collections.abc import Iterator

from mizzen.api.batch import schedule
from mizzen.api.batch.job_validation import job_spec_errors, size_warnings
from mizzen.api.columns import AGE, NAME, NONE, age, name, since
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.podspec import warnings
from mizzen.api.podspec.defaults import default_template
from mizzen.api.rules import workloads
from mizzen.machinery.errors import FieldError, Object, invalid, not_supported, required

MAX_NAME = 52
_POLICIES = ("Allow", "Forbid", "Replace")


def default(cron_job: Object) -> None:
    spec = cron_job["spec"] = cron_job.get("spec") or {}
    spec.setdefault("schedule", "")
    if not spec.get("concurrencyPolicy"):
        spec["concurrencyPolicy"] = "Allow"
    workloads.fill(spec, {"suspend": False, "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1})
    job = spec["jobTemplate"] = spec.get("jobTemplate") or {}
    metadata = job["metadata"] = job.get("metadata") or {}
    metadata.setdefault("creationTimestamp", None)
    of_job = job["spec"] = job.get("spec") or {}
    of_job["template"] = default_template(of_job.get("template"))
    cron_job["status"] = cron_job.get("status") or {}


def prepare(cron_job: Object, old: Object | None) -> None:
    workloads.keep_status(cron_job, old, {})


def validate(cron_job: Object, old: Object | None) -> Iterator[FieldError]:
    spec = cron_job["spec"]
    own = cron_job["metadata"].get("name") or ""
    if old is None and len(own) > MAX_NAME:
        yield invalid("metadata.name", own, f"must be no more than {MAX_NAME} characters")
    yield from _schedule_errors(spec, (old or {}).get("spec"))
    yield from workloads.not_negative("spec", spec, "startingDeadlineSeconds")
    if (policy := spec.get("concurrencyPolicy")) not in _POLICIES:
        yield not_supported("spec.concurrencyPolicy", policy, _POLICIES)
    yield from workloads.not_negative("spec", spec, "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
    job = spec["jobTemplate"]
    yield from job_spec_errors("spec.jobTemplate.spec", job["spec"])
    if (selector := job["spec"].get("selector")) is not None:
        yield invalid("spec.jobTemplate.spec.selector", selector, "`selector` will be auto-generated")
    if job["spec"].get("manualSelector"):
        yield not_supported("spec.jobTemplate.spec.manualSelector", True, ("nil", "false"))


def _schedule_errors(spec: Object, old: Object | None) -> Iterator[FieldError]:
    text, zone = spec.get("schedule") or "", spec.get("timeZone")
    if not text:
        yield required("spec.schedule")
    else:
        if problem := schedule.problem(text):
            yield invalid("spec.schedule", text, problem)
        if "TZ" in text and zone is not None:
            yield invalid("spec.schedule", text, "cannot use both timeZone field and TZ or CRON_TZ in schedule")
        elif "TZ" in text and "TZ" not in ((old or {}).get("schedule") or ""):
            detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
            yield invalid("spec.schedule", text, detail)
    if zone is None:
        return
    if not zone:
        yield invalid("spec.timeZone", zone, "timeZone must be nil or non-empty string")
    elif zone.lower() == "local":
        detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        yield invalid("spec.timeZone", zone, detail)
    elif not schedule.is_time_zone(zone):
        yield invalid("spec.timeZone", zone, f"unknown time zone {zone}")


def warn(cron_job: Object, old: Object | None) -> Iterator[str]:
    if old is None:
        yield from warnings.name_warnings(cron_job, "Pod names and hostnames")
    if warnings.is_same_generation(cron_job, old):
        return
    spec = cron_job["spec"]
    inner = (spec.get("jobTemplate") or {}).get("spec") or {}
    yield from size_warnings("spec.jobTemplate.spec", inner)
    yield from warnings.of_template(inner.get("template"), "spec.jobTemplate.spec.template")
    if "TZ" in (spec.get("schedule") or ""):
        where = "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/"
        yield f"CRON_TZ or TZ used in spec.spec.schedule is not officially supported, see {where} for more details"


def _row(cron_job: Object, now: float) -> list[object]:
    spec, status = cron_job["spec"], cron_job.get("status") or {}
    last = status.get("lastScheduleTime")
    return [
        name(cron_job),
        spec.get("schedule") or "",
        spec.get("timeZone") or NONE,
        str(bool(spec.get("suspend"))),
        len(status.get("active") or ()),
        since(last, now) if last else NONE,
        age(cron_job, now),
        *workloads.container_cells(spec["jobTemplate"]["spec"].get("template")),
        NONE,
    ]


CRON_JOB = Kind(
    group="batch",
    version="v1",
    kind="CronJob",
    plural="cronjobs",
    namespaced=True,
    singular="cronjob",
    short_names=("cj",),
    categories=("all",),
    default=default,
    prepare=prepare,
    validate=validate,
    warn=warn,
    revalidates_metadata=0,
    has_status=True,
    has_generation=True,
    table=Table(
        columns=(
            NAME,
            Column("Schedule"),
            Column("Timezone"),
            Column("Suspend", type="boolean"),
            Column("Active", type="integer"),
            Column("Last Schedule"),
            AGE,
            workloads.CONTAINERS,
            workloads.IMAGES,
            workloads.SELECTOR,
        ),
        row=_row,
    ),
)
