"""ValidatingWebhookConfiguration (admissionregistration.k8s.io/v1): webhooks that may refuse what is written."""

from mizzen.api.admissionregistration import webhooks
from mizzen.api.kind import Kind

VALIDATING_WEBHOOK_CONFIGURATION = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="ValidatingWebhookConfiguration",
    plural="validatingwebhookconfigurations",
    namespaced=False,
    singular="validatingwebhookconfiguration",
    categories=("api-extensions",),
    default=webhooks.default,
    validate=webhooks.validate,
    bare_finalizers=True,
    compares_metadata=0,
    has_generation=True,
    unconditional_update=False,
    table=webhooks.TABLE,
)
