"""Users named in headers by a proxy that shows a certificate of the front proxies' own authority.

Such a certificate names nobody by itself: its authority may speak for others, and for nothing else.
Ref: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#authenticating-proxy
"""

from collections.abc import Collection
from typing import Final
from urllib.parse import unquote

from mizzen.machinery.errors import Errors
from mizzen.machinery.identity import Identity
from mizzen.wire import der
from mizzen.wire.message import Request

ALLOWED_NAMES: Final = ("front-proxy-client",)
_USER: Final = "x-remote-user"
_UID: Final = "x-remote-uid"
_GROUPS: Final = "x-remote-group"
_EXTRA: Final = "x-remote-extra-"


class FrontProxies:
    """Reads the headers of proxies whose certificates one authority has signed; TLS has verified them."""

    def __init__(self, authority: bytes, allowed: Collection[str] = ALLOWED_NAMES) -> None:
        """`authority` is the PEM certificate of the front proxies' authority."""
        self._issuer = der.name(der.from_pem(authority))
        self._allowed = frozenset(allowed)

    def has_signed(self, certificate: bytes) -> bool:
        """Whether a certificate is a front proxy's, and so never a user's own."""
        return der.issuer(certificate) == self._issuer

    def authenticate(self, request: Request, certificate: bytes) -> Identity | None:
        """The user whom the proxy names; None when it names nobody. Raises ApiError 401 for other certificates."""
        names = [value for kind, value in der.subject(certificate) if kind == der.COMMON_NAME]
        if self._allowed and not self._allowed & set(names):
            raise Errors.unauthorized()
        user = next(iter(request.lines(_USER)), "")
        if not user:
            return None
        extra = {
            unquote(key.removeprefix(_EXTRA)): tuple(request.lines(key))
            for key in request.headers
            if key.startswith(_EXTRA)
        }
        uid = next(iter(request.lines(_UID)), "")
        return Identity(user, uid, tuple(filter(None, request.lines(_GROUPS))), extra)
