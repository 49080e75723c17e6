"""Kinds of the events.k8s.io group."""

from mizzen.api.events.event import EVENT
from mizzen.api.kind import Kind

KINDS: tuple[Kind, ...] = (EVENT,)
