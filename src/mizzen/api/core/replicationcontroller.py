"""ReplicationController (core/v1): so many pods of one template, chosen by a plain map of labels."""

from collections.abc import Iterator

from mizzen.api.columns import age, name
from mizzen.api.kind import Kind, Scale, Table
from mizzen.api.podspec import warnings
from mizzen.api.podspec.defaults import default_template
from mizzen.api.podspec.spec import template_errors
from mizzen.api.rules import workloads
from mizzen.machinery.errors import FieldError, Object, required


def default(controller: Object) -> None:
    """What is open comes from the template's labels."""
    spec = controller["spec"] = controller.get("spec") or {}
    workloads.fill(spec, {"replicas": 1})
    status = controller["status"] = controller.get("status") or {}
    workloads.fill_conditions(status, "lastTransitionTime")
    status.setdefault("replicas", 0)
    if spec.get("template") is None:
        return
    spec["template"] = default_template(spec["template"])
    labels = spec["template"]["metadata"].get("labels")
    if labels and not spec.get("selector"):
        spec["selector"] = dict(labels)
    if labels and not controller["metadata"].get("labels"):
        controller["metadata"]["labels"] = dict(labels)


def prepare(controller: Object, old: Object | None) -> None:
    workloads.keep_status(controller, old, {"replicas": 0})


def validate(controller: Object, old: Object | None) -> Iterator[FieldError]:
    """On update the spec is looked at twice, as clients know it from the causes."""
    errors = list(_spec_errors(controller["spec"]))
    yield from errors
    if old is not None:
        yield from errors


def _spec_errors(spec: Object) -> Iterator[FieldError]:
    selector, template = spec.get("selector"), spec.get("template")
    yield from workloads.not_negative("spec", spec, "minReadySeconds")
    if not selector:
        yield required("spec.selector")
    yield from workloads.not_negative("spec", spec, "replicas")
    if template is None:
        yield required("spec.template")
        return
    if selector:
        yield from workloads.match_errors("spec.template", {"matchLabels": selector}, template)
    yield from template_errors("spec.template", template)
    yield from workloads.lasting_errors("spec.template", template, "ReplicationController")


def validate_status(controller: Object, _old: Object | None) -> Iterator[FieldError]:
    return workloads.replica_status_errors(controller.get("status") or {})


def _row(controller: Object, now: float) -> list[object]:
    spec, status = controller["spec"], controller.get("status") or {}
    selector = spec.get("selector") or {}
    return [
        name(controller),
        spec.get("replicas") or 0,
        status.get("replicas") or 0,
        status.get("readyReplicas") or 0,
        age(controller, now),
        *workloads.container_cells(spec.get("template")),
        ",".join(f"{key}={selector[key]}" for key in sorted(selector)) or "<none>",
    ]


REPLICATION_CONTROLLER = Kind(
    group="",
    version="v1",
    kind="ReplicationController",
    plural="replicationcontrollers",
    namespaced=True,
    singular="replicationcontroller",
    short_names=("rc",),
    categories=("all",),
    default=default,
    prepare=prepare,
    validate=validate,
    warn=warnings.of_named_workload("Pod names and hostnames"),
    has_status=True,
    validate_status=validate_status,
    has_generation=True,
    default_propagation="Orphan",
    scale=Scale(),
    selectable={"status.replicas": lambda controller: str((controller.get("status") or {}).get("replicas") or 0)},
    table=Table(columns=workloads.REPLICAS, row=_row),
)
