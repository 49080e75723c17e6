"""Who makes a request.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/authentication/
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

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


def authenticated(user: Identity) -> Identity:
    """The user, in the group of all that are authenticated."""
    if AUTHENTICATED in user.groups or UNAUTHENTICATED in user.groups or user.name == ANONYMOUS_NAME:
        return user
    return replace(user, groups=(*user.groups, AUTHENTICATED))


ANONYMOUS = Identity(ANONYMOUS_NAME, groups=(UNAUTHENTICATED,))
