"""ResourceClaimTemplate (resource.k8s.io/v1): the claims that pods get one each of."""

from collections.abc import Iterator

from mizzen.api import meta
from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Kind, Table
from mizzen.api.resource import devices
from mizzen.api.rules import fields
from mizzen.machinery.errors import FieldError, Object


def default(template: Object) -> None:
    devices.default_claim(template.setdefault("spec", {}).setdefault("spec", {}))


def validate(template: Object, old: Object | None) -> Iterator[FieldError]:
    spec = template.get("spec") or {}
    if old is not None:
        yield from fields.unchanged("spec", spec, old.get("spec"))
        return
    yield from devices.claim_errors("spec.spec", spec.get("spec") or {})
    metadata = spec.get("metadata") or {}
    yield from fields.labels("spec.metadata.labels", metadata.get("labels"))
    yield from meta.annotations("spec.metadata.annotations", metadata.get("annotations") or {})


RESOURCE_CLAIM_TEMPLATE = Kind(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceClaimTemplate",
    plural="resourceclaimtemplates",
    namespaced=True,
    singular="resourceclaimtemplate",
    default=default,
    validate=validate,
    table=Table(columns=(NAME, AGE), row=lambda template, now: [name(template), age(template, now)]),
)
