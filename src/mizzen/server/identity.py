"""Who asks: the authenticators in order, then impersonation, which is itself authorized.

Whoever may impersonate may do so for everything (`impersonate`), or for some requests alone: then both the identity
(`impersonate:MODE`) and the request (`impersonate-on:MODE:VERB`) must be allowed.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import unquote

import msgspec

from mizzen.machinery.errors import ApiError, Errors
from mizzen.machinery.identity import ANONYMOUS, ANONYMOUS_NAME, AUTHENTICATED, MASTERS, UNAUTHENTICATED, Identity
from mizzen.server import trail
from mizzen.server.seams import Attributes, Authenticator
from mizzen.wire.message import Request

_EXTRA: Final = "impersonate-extra-"
_ACCOUNT: Final = "system:serviceaccount:"
_ADMIN: Final = Identity("admin", groups=(MASTERS, AUTHENTICATED))

_NODE: Final = "system:node:"
_NODES: Final = "system:nodes"
_NODE_NAME: Final = "authentication.kubernetes.io/node-name"
_NODE_KEYS: Final = "authentication.kubernetes.io/associated-node-keys"
_GROUP: Final = "authentication.k8s.io"

Check = Callable[[Attributes], None]
"""Raises ApiError 403 when the attributes are not allowed."""
Asked = Callable[[Identity], Attributes]
"""What a request asks for, when it is this user who asks."""


class Identification:
    """Names the user of a request. Without any authenticator everyone is the administrator, as in tests."""

    def __init__(self, authenticators: Sequence[Authenticator], check: Check) -> None:
        self._authenticators = tuple(authenticators)
        self._check = check

    def identify(self, request: Request, asked: Asked) -> Identity:
        """The user on whose behalf to act. Raises ApiError 401, 403."""
        user = request.user or self._authenticated(request)
        headers = request.headers
        for name in headers:
            if name.startswith("impersonate-"):
                return self._impersonated(user, request, asked)
        return user

    def _authenticated(self, request: Request) -> Identity:
        if not self._authenticators:
            return _ADMIN
        for authenticator in self._authenticators:
            user = authenticator.authenticate(request)
            if user is not None:
                return user
        return ANONYMOUS

    def _impersonated(self, user: Identity, request: Request, asked: Asked) -> Identity:
        name = next(iter(request.lines("impersonate-user")), "")
        groups = tuple(filter(None, request.lines("impersonate-group")))
        uid = next(iter(request.lines("impersonate-uid")), "")
        given = (key for key in request.headers if key.startswith(_EXTRA))
        extra = {unquote(key.removeprefix(_EXTRA)): tuple(request.lines(key)) for key in given}
        if not name:
            raise (
                Errors.bad_request("requested impersonation without impersonating a user")
                if groups or uid or extra
                else Errors.bad_request("Impersonate-User is empty")
            )
        wanted = Identity(name, uid, groups, extra)
        mode = self._mode(user, wanted, asked)
        if not mode:
            for attributes in _identity(user, wanted):
                self._check(attributes)
        trail.impersonate(user)
        return Identity(
            name, uid, (_NODES, AUTHENTICATED) if mode.endswith("-node") else _completed(name, groups), extra
        )

    def _mode(self, user: Identity, wanted: Identity, asked: Asked) -> str:
        """The mode in which this user may make this request as the wanted one; nothing when there is none."""
        for mode, identity in _modes(user, wanted):
            impersonator = identity[0].user
            request = asked(impersonator)
            try:
                self._check(msgspec.structs.replace(request, verb=f"impersonate-on:{mode}:{request.verb}"))
                for attributes in identity:
                    self._check(attributes)
            except ApiError:
                continue
            return mode
        return ""


def _account(name: str) -> tuple[str, str] | None:
    """Namespace and name of a service account."""
    parts = name.removeprefix(_ACCOUNT).split(":") if name.startswith(_ACCOUNT) else ()
    return (parts[0], parts[1]) if len(parts) == 2 else None


def _modes(user: Identity, wanted: Identity) -> Iterator[tuple[str, Sequence[Attributes]]]:
    """The modes in which the wanted user may be impersonated for some requests, and what each must be allowed."""
    plain = not (wanted.groups or wanted.uid or wanted.extra)
    if wanted.name.startswith(_NODE):
        node = wanted.name.removeprefix(_NODE)
        if plain and _account(user.name) and tuple(user.extra.get(_NODE_NAME, ())) == (node,):
            bound = replace(user, extra={_NODE_KEYS: tuple(sorted(user.extra))})
            yield "associated-node", [Attributes(bound, "impersonate:associated-node", _GROUP, "v1", "nodes", name="*")]
        if plain:
            yield "arbitrary-node", [Attributes(user, "impersonate:arbitrary-node", _GROUP, "v1", "nodes", name=node)]
    elif wanted.name.startswith(_ACCOUNT):
        if plain and (account := _account(wanted.name)):
            verb, (namespace, name) = "impersonate:serviceaccount", account
            account_attributes = Attributes(user, verb, _GROUP, "v1", "serviceaccounts", namespace=namespace, name=name)
            yield "serviceaccount", [account_attributes]
    else:
        verb = "impersonate:user-info"
        who = Attributes(user, verb, _GROUP, "v1", "users", name=wanted.name)
        groups = [Attributes(user, verb, _GROUP, "v1", "groups", name=group) for group in wanted.groups]
        yield "user-info", [who, *groups, *_details(user, wanted, verb)]


def _identity(user: Identity, wanted: Identity) -> Iterator[Attributes]:
    """What must be allowed to impersonate the wanted user for everything."""
    if account := _account(wanted.name):
        namespace, name = account
        yield Attributes(user, "impersonate", "", "v1", "serviceaccounts", namespace=namespace, name=name)
    else:
        yield Attributes(user, "impersonate", "", "v1", "users", name=wanted.name)
    for group in wanted.groups:
        yield Attributes(user, "impersonate", "", "v1", "groups", name=group)
    yield from _details(user, wanted, "impersonate")


def _details(user: Identity, wanted: Identity, verb: str) -> Iterator[Attributes]:
    if wanted.uid:
        yield Attributes(user, verb, _GROUP, "v1", "uids", name=wanted.uid)
    for key, values in wanted.extra.items():
        for value in values:
            yield Attributes(user, verb, _GROUP, "v1", "userextras", key, name=value)


def _completed(name: str, groups: tuple[str, ...]) -> tuple[str, ...]:
    """Groups that come with a name."""
    if name == ANONYMOUS_NAME:
        return groups or (UNAUTHENTICATED,)
    if not groups and (account := _account(name)):
        namespace = account[0]
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    if AUTHENTICATED in groups or UNAUTHENTICATED in groups:
        return groups
    return (*groups, AUTHENTICATED)
