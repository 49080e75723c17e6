"""Errors that a client sees: `ApiError` carries a Kubernetes Status, `FieldError` one cause with its path.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import orjson

Object = dict[str, Any]
"""An API object as JSON: a dict whose values are str, int, float, bool, None, list and dict."""


class Cause(StrEnum):
    """The machine-readable kind of one field's error, as it stands in `details.causes[].reason`."""

    REQUIRED = "FieldValueRequired"
    INVALID = "FieldValueInvalid"
    NOT_SUPPORTED = "FieldValueNotSupported"
    DUPLICATE = "FieldValueDuplicate"
    FORBIDDEN = "FieldValueForbidden"
    NOT_FOUND = "FieldValueNotFound"
    TOO_LONG = "FieldValueTooLong"
    TOO_MANY = "FieldValueTooMany"
    TYPE_INVALID = "FieldValueTypeInvalid"
    INTERNAL = "InternalError"


_PHRASES = {
    Cause.REQUIRED: "Required value",
    Cause.INVALID: "Invalid value",
    Cause.NOT_SUPPORTED: "Unsupported value",
    Cause.DUPLICATE: "Duplicate value",
    Cause.FORBIDDEN: "Forbidden",
    Cause.NOT_FOUND: "Not found",
    Cause.TOO_LONG: "Too long",
    Cause.TOO_MANY: "Too many",
    Cause.TYPE_INVALID: "Invalid value",
    Cause.INTERNAL: "Internal error",
}
OMITTED: Final = object()
"""The value of an error that does not show the value."""
_WITHOUT_VALUE = {Cause.REQUIRED, Cause.FORBIDDEN, Cause.TOO_LONG, Cause.TOO_MANY, Cause.INTERNAL}


def _shown(value: Any) -> str:
    """A value as an error message shows it: strings quoted, numbers bare, structures as JSON."""
    if value is None:
        return "null"
    return orjson.dumps(value, default=str).decode()


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with one field; `path` reads like `spec.containers[0].name`."""

    cause: Cause
    path: str
    value: Any = None
    detail: str = ""
    tolerated: bool = False
    """Wrong, but no more so than what is stored: a client is warned of it, not refused."""

    @property
    def message(self) -> str:
        """The cause's text without the path, as it stands in `details.causes[].message`."""
        phrase = _PHRASES[self.cause]
        shows = self.cause not in _WITHOUT_VALUE or (self.cause is Cause.TOO_MANY and self.value is not None)
        if shows and self.value is not OMITTED:
            phrase = f"{phrase}: {_shown(self.value)}"
        return f"{phrase}: {self.detail}" if self.detail else phrase

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def required(path: str, detail: str = "") -> FieldError:
    return FieldError(Cause.REQUIRED, path, detail=detail)


def invalid(path: str, value: Any, detail: str) -> FieldError:
    return FieldError(Cause.INVALID, path, value, detail)


def not_supported(path: str, value: Any, supported: Iterable[str]) -> FieldError:
    names = ", ".join(f'"{name}"' for name in supported)
    return FieldError(Cause.NOT_SUPPORTED, path, value, f"supported values: {names}" if names else "")


def duplicate(path: str, value: Any) -> FieldError:
    return FieldError(Cause.DUPLICATE, path, value)


def forbidden(path: str, detail: str) -> FieldError:
    return FieldError(Cause.FORBIDDEN, path, detail=detail)


def not_found(path: str, value: Any) -> FieldError:
    return FieldError(Cause.NOT_FOUND, path, value)


def too_long(path: str, limit: int) -> FieldError:
    return FieldError(Cause.TOO_LONG, path, detail=f"may not be more than {limit} bytes")


def too_many(path: str, limit: int) -> FieldError:
    return FieldError(Cause.TOO_MANY, path, detail=f"must have at most {limit} items")


_WITHOUT_DETAILS: Final = frozenset({400, 401, 406, 410, 413, 415})
"""Failures that tell nothing of an object but where there is something to tell; the others have `details`, if empty."""


