"""Who asks: the authenticators in order, then impersonation, which is itself authorized.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final
from urllib.parse import unquote

from mizzen.machinery.errors import Errors
from mizzen.machinery.identity import ANONYMOUS, ANONYMOUS_NAME, AUTHENTICATED, MASTERS, UNAUTHENTICATED, Identity
from mizzen.server import trail
from mizzen.server.seams import Attributes, Authenticator
from mizzen.wire.message import Request

_EXTRA: Final = "impersonate-extra-"
_ACCOUNT: Final = "system:serviceaccount:"
_ADMIN: Final = Identity("admin", groups=(MASTERS, AUTHENTICATED))

Check = Callable[[Attributes], None]
"""Raises ApiError 403 when the attributes are not allowed."""


class Identification:
    """Names the user of a request. Without any authenticator everyone is the administrator, as in tests."""

    def __init__(self, authenticators: Sequence[Authenticator], check: Check) -> None:
        self._authenticators = tuple(authenticators)
        self._check = check

    def identify(self, request: Request) -> Identity:
        """The user on whose behalf to act. Raises ApiError 401, 403."""
        user = request.user or self._authenticated(request)
        headers = request.headers
        for name in headers:
            if name.startswith("impersonate-"):
                return self._impersonated(user, request)
        return user

    def _authenticated(self, request: Request) -> Identity:
        if not self._authenticators:
            return _ADMIN
        for authenticator in self._authenticators:
            user = authenticator.authenticate(request)
            if user is not None:
                return user
        return ANONYMOUS

    def _impersonated(self, user: Identity, request: Request) -> Identity:
        headers = request.headers
        name = headers.get("impersonate-user", "")
        groups = tuple(group.strip() for group in headers.get("impersonate-group", "").split(",") if group.strip())
        uid = headers.get("impersonate-uid", "")
        extra = {
            unquote(key.removeprefix(_EXTRA)): tuple(part.strip() for part in value.split(","))
            for key, value in headers.items()
            if key.startswith(_EXTRA)
        }
        if not name:
            raise (
                Errors.bad_request("requested impersonation without impersonating a user")
                if groups or uid or extra
                else Errors.bad_request("Impersonate-User is empty")
            )
        for attributes in _asked(user, name, groups, uid, extra):
            self._check(attributes)
        trail.impersonate(user)
        return Identity(name, uid, _completed(name, groups), extra)


def _asked(
    user: Identity, name: str, groups: Sequence[str], uid: str, extra: dict[str, tuple[str, ...]]
) -> Iterator[Attributes]:
    """What must be allowed for this impersonation."""
    if name.startswith(_ACCOUNT) and name.count(":") == 3:
        namespace, account = name.removeprefix(_ACCOUNT).split(":")
        yield Attributes(user, "impersonate", "", "v1", "serviceaccounts", namespace=namespace, name=account)
    else:
        yield Attributes(user, "impersonate", "", "v1", "users", name=name)
    for group in groups:
        yield Attributes(user, "impersonate", "", "v1", "groups", name=group)
    if uid:
        yield Attributes(user, "impersonate", "authentication.k8s.io", "v1", "uids", name=uid)
    for key, values in extra.items():
        for value in values:
            yield Attributes(user, "impersonate", "authentication.k8s.io", "v1", "userextras", key, name=value)


def _completed(name: str, groups: tuple[str, ...]) -> tuple[str, ...]:
    """Groups that come with a name."""
    if name == ANONYMOUS_NAME:
        return groups or (UNAUTHENTICATED,)
    if not groups and name.startswith(_ACCOUNT) and name.count(":") == 3:
        namespace = name.removeprefix(_ACCOUNT).partition(":")[0]
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    if AUTHENTICATED in groups or UNAUTHENTICATED in groups:
        return groups
    return (*groups, AUTHENTICATED)
