"""TokenRequest: a new token for a ServiceAccount, bound to a pod, a secret or a node if asked.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/
"""

import uuid
from collections.abc import Sequence
from typing import Final

from mizzen.api.core.node import NODE
from mizzen.api.core.pod import POD
from mizzen.api.core.secret import SECRET
from mizzen.api.core.serviceaccount import SERVICE_ACCOUNT
from mizzen.base.clock import Clock
from mizzen.machinery import times
from mizzen.machinery.errors import Errors, FieldError, Object, invalid
from mizzen.server.authn.jwt import SigningKeys
from mizzen.server.authn.serviceaccounts import username
from mizzen.server.seams import Reader

GROUP: Final = "authentication.k8s.io"
DEFAULT_SECONDS: Final = 3600
SHORTEST_SECONDS: Final = 600
LONGEST_SECONDS: Final = 1 << 32
WARN_AFTER_SECONDS: Final = 3607
"""Pods ask for this odd lifetime by default; theirs is extended, since old client libraries never reload tokens."""
EXTENDED_SECONDS: Final = 365 * 86400
_BOUND: Final = {("v1", "Pod"): POD, ("v1", "Secret"): SECRET, ("v1", "Node"): NODE}


class TokenRequests:
    """Signs tokens for ServiceAccounts."""

    def __init__(self, keys: SigningKeys, issuer: str, audiences: Sequence[str], reader: Reader, clock: Clock) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audiences = tuple(audiences)
        self._reader = reader
        self._clock = clock

    def create(self, namespace: str, name: str, request: Object) -> Object:
        """The TokenRequest, answered. Raises ApiError."""
        _check_kind(request)
        account = self._reader.get(SERVICE_ACCOUNT, namespace, name)
        if account is None:
            raise Errors.not_found("", "serviceaccounts", name)
        metadata = dict(request.get("metadata") or {})
        _check_name(metadata, namespace, name)
        _check_uid(metadata, account)
        spec = dict(request.get("spec") or {})
        spec["audiences"] = spec.get("audiences") or list(self._audiences)
        seconds = spec.setdefault("expirationSeconds", DEFAULT_SECONDS)
        spec.setdefault("boundObjectRef", None)
        if problem := _lifetime_problem(seconds):
            raise Errors.invalid(GROUP, "TokenRequest", "", [problem])
        bound = self._bound(namespace, name, spec["boundObjectRef"])
        now = self._clock.now()
        token = self._keys.sign(self._claims(account, spec, bound, int(now)))
        metadata |= {"name": name, "namespace": namespace, "creationTimestamp": times.format(now)}
        status = {"token": token, "expirationTimestamp": times.format(int(now) + seconds)}
        return {
            "kind": "TokenRequest",
            "apiVersion": f"{GROUP}/v1",
            "metadata": metadata,
            "spec": spec,
            "status": status,
        }

    def _claims(self, account: Object, spec: Object, bound: Object, now: int) -> Object:
        metadata, seconds = account["metadata"], spec["expirationSeconds"]
        private: Object = {"namespace": metadata["namespace"], **bound}
        private["serviceaccount"] = {"name": metadata["name"], "uid": metadata["uid"]}
        if seconds == WARN_AFTER_SECONDS and "pod" in bound and set(spec["audiences"]) <= set(self._audiences):
            private["warnafter"] = now + WARN_AFTER_SECONDS
            seconds = EXTENDED_SECONDS
        return {
            "aud": spec["audiences"],
            "exp": now + seconds,
            "iat": now,
            "iss": self._issuer,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": private,
            "nbf": now,
            "sub": username(metadata["namespace"], metadata["name"]),
        }

    def _bound(self, namespace: str, account: str, reference: Object | None) -> Object:
        """The private claims for what the token is bound to."""
        if not reference:
            return {}
        version, kind_name = reference.get("apiVersion", ""), reference.get("kind", "")
        kind = _BOUND.get((version, kind_name))
        if kind is None:
            group, _, plain = version.rpartition("/")
            raise Errors.bad_request(f"cannot bind token to object of type {group}/{plain}, Kind={kind_name}")
        name = reference.get("name", "")
        found = self._reader.get(kind, namespace if kind.namespaced else "", name)
        if found is None:
            raise Errors.not_found("", kind.plural, name)
        uid = found["metadata"]["uid"]
        if kind is POD and (found["spec"].get("serviceAccountName") or "") != account:
            raise Errors.bad_request(
                f'cannot bind token for serviceaccount "{account}" to pod running with different serviceaccount name.'
            )
        if reference.get("uid") and reference["uid"] != uid:
            raise Errors.conflict(
                "",
                kind_name,
                name,
                f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. "
                "The object might have been deleted and then recreated",
            )
        claims: Object = {kind_name.lower(): {"name": name, "uid": uid}}
        if kind is POD and (node := found["spec"].get("nodeName")):
            stored = self._reader.get(NODE, "", node)
            claims["node"] = {"name": node, "uid": stored["metadata"]["uid"]} if stored else {"name": node}
        return claims


def _check_kind(request: Object) -> None:
    kind, version = request.get("kind", "TokenRequest"), request.get("apiVersion", f"{GROUP}/v1")
    if kind == "TokenRequest" and version == f"{GROUP}/v1":
        return
    plain = version.rpartition("/")[2]
    raise Errors.bad_request(
        f'{kind} in version "{version}" cannot be handled as a TokenRequest: converting ({plain}.{kind}) to '
        "(authentication.TokenRequest): unknown conversion"
    )


def _check_name(metadata: Object, namespace: str, name: str) -> None:
    given = metadata.get("name")
    if given and given != name:
        why = "must match the service account name if specified"
        raise Errors.invalid(GROUP, "TokenRequest", name, [invalid("metadata.name", given, why)])
    other = metadata.get("namespace")
    if other and other != namespace:
        why = "must match the service account namespace if specified"
        raise Errors.invalid(GROUP, "TokenRequest", name, [invalid("metadata.namespace", other, why)])


def _check_uid(metadata: Object, account: Object) -> None:
    """A token is for the account that the client saw, not for one of the same name that came after it."""
    given, known = metadata.get("uid"), account["metadata"]["uid"]
    if given and given != known:
        why = f"the UID in the token request ({given}) does not match the UID of the service account ({known})"
        raise Errors.conflict("", "serviceaccounts", account["metadata"]["name"], why)


def _lifetime_problem(seconds: int) -> FieldError | None:
    path = "spec.expirationSeconds"
    if seconds < SHORTEST_SECONDS:
        return invalid(path, seconds, "may not specify a duration less than 10 minutes")
    if seconds > LONGEST_SECONDS:
        return invalid(path, seconds, "may not specify a duration larger than 2^32 seconds")
    return None
