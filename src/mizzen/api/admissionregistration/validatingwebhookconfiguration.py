"""ValidatingWebhookConfiguration (admissionregistration.k8s.io/v1)."""

from mizzen.api.kind import Kind

VALIDATING_WEBHOOK_CONFIGURATION = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="ValidatingWebhookConfiguration",
    plural="validatingwebhookconfigurations",
    namespaced=False,
    singular="validatingwebhookconfiguration",
    categories=("api-extensions",),
)
