"""Deployment (apps/v1): how many pods of a template there should be, and how to get from one template to the next."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Kind, Scale, Table
from mizzen.api.podspec import warnings
from mizzen.api.podspec.defaults import default_template
from mizzen.api.rules import workloads
from mizzen.api.rules.equality import same
from mizzen.api.rules.fields import IMMUTABLE
from mizzen.machinery import labels
from mizzen.machinery.errors import FieldError, Object, forbidden, invalid, not_supported, required

_STRATEGIES = ("Recreate", "RollingUpdate")


def default(deployment: Object) -> None:
    spec = deployment["spec"] = deployment.get("spec") or {}
    spec["template"] = default_template(spec.get("template"))
    workloads.fill(spec, {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600})
    strategy = spec["strategy"] = spec.get("strategy") or {}
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy["rollingUpdate"] = strategy.get("rollingUpdate") or {}
        workloads.fill(rolling, {"maxUnavailable": "25%", "maxSurge": "25%"})
    status = deployment["status"] = deployment.get("status") or {}
    workloads.fill_conditions(status, "lastUpdateTime", "lastTransitionTime")


def prepare(deployment: Object, old: Object | None) -> None:
    workloads.keep_status(deployment, old, {})


def validate(deployment: Object, old: Object | None) -> Iterator[FieldError]:
    spec = deployment["spec"]
    selector = spec.get("selector")
    yield from workloads.not_negative("spec", spec, "replicas")
    yield from workloads.selector_errors("spec.selector", selector, "deployment")
    if workloads.is_readable(selector):
        yield from workloads.lasting_template_errors("spec.template", selector, spec["template"], "ReplicaSet")
    else:
        yield invalid("spec.selector", selector, "invalid label selector")
    yield from _strategy_errors("spec.strategy", spec["strategy"])
    yield from workloads.not_negative(
        "spec", spec, "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"
    )
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= (spec.get("minReadySeconds") or 0):
        yield invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")
    if old is not None and not same(selector, old["spec"].get("selector")):
        yield invalid("spec.selector", selector, IMMUTABLE)


def _strategy_errors(path: str, strategy: Object) -> Iterator[FieldError]:
    rolling = strategy.get("rollingUpdate")
    match strategy.get("type"):
        case "Recreate":
            if rolling is not None:
                yield forbidden(f"{path}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
        case "RollingUpdate":
            if rolling is None:
                yield required(f"{path}.rollingUpdate", "this should be defaulted and never be nil")
                return
            at = f"{path}.rollingUpdate"
            surge, unavailable = rolling.get("maxSurge"), rolling.get("maxUnavailable")
            yield from workloads.number_or_percent_errors(f"{at}.maxUnavailable", unavailable)
            yield from workloads.number_or_percent_errors(f"{at}.maxSurge", surge)
            if workloads.amount(unavailable) == 0 and workloads.amount(surge) == 0:
                yield invalid(f"{at}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0")
            yield from workloads.at_most_all_errors(f"{at}.maxUnavailable", unavailable)
        case type_:
            yield not_supported(path, type_, _STRATEGIES)


def validate_status(deployment: Object, old: Object | None) -> Iterator[FieldError]:
    status = deployment.get("status") or {}
    counts = ("observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    yield from workloads.not_negative("status", status, *counts, "unavailableReplicas", "collisionCount")
    replicas = status.get("replicas") or 0
    for field in ("updatedReplicas", "readyReplicas", "availableReplicas"):
        if (count := status.get(field) or 0) > replicas:
            yield invalid(f"status.{field}", count, "cannot be greater than status.replicas")
    if (available := status.get("availableReplicas") or 0) > (status.get("readyReplicas") or 0):
        yield invalid("status.availableReplicas", available, "cannot be greater than readyReplicas")
    yield from workloads.collision_errors(status, old)


def _row(deployment: Object, now: float) -> list[object]:
    spec, status = deployment["spec"], deployment.get("status") or {}
    return [
        name(deployment),
        f"{status.get('readyReplicas') or 0}/{spec.get('replicas') or 0}",
        status.get("updatedReplicas") or 0,
        status.get("availableReplicas") or 0,
        age(deployment, now),
        *workloads.container_cells(spec.get("template")),
        labels.format_object(spec.get("selector")),
    ]


DEPLOYMENT = Kind(
    group="apps",
    version="v1",
    kind="Deployment",
    plural="deployments",
    namespaced=True,
    singular="deployment",
    short_names=("deploy",),
    categories=("all",),
    default=default,
    prepare=prepare,
    validate=validate,
    warn=warnings.of_named_workload("Pod names and hostnames"),
    revalidates_metadata=0,
    has_status=True,
    status_leaves=("labels",),
    generation_heeds=("annotations",),
    validate_status=validate_status,
    has_generation=True,
    scale=Scale(),
    table=Table(
        columns=(
            NAME,
            Column("Ready"),
            Column("Up-to-date"),
            Column("Available"),
            AGE,
            workloads.CONTAINERS,
            workloads.IMAGES,
            workloads.SELECTOR,
        ),
        row=_row,
    ),
)