@dataclass(eq=False)
class ApiError(Exception):
    """A failure that is answered with a Status of this code, reason, message and details."""

    code: int
    reason: str
    message: str
    details: Object = field(default_factory=dict)
    retry_after: int | None = None
    metadata: Object = field(default_factory=dict)
    """The Status's own metadata; an expired list token carries a new one there."""
    warnings: tuple[str, ...] = ()
    """What was said before the request failed; the client hears it in Warning headers."""

    def __str__(self) -> str:
        return self.message

    def status(self) -> Object:
        """The Status object that the client receives."""
        body: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": dict(self.metadata),
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        details = dict(self.details)
        if self.retry_after is not None:
            details["retryAfterSeconds"] = self.retry_after
        if details or self.code not in _WITHOUT_DETAILS:
            body["details"] = details
        body["code"] = self.code
        return body


def _details(group: str, resource_or_kind: str, name: str) -> Object:
    details: Object = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    if resource_or_kind:
        details["kind"] = resource_or_kind
    return details


def qualified(name: str, group: str) -> str:
    """`deployments.apps`, or `pods` for the core group."""
    return f"{name}.{group}" if group else name


class Errors:  # shape: one constructor for each documented failure
    """Constructors of the documented failures; `resource` is the plural name, `kind` the Kind."""

    @staticmethod
    def not_found(group: str, resource: str, name: str) -> ApiError:
        text = f'{qualified(resource, group)} "{name}" not found'
        return ApiError(404, "NotFound", text, _details(group, resource, name))

    @staticmethod
    def already_exists(group: str, resource: str, name: str) -> ApiError:
        text = f'{qualified(resource, group)} "{name}" already exists'
        return ApiError(409, "AlreadyExists", text, _details(group, resource, name))

    @staticmethod
    def conflict(group: str, resource: str, name: str, why: str) -> ApiError:
        text = f'Operation cannot be fulfilled on {qualified(resource, group)} "{name}": {why}'
        return ApiError(409, "Conflict", text, _details(group, resource, name))

    @staticmethod
    def invalid(group: str, kind: str, name: str, errors: Sequence[FieldError]) -> ApiError:
        texts = list(dict.fromkeys(map(str, errors)))
        shown = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        text = f'{qualified(kind, group)} "{name}" is invalid: {shown}'
        details = _details(group, kind, name)
        details["causes"] = [
            {"reason": str(error.cause), "message": error.message, "field": error.path} for error in errors
        ]
        return ApiError(422, "Invalid", text, details)

    @staticmethod
    def bad_request(message: str) -> ApiError:
        return ApiError(400, "BadRequest", message)

    @staticmethod
    def unauthorized(message: str = "Unauthorized") -> ApiError:
        return ApiError(401, "Unauthorized", message)

    @staticmethod
    def forbidden(group: str, resource: str, name: str, why: str) -> ApiError:
        text = f"{qualified(resource, group)} {orjson.dumps(name).decode()} is forbidden: {why}" if resource else why
        return ApiError(403, "Forbidden", text, _details(group, resource, name))

    @staticmethod
    def method_not_supported(group: str, resource: str, verb: str) -> ApiError:
        text = f"{verb} is not supported on resources of kind {orjson.dumps(qualified(resource, group)).decode()}"
        return ApiError(405, "MethodNotAllowed", text, _details(group, resource, ""))

    @staticmethod
    def expired(message: str) -> ApiError:
        return ApiError(410, "Expired", message)

    @staticmethod
    def too_many_requests(message: str, retry_after: int = 1) -> ApiError:
        return ApiError(429, "TooManyRequests", message, retry_after=retry_after)

    @staticmethod
    def internal(message: str) -> ApiError:
        return ApiError(500, "InternalError", f"Internal error occurred: {message}")

    @staticmethod
    def unavailable(message: str) -> ApiError:
        return ApiError(503, "ServiceUnavailable", message)
