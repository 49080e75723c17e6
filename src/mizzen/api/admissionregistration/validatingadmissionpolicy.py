"""ValidatingAdmissionPolicy (admissionregistration.k8s.io/v1)."""

from mizzen.api.kind import Kind

VALIDATING_ADMISSION_POLICY = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="ValidatingAdmissionPolicy",
    plural="validatingadmissionpolicies",
    namespaced=False,
    singular="validatingadmissionpolicy",
    categories=("api-extensions",),
    has_status=True,
)
