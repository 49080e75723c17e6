"""Kinds of the discovery.k8s.io group."""

from mizzen.api.discovery.endpointslice import ENDPOINT_SLICE
from mizzen.api.kind import Kind

KINDS: tuple[Kind, ...] = (ENDPOINT_SLICE,)
