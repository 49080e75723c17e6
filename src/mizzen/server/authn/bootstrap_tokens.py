"""Nodes that join, by bootstrap token: `id.secret`, kept as a Secret in kube-system.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

import base64
import binascii
import hmac
import re
from collections.abc import Sequence

from mizzen.api.core.secret import SECRET
from mizzen.base.clock import Clock
from mizzen.machinery import times
from mizzen.machinery.errors import Object
from mizzen.machinery.identity import Identity
from mizzen.server.authn.chain import Authenticated, BadToken
from mizzen.server.seams import Reader

NAMESPACE = "kube-system"
SECRET_TYPE = "bootstrap.kubernetes.io/token"
GROUP = "system:bootstrappers"
_is_token = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})").fullmatch
_is_group = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]").fullmatch


class BootstrapTokens:
    """Knows the tokens that Secrets of type bootstrap.kubernetes.io/token describe."""

    def __init__(self, reader: Reader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock

    def identify(self, token: str, audiences: Sequence[str]) -> Authenticated | None:
        match = _is_token(token)
        if match is None or audiences:
            return None
        identifier, secret = match.groups()
        stored = self._reader.get(SECRET, NAMESPACE, f"bootstrap-token-{identifier}")
        if stored is None or stored.get("type") != SECRET_TYPE or stored["metadata"].get("deletionTimestamp"):
            raise BadToken("invalid bearer token")
        data = _texts(stored)
        if data.get("token-id") != identifier or not hmac.compare_digest(data.get("token-secret", ""), secret):
            raise BadToken("invalid bearer token")
        if data.get("usage-bootstrap-authentication") != "true" or self._is_expired(data.get("expiration", "")):
            raise BadToken("the bootstrap token is expired or not for authentication")
        groups = [name for name in data.get("auth-extra-groups", "").split(",") if _is_group(name)]
        return Authenticated(Identity(f"system:bootstrap:{identifier}", groups=(GROUP, *groups)), ())

    def _is_expired(self, expiration: str) -> bool:
        if not expiration:
            return False
        try:
            return times.parse(expiration) <= self._clock.now()
        except ValueError:
            return True


def _texts(secret: Object) -> dict[str, str]:
    """The Secret's data, decoded; what is no text is left out."""
    found: dict[str, str] = {}
    for key, value in (secret.get("data") or {}).items():
        try:
            found[key] = base64.b64decode(value).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
    return found
