"""Kinds of the apiregistration.k8s.io group."""

from mizzen.api.apiregistration.apiservice import API_SERVICE
from mizzen.api.kind import Kind

KINDS: tuple[Kind, ...] = (API_SERVICE,)
