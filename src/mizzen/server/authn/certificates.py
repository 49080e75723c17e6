"""Users by client certificate: the common name is the user, the organizations are the groups.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#x509-client-certificates
"""

import hashlib
from functools import lru_cache

from mizzen.machinery.errors import Errors
from mizzen.machinery.identity import Identity, authenticated
from mizzen.server.authn.extra import CREDENTIAL_ID
from mizzen.wire import der
from mizzen.wire.message import Request


class ClientCertificates:
    """Reads the certificate of the connection, which TLS has verified."""

    def authenticate(self, request: Request) -> Identity | None:
        if request.peer_certificate is None:
            return None
        identity = identify(request.peer_certificate)
        if identity is None:
            raise Errors.unauthorized()
        return identity


@lru_cache(maxsize=1024)
def identify(certificate: bytes) -> Identity | None:
    """The user a DER certificate names; None when it names nobody."""
    try:
        attributes = der.subject(certificate)
    except ValueError:
        return None
    names = [value for kind, value in attributes if kind == der.COMMON_NAME]
    if not names or not names[0]:
        return None
    uids = [value for kind, value in attributes if kind == der.USER_ID]
    return authenticated(
        Identity(
            names[0],
            uid=uids[0] if uids else "",
            groups=tuple(value for kind, value in attributes if kind == der.ORGANIZATION),
            extra={CREDENTIAL_ID: (f"X509SHA256={hashlib.sha256(certificate).hexdigest()}",)},
        )
    )
