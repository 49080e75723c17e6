"""MutatingWebhookConfiguration (admissionregistration.k8s.io/v1): webhooks that may change what is written."""

from mizzen.api.admissionregistration import webhooks
from mizzen.api.kind import Kind

MUTATING_WEBHOOK_CONFIGURATION = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="MutatingWebhookConfiguration",
    plural="mutatingwebhookconfigurations",
    namespaced=False,
    singular="mutatingwebhookconfiguration",
    categories=("api-extensions",),
    default=webhooks.default_mutating,
    validate=webhooks.validate_mutating,
    bare_finalizers=True,
    compares_metadata=0,
    has_generation=True,
    unconditional_update=False,
    table=webhooks.TABLE,
)
