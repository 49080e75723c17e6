"""Tokens in Secrets: ServiceAccounts' are filled in and go with their account, bootstrap tokens expire.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#token-controller
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from mizzen.api.views.core import Secret, ServiceAccount
from mizzen.client.cache import Cache
from mizzen.client.resources import SECRETS, SERVICE_ACCOUNTS
from mizzen.controllers.config import Config, Mint
from mizzen.machinery import times
from mizzen.reconcile.controller import Controller, Watch, own, split
from mizzen.reconcile.plan import NOTHING, Delete, Patch, Plan

TYPE = "kubernetes.io/service-account-token"
BOOTSTRAP = "bootstrap.kubernetes.io/token"
NAME = "kubernetes.io/service-account.name"
UID = "kubernetes.io/service-account.uid"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A token Secret and the account it names."""

    secret: Secret
    account: ServiceAccount | None


def observe(cache: Cache, key: str) -> Snapshot | None:
    secret = cache.of(SECRETS, Secret).get(*split(key))
    if secret is None or secret.type != TYPE:
        return None
    name = secret.metadata.annotations.get(NAME, "")
    return Snapshot(secret, cache.of(SERVICE_ACCOUNTS, ServiceAccount).get(secret.metadata.namespace, name))


def reconcile(mint: Mint, root_ca: str, seen: Snapshot, now: float) -> Plan:
    secret, account = seen.secret, seen.account
    meta = secret.metadata
    uid = meta.annotations.get(UID, "")
    if account is None or (uid and uid != account.metadata.uid):
        return Plan((Delete(SECRETS, meta.namespace, meta.name, uid=meta.uid),)) if not meta.deleting else NOTHING
    wanted = {"ca.crt": _encoded(root_ca), "namespace": _encoded(meta.namespace)}
    data = {key: value for key, value in wanted.items() if secret.data.get(key) != value}
    if not secret.data.get("token"):
        token = mint(meta.namespace, account.metadata.name, account.metadata.uid, meta.name, meta.uid)
        data["token"] = _encoded(token)
    patch: dict[str, object] = {}
    if data:
        patch["data"] = data
    if not uid:
        patch["metadata"] = {"annotations": {UID: account.metadata.uid}}
    if not patch:
        return NOTHING
    return Plan(
        (Patch(SECRETS, meta.namespace, meta.name, patch, uid=meta.uid, resource_version=meta.resourceVersion),)
    )


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _keys_of_account(cache: Cache, account: ServiceAccount) -> Iterable[str]:
    for secret in cache.of(SECRETS, Secret).in_namespace(account.metadata.namespace):
        if secret.type == TYPE and secret.metadata.annotations.get(NAME) == account.metadata.name:
            yield f"{secret.metadata.namespace}/{secret.metadata.name}"


def controller(config: Config) -> Controller | None:
    """Fills token Secrets, if there is somebody to sign."""
    if config.mint is None:
        return None
    return Controller(
        name="serviceaccount-token",
        watches=(Watch(SECRETS, Secret, own), Watch(SERVICE_ACCOUNTS, ServiceAccount, _keys_of_account)),
        observe=observe,
        reconcile=partial(reconcile, config.mint, config.root_ca),
    )


def observe_bootstrap(cache: Cache, key: str) -> Secret | None:
    secret = cache.of(SECRETS, Secret).get(*split(key))
    return secret if secret is not None and secret.type == BOOTSTRAP else None


def reconcile_bootstrap(secret: Secret, now: float) -> Plan:
    text = base64.b64decode(secret.data.get("expiration", "")).decode("utf-8", "replace")
    if not text or not times.is_time(text) or secret.metadata.deleting:
        return NOTHING
    left = times.parse(text) - now
    if left > 0:
        return Plan(requeue_after=left)
    return Plan((Delete(SECRETS, secret.metadata.namespace, secret.metadata.name, uid=secret.metadata.uid),))


TOKEN_CLEANER = Controller(
    name="token-cleaner",
    watches=(
        Watch(SECRETS, Secret, lambda cache, one: own(cache, one) if one.metadata.namespace == "kube-system" else ()),
    ),
    observe=observe_bootstrap,
    reconcile=reconcile_bootstrap,
)
