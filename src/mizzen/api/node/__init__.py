"""Kinds of the node.k8s.io group."""

from mizzen.api.kind import Kind
from mizzen.api.node.runtimeclass import RUNTIME_CLASS

KINDS: tuple[Kind, ...] = (RUNTIME_CLASS,)
