"""StorageClass (storage.k8s.io/v1): how volumes of a kind are made."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.rules import fields, parameters
from mizzen.api.rules.node_labels import DEPRECATED
from mizzen.machinery.errors import FieldError, Object, duplicate, forbidden, not_supported, required

DEFAULT_CLASS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
BINDING_MODES = ("Immediate", "WaitForFirstConsumer")


def default(class_: Object) -> None:
    if class_.get("reclaimPolicy") is None:
        class_["reclaimPolicy"] = "Delete"
    if class_.get("volumeBindingMode") is None:
        class_["volumeBindingMode"] = "Immediate"


def validate(class_: Object, old: Object | None) -> Iterator[FieldError]:
    yield from driver_errors("provisioner", class_.get("provisioner") or "")
    yield from parameters.errors("parameters", class_.get("parameters") or {})
    policy = class_.get("reclaimPolicy")
    if policy and policy not in {"Delete", "Retain"}:
        yield not_supported("reclaimPolicy", policy, ("Delete", "Retain"))
    yield from fields.one_of("volumeBindingMode", class_.get("volumeBindingMode"), BINDING_MODES)
    yield from _topology_errors(class_.get("allowedTopologies") or [])
    if old is not None:
        yield from _update_errors(class_, old)


def driver_errors(path: str, driver: str) -> Iterator[FieldError]:
    """The driver of a class is a qualified name, however written."""
    if not driver:
        yield required(path)
        return
    for error in fields.qualified_name(path, driver.lower()):
        yield FieldError(error.cause, error.path, driver, error.detail)


def _update_errors(class_: Object, old: Object) -> Iterator[FieldError]:
    for field in ("parameters", "provisioner", "reclaimPolicy"):
        if (class_.get(field) or None) != (old.get(field) or None):
            yield forbidden(field, f"updates to {field} are forbidden.")
    yield from fields.unchanged("volumeBindingMode", class_.get("volumeBindingMode"), old.get("volumeBindingMode"))


def _topology_errors(terms: list[Object]) -> Iterator[FieldError]:
    """No term says the same as one before it; one that says nothing is a duplicate already."""
    seen: list[dict[str, set[str]]] = [{} for _ in terms]
    for i, term in enumerate(terms):
        wanted = {one.get("key") or "": set(one.get("values") or ()) for one in term.get("matchLabelExpressions") or ()}
        for _ in range(seen.count(wanted)):
            yield duplicate(f"allowedTopologies[{i}].matchLabelExpressions", "")
        seen.append(wanted)
        keys: set[str] = set()
        for j, requirement in enumerate(term.get("matchLabelExpressions") or ()):
            path = f"allowedTopologies[{i}].matchLabelExpressions[{j}]"
            key, values = requirement.get("key") or "", requirement.get("values") or []
            if not values:
                yield required(f"{path}.values")
            for n, value in enumerate(values):
                if value in values[:n]:
                    yield duplicate(f"{path}.values[{n}]", value)
            yield from fields.qualified_name(f"{path}.key", key)
            if key in keys:
                yield duplicate(f"{path}.key", key)
            keys.add(key)


def warn(class_: Object, _old: Object | None) -> Iterator[str]:
    for i, term in enumerate(class_.get("allowedTopologies") or ()):
        for j, expression in enumerate(term.get("matchLabelExpressions") or ()):
            key = expression.get("key") or ""
            if key in DEPRECATED:
                yield f"allowedTopologies[{i}].matchLabelExpressions[{j}].key: {key} is {DEPRECATED[key]}"


def is_default(class_: Object) -> bool:
    """Whether claims without a class get this one."""
    annotations = class_["metadata"].get("annotations") or {}
    return any(annotations.get(key) == "true" for key in DEFAULT_CLASS)


def _row(class_: Object, now: float) -> list[object]:
    return [
        f"{name(class_)} (default)" if is_default(class_) else name(class_),
        class_.get("provisioner", ""),
        class_.get("reclaimPolicy") or "Delete",
        class_.get("volumeBindingMode") or "Immediate",
        bool(class_.get("allowVolumeExpansion")),
        age(class_, now),
    ]


STORAGE_CLASS = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="StorageClass",
    plural="storageclasses",
    namespaced=False,
    singular="storageclass",
    short_names=("sc",),
    default=default,
    validate=validate,
    warn=warn,
    returns_deleted=True,
    table=Table(
        columns=(
            NAME,
            Column("Provisioner"),
            Column("ReclaimPolicy"),
            Column("VolumeBindingMode"),
            Column("AllowVolumeExpansion"),
            AGE,
        ),
        row=_row,
    ),
)
