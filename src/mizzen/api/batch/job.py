"""Job (batch/v1): pods that run until so many of them have succeeded."""

from collections.abc import Iterator

from mizzen.api.batch import job_status, job_validation
from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.podspec import warnings
from mizzen.api.podspec.defaults import default_template
from mizzen.api.rules import workloads
from mizzen.machinery import labels, names, times
from mizzen.machinery.errors import FieldError, Object

_NO_LIMIT = 2147483647


def default(job: Object) -> None:
    spec = job["spec"] = job.get("spec") or {}
    template = spec["template"] = default_template(spec.get("template"))
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    patience = 6 if spec.get("backoffLimitPerIndex") is None else _NO_LIMIT
    replaced = "TerminatingOrFailed" if spec.get("podFailurePolicy") is None else "Failed"
    workloads.fill(
        spec,
        {
            "parallelism": 1,
            "backoffLimit": patience,
            "completionMode": "NonIndexed",
            "suspend": False,
            "podReplacementPolicy": replaced,
        },
    )
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for condition in rule.get("onPodConditions") or ():
            if not condition.get("status"):
                condition["status"] = "True"
    _default_labels(job, template)
    status = job["status"] = job.get("status") or {}
    workloads.fill_conditions(status, "lastProbeTime", "lastTransitionTime")


def _default_labels(job: Object, template: Object) -> None:
    """A Job without labels takes those of its pods."""
    of_pods = template["metadata"].get("labels")
    if of_pods and not job["metadata"].get("labels"):
        job["metadata"]["labels"] = dict(of_pods)


def prepare(job: Object, old: Object | None) -> None:
    workloads.keep_status(job, old, {})
    spec = job["spec"]
    if old is not None or spec.get("manualSelector"):
        return
    metadata = job["metadata"]
    pods = spec["template"]["metadata"]
    owner, uid = metadata.get("name") or "", metadata.get("uid") or ""
    # Labels that the client chose itself are left for the validation to refuse.
    pods["labels"] = {**job_validation.generated_labels(owner, uid), **(pods.get("labels") or {})}
    selector = spec.get("selector") or {}
    spec["selector"] = selector
    selector["matchLabels"] = {job_validation.UID_LABEL: uid, **(selector.get("matchLabels") or {})}
    if names.is_label_value(owner):  # else the template is refused, and its labels once are enough
        _default_labels(job, spec["template"])


def warn(job: Object, old: Object | None) -> Iterator[str]:
    if old is None:
        yield from warnings.name_warnings(job, "Pod names and hostnames")
    if not warnings.is_same_generation(job, old):
        yield from job_validation.size_warnings("spec", job["spec"])
    yield from warnings.of_workload(job, old)


def validate(job: Object, old: Object | None) -> Iterator[FieldError]:
    """On update the spec is looked at twice, as clients know it from the causes."""
    errors = list(job_validation.spec_errors(job["spec"]))
    yield from job_validation.own_errors(job)
    yield from errors
    if old is not None:
        yield from errors
        yield from job_validation.update_errors(job["spec"], old["spec"], old.get("status") or {})


def _row(job: Object, now: float) -> list[object]:
    spec, status = job["spec"], job.get("status") or {}
    succeeded, parallelism = status.get("succeeded") or 0, spec.get("parallelism") or 0
    if spec.get("completions") is not None:
        completions = f"{succeeded}/{spec['completions']}"
    else:
        completions = f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"
    started, ended = status.get("startTime"), status.get("completionTime")
    duration = ""
    if started:
        duration = times.age((times.parse(ended) if ended else now) - times.parse(started))
    return [
        name(job),
        _verdict(job),
        completions,
        duration,
        age(job, now),
        *workloads.container_cells(spec.get("template")),
        labels.format_object(spec.get("selector")),
    ]


def _verdict(job: Object) -> str:
    """How the job fares, in a word."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    true = {one.get("type") for one in conditions if one.get("status") == "True"}
    ends = [kind for kind in ("Complete", "Failed") if kind in true]
    if ends:
        return ends[0]
    if job["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return next((kind for kind in ("Suspended", "FailureTarget", "SuccessCriteriaMet") if kind in true), "Running")


JOB = Kind(
    group="batch",
    version="v1",
    kind="Job",
    plural="jobs",
    namespaced=True,
    singular="job",
    categories=("all",),
    default=default,
    prepare=prepare,
    validate=validate,
    warn=warn,
    has_status=True,
    validate_status=job_status.errors,
    has_generation=True,
    default_propagation="Orphan",
    keeps_dependents=(
        "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or "
        "set propagationPolicy=Orphan to suppress this warning"
    ),
    selectable={"status.successful": lambda job: str((job.get("status") or {}).get("succeeded") or 0)},
    table=Table(
        columns=(
            NAME,
            Column("Status"),
            Column("Completions"),
            Column("Duration"),
            AGE,
            workloads.CONTAINERS,
            workloads.IMAGES,
            workloads.SELECTOR,
        ),
        row=_row,
    ),
)
