"""MutatingAdmissionPolicyBinding (admissionregistration.k8s.io/v1): where a mutating policy applies."""

from collections.abc import Iterator

from mizzen.api.admissionregistration import policies
from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.machinery.errors import FieldError, Object


def default(binding: Object) -> None:
    policies.default_constraints(binding.setdefault("spec", {}).get("matchResources"))


def validate(binding: Object, old: Object | None) -> Iterator[FieldError]:
    yield from policies.binding_errors(binding.get("spec") or {})


MUTATING_ADMISSION_POLICY_BINDING = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="MutatingAdmissionPolicyBinding",
    plural="mutatingadmissionpolicybindings",
    namespaced=False,
    singular="mutatingadmissionpolicybinding",
    categories=("api-extensions",),
    default=default,
    validate=validate,
    bare_finalizers=True,
    compares_metadata=0,
    has_generation=True,
    unconditional_update=False,
    table=Table(
        columns=(NAME, Column("PolicyName"), Column("ParamRef"), AGE),
        row=lambda binding, now: [
            name(binding),
            binding["spec"].get("policyName", ""),
            policies.param_reference_cell(binding),
            age(binding, now),
        ],
    ),
)
