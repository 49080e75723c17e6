"""The authenticators in order: certificate, then bearer token, then nobody, who may only ask for health and version."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from mizzen.machinery.errors import Errors
from mizzen.machinery.identity import ANONYMOUS, Identity, authenticated
from mizzen.server.authn.certificates import ClientCertificates
from mizzen.server.authn.frontproxy import FrontProxies
from mizzen.wire import websocket
from mizzen.wire.message import Request

ANONYMOUS_PATHS: Final = ("/healthz", "/livez", "/readyz", "/version")


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A token's user, and those of the audiences asked for that the token is meant for."""

    user: Identity
    audiences: tuple[str, ...]


class BadToken(Exception):
    """The token is of a kind that the authenticator knows, but not valid; the text says why."""


class TokenAuthenticator(Protocol):
    """Knows users by one kind of bearer token."""

    def identify(self, token: str, audiences: Sequence[str]) -> Authenticated | None:
        """The user, or None for a token of another kind. No audiences: those of the API server. Raises BadToken."""


def is_open(path: str) -> bool:
    """Whether a path is for everybody, where nothing else is said."""
    return any(path == allowed or path.startswith(allowed + "/") for allowed in ANONYMOUS_PATHS)


class Chain:
    """The server's Authenticator; with `identify` also what TokenReview asks.

    Authenticators that remember users name them in the group of all authenticated ones; the chain sees to the others.
    """

    def __init__(
        self,
        tokens: Sequence[TokenAuthenticator],
        *,
        anonymous: Callable[[str], bool] = is_open,
        proxies: FrontProxies | None = None,
    ) -> None:
        """`anonymous`: whether a path is for those without credentials."""
        self._proxies = proxies
        self._certificates = ClientCertificates()
        self._tokens = tuple(tokens)
        self._anonymous = anonymous

    def authenticate(self, request: Request) -> Identity:
        """The user of a request. Raises ApiError 401."""
        if request.user is not None:
            return authenticated(request.user)
        user = self._by_certificate(request)
        if user is not None:
            return authenticated(user)
        token = bearer(request)
        if token:
            try:
                found = self.identify(token, ())
            except BadToken as error:
                raise Errors.unauthorized() from error
            if found is None:
                raise Errors.unauthorized()
            return found.user
        if self._anonymous(request.path):
            return ANONYMOUS
        raise Errors.unauthorized()

    def _by_certificate(self, request: Request) -> Identity | None:
        """The user that a certificate names, or whom a proxy with its own kind of certificate names."""
        shown = request.peer_certificate
        if shown is None or self._proxies is None or not self._proxies.has_signed(shown):
            return self._certificates.authenticate(request)
        user = self._proxies.authenticate(request, shown)
        if user is None and not bearer(request):
            raise Errors.unauthorized()
        return user

    def identify(self, token: str, audiences: Sequence[str]) -> Authenticated | None:
        """The user of a bearer token. Raises BadToken when it is bad, or unknown to all."""
        problems: list[str] = []
        for authenticator in self._tokens:
            try:
                found = authenticator.identify(token, audiences)
            except BadToken as error:
                problems.append(str(error))
                continue
            if found is not None:
                user = authenticated(found.user)
                return found if user is found.user else replace(found, user=user)
        if problems:
            raise BadToken("[" + ", ".join(problems) + "]" if len(problems) > 1 else problems[0])
        return None


def bearer(request: Request) -> str:
    """The bearer token of a request, or of a browser's WebSocket, which can send no such header."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    for protocol in request.headers.get(websocket.PROTOCOLS, "").split(","):
        name = protocol.strip()
        if name.startswith(websocket.TOKEN_PREFIX):
            return _decoded(name.removeprefix(websocket.TOKEN_PREFIX))
    return ""


def _decoded(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
