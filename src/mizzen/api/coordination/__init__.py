"""Kinds of the coordination.k8s.io group."""

from mizzen.api.coordination.lease import LEASE
from mizzen.api.kind import Kind

KINDS: tuple[Kind, ...] = (LEASE,)
