"""Who makes a request.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/authentication/
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

ANONYMOUS_NAME = "system:anonymous"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
MASTERS = "system:masters"


@dataclass(frozen=True, slots=True)
class Identity:
    """An authenticated user: name, uid, groups, and extra attributes."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


ANONYMOUS = Identity(ANONYMOUS_NAME, groups=(UNAUTHENTICATED,))
