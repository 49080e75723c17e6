"""ReplicaSet (apps/v1): so many pods of one template."""

from collections.abc import Iterator

from mizzen.api.columns import age, name
from mizzen.api.kind import Kind, Scale, Table
from mizzen.api.podspec import warnings
from mizzen.api.podspec.defaults import default_template
from mizzen.api.rules import workloads
from mizzen.api.rules.equality import same
from mizzen.api.rules.fields import IMMUTABLE
from mizzen.machinery import labels
from mizzen.machinery.errors import FieldError, Object, invalid


def default(replica_set: Object) -> None:
    spec = replica_set["spec"] = replica_set.get("spec") or {}
    spec["template"] = default_template(spec.get("template"))
    workloads.fill(spec, {"replicas": 1})
    status = replica_set["status"] = replica_set.get("status") or {}
    workloads.fill_conditions(status, "lastTransitionTime")
    status.setdefault("replicas", 0)


def prepare(replica_set: Object, old: Object | None) -> None:
    workloads.keep_status(replica_set, old, {"replicas": 0})


def validate(replica_set: Object, old: Object | None) -> Iterator[FieldError]:
    """On update the spec is looked at twice, as clients know it from the causes."""
    spec = replica_set["spec"]
    errors = list(_spec_errors(spec))
    yield from errors
    if old is not None:
        yield from errors
        if not same(spec.get("selector"), old["spec"].get("selector")):
            yield invalid("spec.selector", spec.get("selector"), IMMUTABLE)


def _spec_errors(spec: Object) -> Iterator[FieldError]:
    selector = spec.get("selector")
    yield from workloads.not_negative("spec", spec, "replicas", "minReadySeconds")
    yield from workloads.selector_errors("spec.selector", selector, "deployment")
    if workloads.is_readable(selector):
        yield from workloads.lasting_template_errors("spec.template", selector, spec["template"], "ReplicaSet")
    else:
        yield invalid("spec.selector", selector, "invalid label selector")


def validate_status(replica_set: Object, _old: Object | None) -> Iterator[FieldError]:
    return workloads.replica_status_errors(replica_set.get("status") or {})


def _row(replica_set: Object, now: float) -> list[object]:
    spec, status = replica_set["spec"], replica_set.get("status") or {}
    return [
        name(replica_set),
        spec.get("replicas") or 0,
        status.get("replicas") or 0,
        status.get("readyReplicas") or 0,
        age(replica_set, now),
        *workloads.container_cells(spec.get("template")),
        labels.format_object(spec.get("selector")),
    ]


REPLICA_SET = Kind(
    group="apps",
    version="v1",
    kind="ReplicaSet",
    plural="replicasets",
    namespaced=True,
    singular="replicaset",
    short_names=("rs",),
    categories=("all",),
    default=default,
    prepare=prepare,
    validate=validate,
    warn=warnings.of_named_workload("Pod names and hostnames"),
    has_status=True,
    validate_status=validate_status,
    has_generation=True,
    scale=Scale(),
    table=Table(columns=workloads.REPLICAS, row=_row),
)
