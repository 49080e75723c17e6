"""Kinds of the apiextensions.k8s.io group."""

from mizzen.api.apiextensions.customresourcedefinition import CUSTOM_RESOURCE_DEFINITION
from mizzen.api.kind import Kind

KINDS: tuple[Kind, ...] = (CUSTOM_RESOURCE_DEFINITION,)
