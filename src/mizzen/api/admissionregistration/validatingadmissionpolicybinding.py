"""ValidatingAdmissionPolicyBinding (admissionregistration.k8s.io/v1): where a policy applies, and how."""

from collections.abc import Iterator

from mizzen.api.admissionregistration import policies
from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.machinery.errors import FieldError, Object, duplicate, invalid, not_supported, required

ACTIONS = ("Audit", "Deny", "Warn")


def default(binding: Object) -> None:
    policies.default_constraints(binding.setdefault("spec", {}).get("matchResources"))


def validate(binding: Object, old: Object | None) -> Iterator[FieldError]:
    spec = binding.get("spec") or {}
    yield from policies.binding_errors(spec)
    actions = spec.get("validationActions") or []
    if not actions:
        yield required("spec.validationActions", "at least one validation action is required")
    for i, action in enumerate(actions):
        if action not in ACTIONS:
            yield not_supported(f"spec.validationActions[{i}]", action, ACTIONS)
        if action in actions[:i]:
            yield duplicate(f"spec.validationActions[{i}]", action)
    if "Deny" in actions and "Warn" in actions:
        detail = "must not contain both Deny and Warn: the same failure would be told twice"
        yield invalid("spec.validationActions", actions, detail)


VALIDATING_ADMISSION_POLICY_BINDING = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="ValidatingAdmissionPolicyBinding",
    plural="validatingadmissionpolicybindings",
    namespaced=False,
    singular="validatingadmissionpolicybinding",
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
