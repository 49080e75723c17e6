"""DaemonSet (apps/v1): one pod of a template on every node that fits."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, NONE, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.podspec import warnings
from mizzen.api.podspec.defaults import default_template
from mizzen.api.podspec.spec import template_errors
from mizzen.api.rules import workloads
from mizzen.api.rules.equality import same
from mizzen.api.rules.fields import IMMUTABLE
from mizzen.machinery import labels
from mizzen.machinery.errors import FieldError, Object, invalid, not_supported, required

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_STRATEGIES = ("RollingUpdate", "OnDelete")
_COUNTS = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")


def default(daemon_set: Object) -> None:
    spec = daemon_set["spec"] = daemon_set.get("spec") or {}
    spec["template"] = default_template(spec.get("template"))
    workloads.fill(spec, {"revisionHistoryLimit": 10})
    strategy = spec["updateStrategy"] = spec.get("updateStrategy") or {}
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy["rollingUpdate"] = strategy.get("rollingUpdate") or {}
        workloads.fill(rolling, {"maxUnavailable": 1, "maxSurge": 0})
    status = daemon_set["status"] = daemon_set.get("status") or {}
    workloads.fill_conditions(status, "lastTransitionTime")
    workloads.fill(status, dict.fromkeys(_COUNTS, 0))


def prepare(daemon_set: Object, old: Object | None) -> None:
    """The annotation counts the templates there were; old clients look at it."""
    workloads.keep_status(daemon_set, old, dict.fromkeys(_COUNTS, 0))
    metadata = daemon_set["metadata"]
    generation = 1
    if old is not None:
        stored = (old["metadata"].get("annotations") or {}).get(TEMPLATE_GENERATION, "1")
        generation = int(stored) if stored.isascii() and stored.isdigit() else 1
        if not same(daemon_set["spec"]["template"], old["spec"].get("template")):
            generation += 1
    metadata["annotations"] = {**(metadata.get("annotations") or {}), TEMPLATE_GENERATION: str(generation)}


def validate(daemon_set: Object, old: Object | None) -> Iterator[FieldError]:
    """On update the spec is looked at twice, as clients know it from the causes."""
    spec = daemon_set["spec"]
    errors = list(_spec_errors(spec))
    yield from errors
    if old is not None:
        yield from errors
        if not same(spec.get("selector"), old["spec"].get("selector")):
            yield invalid("spec.selector", spec.get("selector"), IMMUTABLE)


def _spec_errors(spec: Object) -> Iterator[FieldError]:
    selector, template = spec.get("selector"), spec["template"]
    yield from labels.validate_selector(selector, "spec.selector")
    if workloads.is_readable(selector):
        yield from workloads.match_errors("spec.template", selector, template)
    if selector is not None and not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid("spec.selector", selector, "empty selector is invalid for daemonset")
    yield from template_errors("spec.template", template)
    yield from workloads.lasting_errors("spec.template", template, "DaemonSet")
    yield from workloads.not_negative("spec", spec, "minReadySeconds")
    yield from _strategy_errors("spec.updateStrategy", spec["updateStrategy"])
    yield from workloads.not_negative("spec", spec, "revisionHistoryLimit")


def _strategy_errors(path: str, strategy: Object) -> Iterator[FieldError]:
    if strategy.get("type") not in _STRATEGIES:
        yield not_supported(path, strategy.get("type"), _STRATEGIES)
        return
    if strategy["type"] != "RollingUpdate":
        return
    at = f"{path}.rollingUpdate"
    if (rolling := strategy.get("rollingUpdate")) is None:
        yield required(at)
        return
    surge, unavailable = rolling.get("maxSurge"), rolling.get("maxUnavailable")
    yield from workloads.number_or_percent_errors(f"{at}.maxUnavailable", unavailable)
    yield from workloads.number_or_percent_errors(f"{at}.maxSurge", surge)
    if workloads.amount(unavailable) and workloads.amount(surge):
        yield invalid(f"{at}.maxSurge", surge, "may not be set when maxUnavailable is non-zero")
    elif not workloads.amount(unavailable) and not workloads.amount(surge):
        yield required(f"{at}.maxUnavailable", "cannot be 0 when maxSurge is 0")
    yield from workloads.at_most_all_errors(f"{at}.maxUnavailable", unavailable)
    yield from workloads.at_most_all_errors(f"{at}.maxSurge", surge)


def validate_status(daemon_set: Object, old: Object | None) -> Iterator[FieldError]:
    status = daemon_set.get("status") or {}
    counts = (*_COUNTS, "observedGeneration", "updatedNumberScheduled", "numberAvailable", "numberUnavailable")
    yield from workloads.not_negative("status", status, *counts, "collisionCount")
    yield from workloads.collision_errors(status, old)


def _row(daemon_set: Object, now: float) -> list[object]:
    spec, status = daemon_set["spec"], daemon_set.get("status") or {}
    nodes = ((spec.get("template") or {}).get("spec") or {}).get("nodeSelector") or {}
    return [
        name(daemon_set),
        status.get("desiredNumberScheduled") or 0,
        status.get("currentNumberScheduled") or 0,
        status.get("numberReady") or 0,
        status.get("updatedNumberScheduled") or 0,
        status.get("numberAvailable") or 0,
        ",".join(f"{key}={nodes[key]}" for key in sorted(nodes)) or NONE,
        age(daemon_set, now),
        *workloads.container_cells(spec.get("template")),
        labels.format_object(spec.get("selector")),
    ]


DAEMON_SET = Kind(
    group="apps",
    version="v1",
    kind="DaemonSet",
    plural="daemonsets",
    namespaced=True,
    singular="daemonset",
    short_names=("ds",),
    categories=("all",),
    default=default,
    prepare=prepare,
    validate=validate,
    warn=warnings.of_workload,
    has_status=True,
    validate_status=validate_status,
    has_generation=True,
    table=Table(
        columns=(
            NAME,
            Column("Desired", type="integer"),
            Column("Current", type="integer"),
            Column("Ready", type="integer"),
            Column("Up-to-date", type="integer"),
            Column("Available", type="integer"),
            Column("Node Selector"),
            AGE,
            workloads.CONTAINERS,
            workloads.IMAGES,
            workloads.SELECTOR,
        ),
        row=_row,
    ),
)
