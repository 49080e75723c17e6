"""What kinds that make pods of a template have in common: selectors, templates, rollout numbers, status, columns."""

from collections.abc import Iterator
from typing import Any

from mizzen.api.columns import AGE, NAME
from mizzen.api.kind import Column
from mizzen.api.podspec.spec import template_errors
from mizzen.machinery import intstr, labels, names
from mizzen.machinery.errors import FieldError, Object, forbidden, invalid, not_supported, required

_NO_MATCH = "`selector` does not match template `labels`"

CONTAINERS = Column("Containers", priority=1)
IMAGES = Column("Images", priority=1)
SELECTOR = Column("Selector", priority=1)
REPLICAS = (
    NAME,
    Column("Desired", type="integer"),
    Column("Current", type="integer"),
    Column("Ready", type="integer"),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
)
"""The columns of ReplicaSets and ReplicationControllers."""


def keep_status(object_: Object, old: Object | None, empty: Object) -> None:
    """A new object has the empty status, an update the stored one."""
    object_["status"] = empty if old is None else old.get("status") or {}


def fill(target: Object, defaults: Object) -> None:
    """Set what is absent or null."""
    for field, value in defaults.items():
        if target.get(field) is None:
            target[field] = value


def fill_conditions(status: Object, *times: str) -> None:
    """Conditions always tell when they changed, if only that nobody knows."""
    for condition in status.get("conditions") or ():
        for time in times:
            condition.setdefault(time, None)


def not_negative(path: str, spec: Object, *fields: str) -> Iterator[FieldError]:
    for field in fields:
        if (value := spec.get(field)) is not None and value < 0:
            yield invalid(f"{path}.{field}" if path else field, value, "must be greater than or equal to 0")


def collision_errors(status: Object, old: Object | None) -> Iterator[FieldError]:
    """The count of names that were taken never shrinks, so that no name is tried twice."""
    before, count = ((old or {}).get("status") or {}).get("collisionCount"), status.get("collisionCount")
    if before is not None and (count is None or count < before):
        yield invalid("status.collisionCount", count or 0, "cannot be decremented")


def selector_errors(path: str, selector: Object | None, kind: str) -> Iterator[FieldError]:
    """A selector is there, selects something, and is well-formed."""
    if selector is None:
        yield required(path)
        return
    yield from labels.validate_selector(selector, path)
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid(path, selector, f"empty selector is invalid for {kind}")


def is_readable(selector: Object | None) -> bool:
    """Whether the selector can be evaluated at all: nothing is wrong with any of its keys, operators and values."""
    return not any(True for _ in labels.validate_selector(selector, ""))


def match_errors(path: str, selector: Object | None, template: Object) -> Iterator[FieldError]:
    """The template's pods must be selected; an empty selector is reported elsewhere."""
    own = (template.get("metadata") or {}).get("labels") or {}
    if not labels.from_object(selector).matches(own):
        yield invalid(f"{path}.metadata.labels", own, _NO_MATCH)


def lasting_errors(path: str, template: Object, kind: str) -> Iterator[FieldError]:
    """Pods that are to be there always restart always, and without a deadline."""
    spec = template.get("spec") or {}
    if (policy := spec.get("restartPolicy")) != "Always":
        yield not_supported(f"{path}.spec.restartPolicy", policy, ("Always",))
    if spec.get("activeDeadlineSeconds") is not None:
        yield forbidden(f"{path}.spec.activeDeadlineSeconds", f"activeDeadlineSeconds in {kind} is not Supported")


def lasting_template_errors(path: str, selector: Object | None, template: Object, kind: str) -> Iterator[FieldError]:
    """Everything about the template of a ReplicaSet and its like."""
    yield from match_errors(path, selector, template)
    yield from template_errors(path, template)
    yield from lasting_errors(path, template, kind)


def number_or_percent_errors(path: str, value: Any) -> Iterator[FieldError]:
    """A count of pods or a share of them."""
    if isinstance(value, str):
        for problem in names.percent(value):
            yield invalid(path, value, problem)
    elif value is not None and value < 0:
        yield invalid(path, value, "must be greater than or equal to 0")


def at_most_all_errors(path: str, value: Any) -> Iterator[FieldError]:
    """A share is at most the whole."""
    if isinstance(value, str) and (intstr.percentage(value) or 0) > 100:
        yield invalid(path, value, "must not be greater than 100%")


def amount(value: Any) -> int:
    """The number, of a percentage its hundredths; 0 for what is neither."""
    if isinstance(value, str):
        return intstr.percentage(value) or 0
    return int(value or 0)


def container_cells(template: Object | None) -> list[object]:
    """The cells of the Containers and Images columns."""
    containers = ((template or {}).get("spec") or {}).get("containers") or ()
    return [
        ",".join(container.get("name") or "" for container in containers),
        ",".join(container.get("image") or "" for container in containers),
    ]


def replica_status_errors(status: Object) -> Iterator[FieldError]:
    """Counts of a ReplicaSet or a ReplicationController: none negative, and none above the whole."""
    counts = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    yield from not_negative("status", status, "replicas", *counts, "observedGeneration")
    for field in counts:
        if (count := status.get(field) or 0) > (status.get("replicas") or 0):
            yield invalid(f"status.{field}", count, "cannot be greater than status.replicas")
    if (available := status.get("availableReplicas") or 0) > (status.get("readyReplicas") or 0):
        yield invalid("status.availableReplicas", available, "cannot be greater than readyReplicas")
