"""ServiceAccounts by token: signature, issuer, audience, times, and that all it is bound to is still there.

Signatures are verified once; whether the account, pod or secret still exists is looked at again every second.
Ref: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mizzen.api.core.node import NODE
from mizzen.api.core.pod import POD
from mizzen.api.core.secret import SECRET
from mizzen.api.core.serviceaccount import SERVICE_ACCOUNT
from mizzen.api.kind import Kind
from mizzen.base.clock import Clock
from mizzen.machinery import times
from mizzen.machinery.errors import Object
from mizzen.machinery.identity import Identity, authenticated
from mizzen.server.authn import extra, jwt
from mizzen.server.authn.chain import Authenticated, BadToken
from mizzen.server.seams import Reader

LEGACY_ISSUER: Final = "kubernetes/serviceaccount"
LEGACY_TYPE: Final = "kubernetes.io/service-account-token"
LAST_USED: Final = "kubernetes.io/legacy-token-last-used"
INVALID_SINCE: Final = "kubernetes.io/legacy-token-invalid-since"
USER_PREFIX: Final = "system:serviceaccount:"
_REMEMBERED: Final = 4096
_LOOK_AGAIN_SECONDS: Final = 1.0
_LEEWAY_SECONDS: Final = 60.0
"""Tokens of an account or pod that is being deleted work this much longer, for its last words."""


def username(namespace: str, name: str) -> str:
    return f"{USER_PREFIX}{namespace}:{name}"


def groups(namespace: str) -> tuple[str, str]:
    return "system:serviceaccounts", f"system:serviceaccounts:{namespace}"


def split_username(user: str) -> tuple[str, str] | None:
    """Namespace and name of a ServiceAccount's user name; None for other users."""
    if not user.startswith(USER_PREFIX):
        return None
    namespace, _, name = user.removeprefix(USER_PREFIX).partition(":")
    return (namespace, name) if namespace and name and ":" not in name else None


@dataclass(slots=True)
class _Verified:
    claims: Object
    user: Identity
    good_until: float
    """Monotonic; afterwards what the token is bound to is looked at again."""


class ServiceAccountTokens:
    """Knows the tokens that this cluster's keys have signed."""

    def __init__(
        self, keys: jwt.SigningKeys, issuer: str, audiences: Sequence[str], reader: Reader, clock: Clock
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audiences = tuple(audiences)
        self._reader = reader
        self._clock = clock
        self._verified: dict[str, _Verified] = {}
        self.used: Callable[[str, str], None] = lambda _namespace, _name: None
        """Is told of a Secret whose token is used for the first time today."""

    def identify(self, token: str, audiences: Sequence[str]) -> Authenticated | None:
        known = self._verified.get(token)
        if known is None:
            known = self._verify(token)
            if known is None:
                return None
            if len(self._verified) >= _REMEMBERED:
                self._verified.clear()
            self._verified[token] = known
        self._check_times(known.claims)
        if known.good_until <= self._clock.monotonic():
            known.user = authenticated(self._user(known.claims, token))
            known.good_until = self._clock.monotonic() + _LOOK_AGAIN_SECONDS
        return Authenticated(known.user, self._meant_for(known.claims, audiences))

    def _verify(self, token: str) -> _Verified | None:
        try:
            if jwt.claims(token).get("iss") not in (self._issuer, LEGACY_ISSUER):
                return None
        except jwt.BadSignature:
            return None
        try:
            claims = self._keys.verify(token)
        except jwt.BadSignature as error:
            raise BadToken(str(error)) from error
        return _Verified(claims, Identity(""), float("-inf"))

    def _check_times(self, claims: Object) -> None:
        now = self._clock.now()
        if claims["iss"] == LEGACY_ISSUER:
            return
        if not isinstance(claims.get("exp"), int | float) or claims["exp"] <= now:
            raise BadToken("service account token has expired")
        if claims.get("nbf", 0) > now + 1:
            raise BadToken("service account token is not valid yet")

    def _meant_for(self, claims: Object, asked: Sequence[str]) -> tuple[str, ...]:
        wanted = asked or self._audiences
        held = claims.get("aud") or ()
        held = [held] if isinstance(held, str) else held
        if claims["iss"] == LEGACY_ISSUER:
            held = self._audiences
        meant = tuple(name for name in wanted if name in held)
        if not meant:
            raise BadToken(f"token audiences {held!r} is invalid for the target audiences {list(wanted)!r}")
        return meant

    def _user(self, claims: Object, token: str) -> Identity:
        if claims["iss"] == LEGACY_ISSUER:
            return self._legacy_user(claims, token)
        bound: dict[str, Any] = claims.get("kubernetes.io") or {}
        namespace, account = bound.get("namespace", ""), bound.get("serviceaccount") or {}
        self._check_bound(SERVICE_ACCOUNT, namespace, account)
        more: dict[str, tuple[str, ...]] = {}
        if claims.get("jti"):
            more[extra.CREDENTIAL_ID] = (f"JTI={claims['jti']}",)
        if secret := bound.get("secret"):
            self._check_bound(SECRET, namespace, secret)
        if pod := bound.get("pod"):
            self._check_bound(POD, namespace, pod)
            more[extra.POD_NAME], more[extra.POD_UID] = (pod["name"],), (pod["uid"],)
        if node := bound.get("node"):
            # A pod's token tells its node for information; only a token bound to the node dies with it.
            if not pod:
                self._check_bound(NODE, "", node)
            more[extra.NODE_NAME] = (node["name"],)
            if node.get("uid"):
                more[extra.NODE_UID] = (node["uid"],)
        return Identity(username(namespace, account["name"]), account.get("uid", ""), groups(namespace), more)

    def _legacy_user(self, claims: Object, token: str) -> Identity:
        """The user of a token that a Secret of type kubernetes.io/service-account-token holds."""
        prefix = "kubernetes.io/serviceaccount/"
        namespace = claims.get(f"{prefix}namespace", "")
        name, uid = claims.get(f"{prefix}service-account.name", ""), claims.get(f"{prefix}service-account.uid", "")
        secret = self._reader.get(SECRET, namespace, claims.get(f"{prefix}secret.name", ""))
        if secret is None or secret["metadata"].get("deletionTimestamp") or not _holds(secret, token):
            raise BadToken("token has been invalidated")
        labels = secret["metadata"].get("labels") or {}
        if INVALID_SINCE in labels:
            raise BadToken(f"the token in secret {namespace}/{secret['metadata']['name']} has been marked invalid")
        self._check_bound(SERVICE_ACCOUNT, namespace, {"name": name, "uid": uid})
        if labels.get(LAST_USED) != times.format(self._clock.now())[:10]:
            self.used(namespace, secret["metadata"]["name"])
        return Identity(username(namespace, name), uid, groups(namespace))

    def _check_bound(self, kind: Kind, namespace: str, reference: Object) -> None:
        found = self._reader.get(kind, namespace, reference.get("name", ""))
        if found is None or found["metadata"].get("uid") != reference.get("uid"):
            raise BadToken(f"the {kind.kind} this token is bound to no longer exists")
        deleted = found["metadata"].get("deletionTimestamp")
        if deleted and times.parse(deleted) + _LEEWAY_SECONDS < self._clock.now():
            raise BadToken(f"the {kind.kind} this token is bound to has been deleted")


def _holds(secret: Object, token: str) -> bool:
    held = (secret.get("data") or {}).get("token", "")
    return bool(held) and base64.b64decode(held) == token.encode()
