"""IngressClass (networking.k8s.io/v1): which controller implements an Ingress."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, NONE, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.networking import references
from mizzen.api.rules import fields
from mizzen.machinery.errors import FieldError, Object, forbidden, not_supported, required, too_long

CONTROLLER_LIMIT = 250
SCOPES = ("Cluster", "Namespace")


def default(class_: Object) -> None:
    parameters = class_.setdefault("spec", {}).get("parameters")
    if parameters is not None and parameters.get("scope") is None:
        parameters["scope"] = "Cluster"


def validate(class_: Object, old: Object | None) -> Iterator[FieldError]:
    spec = class_.get("spec") or {}
    controller = spec.get("controller") or ""
    if old is not None:
        yield from fields.unchanged("spec.controller", controller, (old.get("spec") or {}).get("controller"))
    if len(controller) > CONTROLLER_LIMIT:
        yield too_long("spec.controller", CONTROLLER_LIMIT)
    yield from fields.domain_prefixed_path("spec.controller", controller)
    parameters = spec.get("parameters")
    if parameters is not None:
        yield from _parameter_errors("spec.parameters", parameters)


def _parameter_errors(path: str, parameters: Object) -> Iterator[FieldError]:
    yield from references.errors(path, parameters)
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope is None:
        yield required(f"{path}.scope")
    elif scope not in SCOPES:
        yield not_supported(f"{path}.scope", scope, SCOPES)
    elif scope == "Namespace":
        if namespace is None:
            yield required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'")
        else:
            yield from fields.label(f"{path}.namespace", namespace)
    elif namespace is not None:
        yield forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'")


def _row(class_: Object, now: float) -> list[object]:
    spec = class_["spec"]
    parameters = spec.get("parameters")
    shown = NONE
    if parameters:
        group = parameters.get("apiGroup")
        shown = f"{parameters.get('kind', '')}{f'.{group}' if group else ''}/{parameters.get('name', '')}"
    return [name(class_), spec.get("controller", ""), shown, age(class_, now)]


INGRESS_CLASS = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="IngressClass",
    plural="ingressclasses",
    namespaced=False,
    singular="ingressclass",
    default=default,
    validate=validate,
    has_generation=True,
    table=Table(columns=(NAME, Column("Controller"), Column("Parameters"), AGE), row=_row),
)
