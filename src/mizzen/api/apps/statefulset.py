"""StatefulSet (apps/v1): pods with names, an order, and storage of their own."""

from collections.abc import Iterator

from mizzen.api import meta
from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.core import persistentvolumeclaim
from mizzen.api.kind import Column, Kind, Scale, Table
from mizzen.api.podspec import annotations, warnings
from mizzen.api.podspec.defaults import default_template
from mizzen.api.rules import workloads
from mizzen.api.rules.equality import same
from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, Object, forbidden, invalid, not_supported, required

_RETENTION = ("Delete", "Retain")
_MUTABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
_FROZEN = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)


def default(stateful_set: Object) -> None:
    spec = stateful_set["spec"] = stateful_set.get("spec") or {}
    spec["template"] = default_template(spec.get("template"))
    spec["serviceName"] = spec.get("serviceName") or ""
    if not spec.get("podManagementPolicy"):
        spec["podManagementPolicy"] = "OrderedReady"
    workloads.fill(spec, {"replicas": 1, "revisionHistoryLimit": 10})
    strategy = spec["updateStrategy"] = spec.get("updateStrategy") or {}
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy["rollingUpdate"] = strategy.get("rollingUpdate") or {}
        workloads.fill(rolling, {"partition": 0, "maxUnavailable": 1})
    retention = spec["persistentVolumeClaimRetentionPolicy"] = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for field in ("whenDeleted", "whenScaled"):
        if not retention.get(field):
            retention[field] = "Retain"
    if spec.get("ordinals") is not None:
        spec["ordinals"].setdefault("start", 0)
    for claim in spec.get("volumeClaimTemplates") or ():
        _default_claim(claim)
    status = stateful_set["status"] = stateful_set.get("status") or {}
    workloads.fill_conditions(status, "lastTransitionTime")
    workloads.fill(status, {"replicas": 0, "availableReplicas": 0})


def _default_claim(claim: Object) -> None:
    claim["apiVersion"] = claim.get("apiVersion") or "v1"
    claim["kind"] = claim.get("kind") or "PersistentVolumeClaim"
    metadata = claim["metadata"] = claim.get("metadata") or {}
    metadata.setdefault("creationTimestamp", None)
    persistentvolumeclaim.default(claim)


def prepare(stateful_set: Object, old: Object | None) -> None:
    workloads.keep_status(stateful_set, old, {"replicas": 0, "availableReplicas": 0})


def validate(stateful_set: Object, old: Object | None) -> Iterator[FieldError]:
    """The template's pods are checked when they are made: their volumes come from the claims."""
    spec = stateful_set["spec"]
    if (policy := spec.get("podManagementPolicy")) not in {"OrderedReady", "Parallel"}:
        yield invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'")
    yield from _strategy_errors("spec.updateStrategy", spec["updateStrategy"])
    for field in ("whenDeleted", "whenScaled"):
        if (policy := spec["persistentVolumeClaimRetentionPolicy"].get(field)) not in _RETENTION:
            yield not_supported(f"spec.persistentVolumeClaimRetentionPolicy.{field}", policy, _RETENTION)
    yield from workloads.not_negative("spec", spec, "replicas", "minReadySeconds")
    yield from workloads.not_negative("spec.ordinals", spec.get("ordinals") or {}, "start")
    yield from _template_errors(spec)
    if old is not None:
        yield from _update_errors(spec, old["spec"])


def warn(stateful_set: Object, old: Object | None) -> Iterator[str]:
    yield from warnings.of_workload(stateful_set, old)
    if warnings.is_same_generation(stateful_set, old):
        return
    spec = stateful_set["spec"]
    for i, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
        yield from warnings.claim_warnings(f"spec.volumeClaimTemplates[{i}].spec", claim.get("spec") or {})
    if (spec.get("revisionHistoryLimit") or 0) < 0:
        detail = "a negative value retains all historical revisions; a value >= 0 is recommended"
        yield f"spec.revisionHistoryLimit: {detail}"


def _template_errors(spec: Object) -> Iterator[FieldError]:
    selector, template = spec.get("selector"), spec["template"]
    yield from workloads.selector_errors("spec.selector", selector, "statefulset")
    if workloads.is_readable(selector):
        yield from workloads.match_errors("spec.template", selector, template)
        metadata = template.get("metadata") or {}
        yield from meta.labels("spec.template.labels", metadata.get("labels"))
        given = metadata.get("annotations") or {}
        yield from meta.annotations("spec.template.annotations", given)
        yield from annotations.annotation_errors("spec.template.annotations", given, template.get("spec") or {})
    else:
        yield invalid("spec.selector", selector, "invalid label selector")
    yield from workloads.lasting_errors("spec.template", template, "StatefulSet")


def _strategy_errors(path: str, strategy: Object) -> Iterator[FieldError]:
    rolling = strategy.get("rollingUpdate")
    match strategy.get("type"):
        case "OnDelete":
            if rolling is not None:
                yield invalid(f"{path}.rollingUpdate", rolling, "only allowed for updateStrategy 'RollingUpdate'")
        case "RollingUpdate":
            if rolling is None:
                yield required(f"{path}.rollingUpdate")
                return
            at = f"{path}.rollingUpdate"
            yield from workloads.not_negative(at, rolling, "partition")
            if (unavailable := rolling.get("maxUnavailable")) is not None:
                yield from workloads.number_or_percent_errors(f"{at}.maxUnavailable", unavailable)
                if workloads.amount(unavailable) == 0:
                    yield invalid(f"{at}.maxUnavailable", unavailable, "cannot be 0")
                yield from workloads.at_most_all_errors(f"{at}.maxUnavailable", unavailable)
        case _:
            yield invalid(path, strategy, "must be 'RollingUpdate' or 'OnDelete'")


def _update_errors(spec: Object, old: Object) -> Iterator[FieldError]:
    frozen = (spec.keys() | old.keys()) - set(_MUTABLE)
    if not all(same(spec.get(field), old.get(field)) for field in frozen):
        yield forbidden("spec", _FROZEN)


def validate_status(stateful_set: Object, old: Object | None) -> Iterator[FieldError]:
    status = stateful_set.get("status") or {}
    counts = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
    yield from workloads.not_negative("status", status, "replicas", *counts, "observedGeneration", "collisionCount")
    for field in counts:
        if (count := status.get(field) or 0) > (status.get("replicas") or 0):
            yield invalid(f"status.{field}", count, "cannot be greater than status.replicas")
    if (available := status.get("availableReplicas") or 0) > (status.get("readyReplicas") or 0):
        yield invalid("status.availableReplicas", available, "cannot be greater than status.readyReplicas")
    yield from workloads.collision_errors(status, old)


def _row(stateful_set: Object, now: float) -> list[object]:
    spec, status = stateful_set["spec"], stateful_set.get("status") or {}
    return [
        name(stateful_set),
        f"{status.get('readyReplicas') or 0}/{spec.get('replicas') or 0}",
        age(stateful_set, now),
        *workloads.container_cells(spec.get("template")),
    ]


STATEFUL_SET = Kind(
    group="apps",
    version="v1",
    kind="StatefulSet",
    plural="statefulsets",
    namespaced=True,
    singular="statefulset",
    short_names=("sts",),
    categories=("all",),
    check_name=names.dns1123_label,
    default=default,
    prepare=prepare,
    validate=validate,
    warn=warn,
    revalidates_metadata=0,
    has_status=True,
    validate_status=validate_status,
    has_generation=True,
    scale=Scale(),
    table=Table(columns=(NAME, Column("Ready"), AGE, workloads.CONTAINERS, workloads.IMAGES), row=_row),
)
