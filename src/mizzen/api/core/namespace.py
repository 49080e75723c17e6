"""Namespace (core/v1): a scope for names; it is gone when its finalizers are."""

from collections.abc import Iterator

from mizzen.api import meta
from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Kind, Subresource, Table
from mizzen.api.rules import fields, workloads
from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, Object, invalid

NAME_LABEL = "kubernetes.io/metadata.name"
FINALIZER = "kubernetes"


def default(namespace: Object) -> None:
    namespace["spec"] = namespace.get("spec") or {}
    status = namespace["status"] = namespace.get("status") or {}
    if not status.get("phase"):
        status["phase"] = "Active"
    workloads.fill_conditions(status, "lastTransitionTime")
    _label(namespace)


def _label(namespace: Object) -> None:
    """Its own name is a label, whatever the client says."""
    metadata = namespace["metadata"]
    if own := metadata.get("name"):
        metadata["labels"] = {**(metadata.get("labels") or {}), NAME_LABEL: own}


def prepare(namespace: Object, old: Object | None) -> None:
    if old is not None:
        namespace["spec"] = {**namespace["spec"], "finalizers": (old.get("spec") or {}).get("finalizers") or []}
        namespace["status"] = old.get("status") or {}
        return
    finalizers = namespace["spec"].get("finalizers") or []
    if FINALIZER not in finalizers:
        finalizers = [*finalizers, FINALIZER]
    namespace["spec"]["finalizers"] = finalizers
    namespace["status"] = {"phase": "Active"}
    _label(namespace)


def validate(namespace: Object, _old: Object | None) -> Iterator[FieldError]:
    for finalizer in (namespace.get("spec") or {}).get("finalizers") or ():
        yield from _finalizer_errors("spec.finalizers", finalizer)


def _finalizer_errors(path: str, finalizer: str) -> Iterator[FieldError]:
    yield from fields.matches(path, finalizer, names.qualified_name)
    yield from meta.finalizer_domain(path, finalizer)


def validate_status(namespace: Object, _old: Object | None) -> Iterator[FieldError]:
    phase = (namespace.get("status") or {}).get("phase") or ""
    if not namespace["metadata"].get("deletionTimestamp"):
        if phase != "Active":
            yield invalid("status.Phase", phase, "may only be 'Active' if `deletionTimestamp` is empty")
    elif phase != "Terminating":
        yield invalid("status.Phase", phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")


def _prepare_finalize(namespace: Object, old: Object | None) -> None:
    if old is not None:
        namespace["status"] = old.get("status") or {}


def _validate_finalize(namespace: Object, _old: Object | None) -> Iterator[FieldError]:
    for i, finalizer in enumerate((namespace.get("spec") or {}).get("finalizers") or ()):
        yield from _finalizer_errors(f"spec.finalizers[{i}]", finalizer)


def _row(namespace: Object, now: float) -> list[object]:
    return [name(namespace), (namespace.get("status") or {}).get("phase") or "", age(namespace, now)]


NAMESPACE = Kind(
    group="",
    version="v1",
    kind="Namespace",
    plural="namespaces",
    namespaced=False,
    singular="namespace",
    short_names=("ns",),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
    check_name=names.dns1123_label,
    default=default,
    prepare=prepare,
    validate=validate,
    has_status=True,
    validate_status=validate_status,
    returns_deleted=True,
    selectable={"status.phase": lambda namespace: (namespace.get("status") or {}).get("phase") or ""},
    table=Table(columns=(NAME, Column("Status"), AGE), row=_row),
    subresources=(
        Subresource(
            "finalize", verbs=("update",), kind="Namespace", prepare=_prepare_finalize, validate=_validate_finalize
        ),
    ),
)
