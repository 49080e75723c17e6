"""What reviews of access must say."""

from collections.abc import Iterator

from mizzen.api.rules import fields
from mizzen.machinery import labels, names
from mizzen.machinery.errors import FieldError, Object, invalid, required


def default(review: Object) -> None:
    review.setdefault("spec", {})


def validate_self(review: Object, old: Object | None) -> Iterator[FieldError]:
    yield from _spec_errors(review)
    yield from _metadata_errors(review, "must be empty")


def _metadata_errors(review: Object, detail: str, *allowed: str) -> Iterator[FieldError]:
    """A review is never stored, so it has no name and no labels."""
    metadata = review.get("metadata") or {}
    if any(value for field, value in metadata.items() if field not in {"creationTimestamp", "managedFields", *allowed}):
        yield invalid("metadata", metadata, detail)


def _spec_errors(review: Object) -> Iterator[FieldError]:
    spec = review.get("spec") or {}
    resource, other = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and other is not None:
        detail = "cannot be specified in combination with resourceAttributes"
        yield invalid("spec.nonResourceAttributes", other, detail)
    if resource is None and other is None:
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        yield invalid("spec.resourceAttributes", "null", detail)
    for field in ("fieldSelector", "labelSelector"):
        selector = (resource or {}).get(field)
        if selector is not None:
            yield from _selector_errors(f"spec.resourceAttributes.{field}", selector)


def _selector_errors(path: str, selector: Object) -> Iterator[FieldError]:
    raw, requirements = selector.get("rawSelector"), selector.get("requirements")
    if raw and requirements:
        yield invalid(f"{path}.rawSelector", raw, "may not specified at the same time as requirements")
    if not raw and not requirements:
        yield required(f"{path}.requirements", f"when {path} is specified, requirements or rawSelector is required")
    for i, requirement in enumerate(requirements or ()):
        yield from _requirement_errors(
            f"{path}.requirements[{i}]", requirement, of_labels=path.endswith("labelSelector")
        )


def _requirement_errors(path: str, requirement: Object, *, of_labels: bool) -> Iterator[FieldError]:
    """Operators that nobody knows yet are let through: they narrow what is asked, and are left out of account."""
    key, values = requirement.get("key") or "", requirement.get("values") or []
    yield from labels.presence_errors(path, requirement.get("operator") or "", values)
    if of_labels:
        yield from fields.qualified_name(f"{path}.key", key)
        for i, value in enumerate(values):
            yield from fields.matches(f"{path}.values[{i}]", value, names.label_value)
    elif not key:
        yield required(f"{path}.key", "must be specified")


def validate_of_user(review: Object, old: Object | None) -> Iterator[FieldError]:
    yield from _user_errors(review)
    yield from _metadata_errors(review, "must be empty")


def _user_errors(review: Object) -> Iterator[FieldError]:
    yield from _spec_errors(review)
    spec = review.get("spec") or {}
    if not spec.get("user") and not spec.get("groups"):
        yield invalid("spec.user", "", "at least one of user or group must be specified")


def validate_local(review: Object, old: Object | None) -> Iterator[FieldError]:
    yield from _user_errors(review)
    yield from _metadata_errors(review, "must be empty except for namespace", "namespace")
    spec = review.get("spec") or {}
    resource = spec.get("resourceAttributes")
    if resource is not None and (resource.get("namespace") or "") != (review["metadata"].get("namespace") or ""):
        detail = "must match metadata.namespace"
        yield invalid("spec.resourceAttributes.namespace", resource.get("namespace") or "", detail)
    if spec.get("nonResourceAttributes") is not None:
        detail = "disallowed on this kind of request"
        yield invalid("spec.nonResourceAttributes", spec["nonResourceAttributes"], detail)
