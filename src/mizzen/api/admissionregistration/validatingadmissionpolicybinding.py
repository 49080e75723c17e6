"""ValidatingAdmissionPolicyBinding (admissionregistration.k8s.io/v1)."""

from mizzen.api.kind import Kind

VALIDATING_ADMISSION_POLICY_BINDING = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="ValidatingAdmissionPolicyBinding",
    plural="validatingadmissionpolicybindings",
    namespaced=False,
    singular="validatingadmissionpolicybinding",
    categories=("api-extensions",),
)
