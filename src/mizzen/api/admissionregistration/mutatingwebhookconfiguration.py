"""MutatingWebhookConfiguration (admissionregistration.k8s.io/v1)."""

from mizzen.api.kind import Kind

MUTATING_WEBHOOK_CONFIGURATION = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="MutatingWebhookConfiguration",
    plural="mutatingwebhookconfigurations",
    namespaced=False,
    singular="mutatingwebhookconfiguration",
    categories=("api-extensions",),
)
