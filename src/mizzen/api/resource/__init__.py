"""Kinds of the resource.k8s.io group."""

from mizzen.api.kind import Kind
from mizzen.api.resource.deviceclass import DEVICE_CLASS
from mizzen.api.resource.devicetaintrule import DEVICE_TAINT_RULE
from mizzen.api.resource.resourceclaim import RESOURCE_CLAIM
from mizzen.api.resource.resourceclaimtemplate import RESOURCE_CLAIM_TEMPLATE
from mizzen.api.resource.resourceslice import RESOURCE_SLICE

KINDS: tuple[Kind, ...] = (
    DEVICE_CLASS,
    DEVICE_TAINT_RULE,
    RESOURCE_CLAIM,
    RESOURCE_CLAIM_TEMPLATE,
    RESOURCE_SLICE,
)
