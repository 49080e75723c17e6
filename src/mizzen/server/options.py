"""Options of requests, from the query or a DeleteOptions body, checked as the original does.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/common-parameters/common-parameters/
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mizzen.machinery import times
from mizzen.machinery.errors import ApiError, Cause, Errors, FieldError, Object, forbidden, invalid, not_supported
from mizzen.wire.message import Request

_INTEGER: Final = re.compile(r"[+-]?[0-9]+\Z")
_MAX_INT64: Final = (1 << 63) - 1
_MANAGER_LIMIT: Final = 128
_PROPAGATION: Final = ("Foreground", "Background", "Orphan")
_FALSE: Final = frozenset({"", "0", "false"})


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Options of list, watch and deletecollection; `revision` is None when not given."""

    labels: str = ""
    fields: str = ""
    revision: int | None = None
    match: str = ""
    limit: int = 0
    token: str = ""
    watch: bool = False
    bookmarks: bool = False
    timeout: int | None = None
    initial: bool | None = None


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """Options of create, update and patch."""

    dry_run: bool = False
    manager: str = ""
    validation: str = "Warn"
    force: bool | None = None


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """Options of delete; None where the client leaves the choice to the server."""

    dry_run: bool = False
    grace: int | None = None
    propagation: str | None = None
    uid: str | None = None
    revision: str | None = None

    def as_object(self) -> Object:
        """The options as admission plugins see them."""
        options: Object = {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"}
        if self.grace is not None:
            options["gracePeriodSeconds"] = self.grace
        if self.propagation is not None:
            options["propagationPolicy"] = self.propagation
        if self.dry_run:
            options["dryRun"] = ["All"]
        return options


def integer(text: str) -> int:
    """A 64-bit integer parameter. Raises ApiError 400."""
    if not _INTEGER.match(text):
        raise Errors.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    value = int(text)
    if not -_MAX_INT64 - 1 <= value <= _MAX_INT64:
        raise Errors.bad_request(f'strconv.ParseInt: parsing "{text}": value out of range')
    return value


def revision(text: str) -> int | None:
    """A resourceVersion; None when empty. Raises ApiError 400."""
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        why = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        raise Errors.bad_request(why)
    return int(text)


def list_options(request: Request) -> ListOptions:
    """Options of a list or watch. Raises ApiError 400 for what cannot be read, 422 for what does not fit together."""
    if not request.query:
        return _NO_OPTIONS
    given: dict[str, str] = {}
    for key, value in request.query:
        given.setdefault(key, value)
    raw_revision = given.get("resourceVersion", "")
    initial = given.get("sendInitialEvents")
    options = ListOptions(
        labels=given.get("labelSelector", ""),
        fields=given.get("fieldSelector", ""),
        match=given.get("resourceVersionMatch", ""),
        limit=integer(given["limit"]) if given.get("limit") else 0,
        token=given.get("continue", ""),
        watch="watch" in given and given["watch"].lower() not in _FALSE,
        bookmarks=given.get("allowWatchBookmarks", "").lower() not in _FALSE,
        timeout=integer(given["timeoutSeconds"]) if given.get("timeoutSeconds") else None,
        initial=None if initial is None else initial.lower() not in _FALSE,
    )
    errors = list(_list_errors(options, raw_revision))
    if errors:
        raise Errors.invalid("meta.k8s.io", "ListOptions", "", errors)
    return ListOptions(
        options.labels,
        options.fields,
        revision(raw_revision),
        options.match,
        options.limit,
        options.token,
        options.watch,
        options.bookmarks,
        options.timeout,
        options.initial,
    )


_NO_OPTIONS: Final = ListOptions()


def _list_errors(options: ListOptions, raw_revision: str) -> Sequence[FieldError]:
    if options.watch or options.initial is not None:
        return _watch_errors(options)
    match = options.match
    if not match:
        return ()
    path = "resourceVersionMatch"
    errors = []
    if not raw_revision:
        errors.append(forbidden(path, f"{path} is forbidden unless resourceVersion is provided"))
    if options.token:
        errors.append(forbidden(path, f"{path} is forbidden when continue is provided"))
    if match not in ("Exact", "NotOlderThan"):
        errors.append(not_supported(path, match, ("Exact", "NotOlderThan", "")))
    elif match == "Exact" and raw_revision == "0":
        errors.append(forbidden(path, f'{path} "exact" is forbidden for resourceVersion "0"'))
    return errors


def _watch_errors(options: ListOptions) -> Sequence[FieldError]:
    path = "resourceVersionMatch"
    errors = []
    if options.initial is not None:
        if not options.watch:
            return (forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"),)
        if options.match != "NotOlderThan":
            errors.append(forbidden(path, f"sendInitialEvents requires setting {path} to NotOlderThan"))
    elif options.match:
        errors.append(forbidden(path, f"{path} is forbidden for watch unless sendInitialEvents is provided"))
    if options.match and options.match != "NotOlderThan":
        errors.append(not_supported(path, options.match, ("NotOlderThan",)))
    if options.token:
        errors.append(forbidden("continue", "continue is forbidden for watch"))
    return errors


def write_options(request: Request, what: str) -> WriteOptions:
    """Options of a create, update or patch; `what` is CreateOptions and so on. Raises ApiError 422."""
    if not request.query:
        return DEFAULTS
    dry_run = [value for key, value in request.query if key == "dryRun"]
    manager = request.parameter("fieldManager")
    validation = request.parameter("fieldValidation")
    forced = request.parameter("force")
    errors = _dry_run_errors(dry_run)
    errors += _manager_errors(manager)
    if validation not in ("", "Ignore", "Strict", "Warn"):
        errors.append(not_supported("fieldValidation", validation, ("", "Ignore", "Strict", "Warn")))
    if errors:
        raise Errors.invalid("meta.k8s.io", what, "", errors)
    force = None if not forced else forced.lower() not in _FALSE
    return WriteOptions(bool(dry_run), manager, validation or "Warn", force)


DEFAULTS: Final = WriteOptions()


def check_patch_options(options: WriteOptions, *, applying: bool) -> None:
    """Force belongs to apply alone, which needs a manager. Raises ApiError 422."""
    errors = []
    if applying and not options.manager:
        detail = "is required for apply patch"
        errors.append(FieldError(Cause.REQUIRED, "fieldManager", detail=detail))
    if not applying and options.force is not None:
        errors.append(forbidden("force", "may not be specified for non-apply patch"))
    if errors:
        raise Errors.invalid("meta.k8s.io", "PatchOptions", "", errors)


def _dry_run_errors(values: Sequence[str]) -> list[FieldError]:
    if all(value == "All" for value in values):
        return []
    shown = ", ".join(f'"{value}"' for value in values)
    detail = f'Unsupported value: []string{{{shown}}}: supported values: "All"'
    return [_GoValue(Cause.NOT_SUPPORTED, "dryRun", detail=detail)]


class _GoValue(FieldError):
    """An error whose message shows a value as the original's language prints it."""

    __slots__ = ()

    @property
    def message(self) -> str:
        return self.detail


def _manager_errors(manager: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if len(manager) > _MANAGER_LIMIT:
        detail = f"Too long: must have at most {_MANAGER_LIMIT} bytes"
        errors.append(_GoValue(Cause.TOO_LONG, "fieldManager", detail=detail))
    at = 0
    for mark in manager:
        if not mark.isprintable():
            detail = f"invalid character U+{ord(mark):04X} (at position {at})"
            errors.append(FieldError(Cause.INVALID, "fieldManager", manager, detail))
        at += len(mark.encode("utf-8", "surrogatepass"))
    return errors


def delete_options(request: Request, body: Mapping[str, Any] | None) -> DeleteOptions:
    """Options of a delete, from its body if it has one, else from the query. Raises ApiError 400, 422."""
    given: Mapping[str, Any] = body if body is not None else _deletion_query(request)
    grace = given.get("gracePeriodSeconds")
    if grace is not None and (not isinstance(grace, int) or isinstance(grace, bool)):
        raise Errors.bad_request(
            "json: cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds of type int64"
        )
    dry_run = given.get("dryRun") or []
    propagation = given.get("propagationPolicy")
    orphan = given.get("orphanDependents")
    errors = _dry_run_errors(dry_run)
    if propagation is not None and propagation not in _PROPAGATION:
        errors.append(not_supported("propagationPolicy", propagation, (*_PROPAGATION, "nil")))
    if propagation is not None and orphan is not None:
        errors.append(
            FieldError(
                Cause.INVALID,
                "propagationPolicy",
                propagation,
                "orphanDependents and deletionPropagation cannot be both set",
            )
        )
    if errors:
        raise Errors.invalid("meta.k8s.io", "DeleteOptions", "", errors)
    if orphan is not None:
        propagation = "Orphan" if orphan else "Background"
    conditions = given.get("preconditions") or {}
    return DeleteOptions(
        dry_run=bool(dry_run),
        grace=grace if grace is None or grace >= 0 else 1,
        propagation=propagation,
        uid=conditions.get("uid"),
        revision=conditions.get("resourceVersion"),
    )


def _deletion_query(request: Request) -> Mapping[str, Any]:
    given: dict[str, Any] = {}
    for key, value in request.query:
        if key == "gracePeriodSeconds" and value:
            given[key] = integer(value)
        elif key == "dryRun":
            given.setdefault(key, []).append(value)
        elif key == "orphanDependents":
            given[key] = value.lower() not in _FALSE
        elif key == "propagationPolicy":
            given[key] = value
    return given


def check_log_options(request: Request, pod: str) -> None:
    """What a reader of logs may ask for. Raises ApiError 400, 422."""
    numbers = {}
    for name in ("tailLines", "limitBytes", "sinceSeconds"):
        if text := request.parameter(name):
            numbers[name] = integer(text)
    if since := request.parameter("sinceTime"):
        try:
            times.parse(since)
        except ValueError as error:
            raise Errors.bad_request(str(error)) from None
    errors = []
    if numbers.get("tailLines", 0) < 0:
        errors.append(invalid("tailLines", numbers["tailLines"], "must be greater than or equal to 0"))
    if numbers.get("limitBytes", 1) < 1:
        errors.append(invalid("limitBytes", numbers["limitBytes"], "must be greater than 0"))
    if "sinceSeconds" in numbers and request.parameter("sinceTime"):
        errors.append(forbidden("[]", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    elif numbers.get("sinceSeconds", 1) < 1:
        errors.append(invalid("sinceSeconds", numbers["sinceSeconds"], "must be greater than 0"))
    if errors:
        raise Errors.invalid("", "PodLogOptions", pod, errors)


def too_large_revision(asked: int, current: int) -> ApiError:
    """The answer to a read from a revision that has not come yet."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    text = f"Too large resource version: {asked}, current: {current}"
    return ApiError(504, "Timeout", f"Timeout: {text}", {"causes": [cause]}, retry_after=1)
