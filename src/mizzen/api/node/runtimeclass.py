"""RuntimeClass (node.k8s.io/v1): a way to run containers, what it costs, and where it can be had."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.podspec.scheduling import toleration_errors
from mizzen.api.rules import fields, resources
from mizzen.api.rules.node_labels import DEPRECATED
from mizzen.machinery import labels, names
from mizzen.machinery.errors import FieldError, Object, invalid


def validate(runtime: Object, old: Object | None) -> Iterator[FieldError]:
    handler = runtime.get("handler") or ""
    yield from fields.matches("handler", handler, names.dns1123_label)
    if fixed := (runtime.get("overhead") or {}).get("podFixed"):
        yield from resources.overhead_errors("overhead", fixed)
    scheduling = runtime.get("scheduling") or {}
    if selector := scheduling.get("nodeSelector"):
        yield from labels.validate_labels(selector, "scheduling.nodeSelector")
    if tolerations := scheduling.get("tolerations"):
        yield from toleration_errors("scheduling.tolerations", tolerations)
    if old is not None and handler != old.get("handler"):
        yield invalid("handler", handler, fields.IMMUTABLE)


def warn(runtime: Object, _old: Object | None) -> Iterator[str]:
    for key in (runtime.get("scheduling") or {}).get("nodeSelector") or ():
        if key in DEPRECATED:
            yield f"scheduling.nodeSelector: {DEPRECATED[key]}"


def _row(runtime: Object, now: float) -> list[object]:
    return [name(runtime), runtime.get("handler") or "", age(runtime, now)]


RUNTIME_CLASS = Kind(
    group="node.k8s.io",
    version="v1",
    kind="RuntimeClass",
    plural="runtimeclasses",
    namespaced=False,
    singular="runtimeclass",
    validate=validate,
    warn=warn,
    unconditional_update=False,
    table=Table(columns=(NAME, Column("Handler"), AGE), row=_row),
)
