"""Kinds of the scheduling.k8s.io group."""

from mizzen.api.kind import Kind
from mizzen.api.scheduling.priorityclass import PRIORITY_CLASS

KINDS: tuple[Kind, ...] = (PRIORITY_CLASS,)
