"""PodTemplate (core/v1): a template of pods on its own."""

from collections.abc import Iterator

from mizzen.api.columns import NAME, NONE, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.podspec import warnings
from mizzen.api.podspec.defaults import default_template
from mizzen.api.podspec.spec import template_errors
from mizzen.api.rules import workloads
from mizzen.machinery.errors import FieldError, Object


def default(template: Object) -> None:
    template["template"] = default_template(template.get("template"))


def validate(template: Object, _old: Object | None) -> Iterator[FieldError]:
    return template_errors("template", template["template"])


def warn(template: Object, old: Object | None) -> Iterator[str]:
    if not warnings.is_same_generation(template, old):
        yield from warnings.of_template(template.get("template"), "template")


def _row(template: Object, _now: float) -> list[object]:
    pods = template.get("template") or {}
    labels = (pods.get("metadata") or {}).get("labels") or {}
    shown = ",".join(f"{key}={labels[key]}" for key in sorted(labels)) or NONE
    return [name(template), *workloads.container_cells(pods), shown]


POD_TEMPLATE = Kind(
    group="",
    version="v1",
    kind="PodTemplate",
    plural="podtemplates",
    namespaced=True,
    singular="podtemplate",
    default=default,
    validate=validate,
    warn=warn,
    revalidates_metadata=0,
    has_generation=True,
    returns_deleted=True,
    table=Table(columns=(NAME, Column("Containers"), Column("Images"), Column("Pod Labels")), row=_row),
)
