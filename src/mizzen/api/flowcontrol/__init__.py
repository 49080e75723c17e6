"""Kinds of the flowcontrol.apiserver.k8s.io group."""

from mizzen.api.flowcontrol.flowschema import FLOW_SCHEMA
from mizzen.api.flowcontrol.prioritylevelconfiguration import PRIORITY_LEVEL_CONFIGURATION
from mizzen.api.kind import Kind

KINDS: tuple[Kind, ...] = (
    FLOW_SCHEMA,
    PRIORITY_LEVEL_CONFIGURATION,
)
