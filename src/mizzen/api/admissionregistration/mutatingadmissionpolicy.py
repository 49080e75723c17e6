"""MutatingAdmissionPolicy (admissionregistration.k8s.io/v1)."""

from mizzen.api.kind import Kind

MUTATING_ADMISSION_POLICY = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="MutatingAdmissionPolicy",
    plural="mutatingadmissionpolicies",
    namespaced=False,
    singular="mutatingadmissionpolicy",
    categories=("api-extensions",),
)
