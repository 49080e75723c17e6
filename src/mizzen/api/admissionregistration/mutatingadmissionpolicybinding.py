"""MutatingAdmissionPolicyBinding (admissionregistration.k8s.io/v1)."""

from mizzen.api.kind import Kind

MUTATING_ADMISSION_POLICY_BINDING = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="MutatingAdmissionPolicyBinding",
    plural="mutatingadmissionpolicybindings",
    namespaced=False,
    singular="mutatingadmissionpolicybinding",
    categories=("api-extensions",),
)
