"""Kinds of the admissionregistration.k8s.io group."""

from mizzen.api.admissionregistration.mutatingadmissionpolicy import MUTATING_ADMISSION_POLICY
from mizzen.api.admissionregistration.mutatingadmissionpolicybinding import MUTATING_ADMISSION_POLICY_BINDING
from mizzen.api.admissionregistration.mutatingwebhookconfiguration import MUTATING_WEBHOOK_CONFIGURATION
from mizzen.api.admissionregistration.validatingadmissionpolicy import VALIDATING_ADMISSION_POLICY
from mizzen.api.admissionregistration.validatingadmissionpolicybinding import VALIDATING_ADMISSION_POLICY_BINDING
from mizzen.api.admissionregistration.validatingwebhookconfiguration import VALIDATING_WEBHOOK_CONFIGURATION
from mizzen.api.kind import Kind

KINDS: tuple[Kind, ...] = (
    MUTATING_ADMISSION_POLICY,
    MUTATING_ADMISSION_POLICY_BINDING,
    MUTATING_WEBHOOK_CONFIGURATION,
    VALIDATING_ADMISSION_POLICY,
    VALIDATING_ADMISSION_POLICY_BINDING,
    VALIDATING_WEBHOOK_CONFIGURATION,
)
