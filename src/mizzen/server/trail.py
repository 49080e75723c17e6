"""The audit trail of the request that is being worked on, for whoever along its way has something to note.

Ref: https://kubernetes.io/docs/reference/labels-annotations-taints/audit-annotations/
"""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from mizzen.machinery.identity import Identity

DECISION: Final = "authorization.k8s.io/decision"
REASON: Final = "authorization.k8s.io/reason"
DEPRECATED: Final = "k8s.io/deprecated"


@dataclass(slots=True)
class Trail:
    """What is known of one request; `received` is when it came, in seconds."""

    audit_id: str
    received: float
    impersonator: Identity | None = None
    annotations: dict[str, str] = field(default_factory=dict)
    panicked: bool = False
    """It failed by a bug of the server's own."""


_CURRENT: Final[ContextVar[Trail | None]] = ContextVar("trail", default=None)


def follow(trail: Trail) -> None:
    """This is the trail of the request that is worked on from here on in this context."""
    _CURRENT.set(trail)


def annotate(annotations: Mapping[str, str]) -> None:
    """Note something about the current request, where it is audited."""
    trail = _CURRENT.get()
    if trail is not None:
        trail.annotations.update(annotations)


def impersonate(user: Identity) -> None:
    """Note who it is that acts as somebody else."""
    trail = _CURRENT.get()
    if trail is not None:
        trail.impersonator = user


def panic() -> None:
    """Note that the server itself failed."""
    trail = _CURRENT.get()
    if trail is not None:
        trail.panicked = True
