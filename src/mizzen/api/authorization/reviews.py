"""What reviews of access must say."""

from collections.abc import Iterator

from mizzen.machinery.errors import FieldError, Object, invalid

_OPERATORS = ("DoesNotExist", "Exists", "In", "NotIn")


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
        yield invalid(
            f"{path}.requirements",
            requirements or [],
            "when selector is specified, requirements or rawSelector is required",
        )


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
