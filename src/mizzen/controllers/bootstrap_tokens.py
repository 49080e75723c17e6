"""Bootstrap tokens: they sign the ConfigMap `cluster-info`, by which joining nodes trust the cluster, and expire.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

import orjson

from mizzen.api.views.core import ConfigMap, Secret
from mizzen.client.cache import Cache
from mizzen.client.resources import CONFIG_MAPS, SECRETS
from mizzen.machinery import times
from mizzen.reconcile.controller import Controller, Watch, own, split
from mizzen.reconcile.plan import NOTHING, Delete, Patch, Plan

TYPE = "bootstrap.kubernetes.io/token"
INFO = ("kube-public", "cluster-info")
SIGNATURE = "jws-kubeconfig-"
_KEY = "/".join(INFO)
_HOME = "kube-system"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is to be signed, and the token Secrets that may sign."""

    info: ConfigMap
    secrets: tuple[Secret, ...]


def observe(cache: Cache, key: str) -> Snapshot | None:
    info = cache.of(CONFIG_MAPS, ConfigMap).get(*INFO)
    if info is None or info.metadata.deleting:
        return None
    secrets = (one for one in cache.of(SECRETS, Secret).in_namespace(_HOME) if one.type == TYPE)
    return Snapshot(info, tuple(sorted(secrets, key=lambda one: one.metadata.name)))


def reconcile(seen: Snapshot, now: float) -> Plan:
    """One signature for every live token that may sign, and none for any other."""
    data = seen.info.data
    content = data.get("kubeconfig", "")
    signatures = dict(_signature(content, one) for one in seen.secrets if _may_sign(one, now)) if content else {}
    changed: dict[str, str | None] = {key: None for key in data if key.startswith(SIGNATURE) and key not in signatures}
    changed |= {key: value for key, value in signatures.items() if data.get(key) != value}
    if not changed:
        return NOTHING
    meta = seen.info.metadata
    patch = {"data": changed}
    return Plan((Patch(CONFIG_MAPS, *INFO, patch, uid=meta.uid, resource_version=meta.resourceVersion),))


def _may_sign(secret: Secret, now: float) -> bool:
    wanted = f"bootstrap-token-{_text(secret, 'token-id')}"
    expires = _expires(secret)
    return (
        _text(secret, "usage-bootstrap-signing") == "true"
        and secret.metadata.name == wanted
        and bool(_text(secret, "token-secret"))
        and (expires is None or expires > now)
        and not secret.metadata.deleting
    )


def _signature(content: str, secret: Secret) -> tuple[str, str]:
    """The key and the detached signature (JWS, HS256) of a token."""
    identity = _text(secret, "token-id")
    header = _encoded(orjson.dumps({"alg": "HS256", "kid": identity}))
    signed = f"{header}.{_encoded(content.encode())}".encode()
    digest = hmac.digest(_text(secret, "token-secret").encode(), signed, hashlib.sha256)
    return f"{SIGNATURE}{identity}", f"{header}..{_encoded(digest)}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _text(secret: Secret, key: str) -> str:
    """A value of a Secret; "" when it is absent or no base64."""
    try:
        return base64.b64decode(secret.data.get(key, "")).decode("utf-8", "replace")
    except binascii.Error:
        return ""


def _expires(secret: Secret) -> float | None:
    text = _text(secret, "expiration")
    return times.parse(text) if text and times.is_time(text) else None


def observe_token(cache: Cache, key: str) -> Secret | None:
    secret = cache.of(SECRETS, Secret).get(*split(key))
    return secret if secret is not None and secret.type == TYPE else None


def clean(secret: Secret, now: float) -> Plan:
    """Delete a token when it has expired."""
    expires = _expires(secret)
    if expires is None or secret.metadata.deleting:
        return NOTHING
    if expires > now:
        return Plan(requeue_after=expires - now)
    return Plan((Delete(SECRETS, secret.metadata.namespace, secret.metadata.name, uid=secret.metadata.uid),))


def _is_token(secret: Secret) -> bool:
    return secret.metadata.namespace == _HOME and secret.type == TYPE


def _key_of_map(_cache: Cache, one: ConfigMap) -> tuple[str, ...]:
    return (_KEY,) if (one.metadata.namespace, one.metadata.name) == INFO else ()


SIGNER = Controller(
    name="bootstrapsigner",
    watches=(
        Watch(CONFIG_MAPS, ConfigMap, _key_of_map),
        Watch(SECRETS, Secret, lambda _cache, one: (_KEY,) if _is_token(one) else ()),
    ),
    observe=observe,
    reconcile=reconcile,
)
CLEANER = Controller(
    name="tokencleaner",
    watches=(Watch(SECRETS, Secret, lambda cache, one: own(cache, one) if _is_token(one) else ()),),
    observe=observe_token,
    reconcile=clean,
)
