"""What every namespace is born with: the `default` ServiceAccount and the cluster's root certificate.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
"""

from dataclasses import dataclass
from functools import partial

from mizzen.api.views.core import ConfigMap, Namespace, ServiceAccount
from mizzen.client.cache import Cache
from mizzen.client.resources import CONFIG_MAPS, NAMESPACES, SERVICE_ACCOUNTS
from mizzen.controllers.config import Config
from mizzen.reconcile.controller import Controller, Watch, own
from mizzen.reconcile.plan import NOTHING, Create, Patch, Plan

ROOT_CA = "kube-root-ca.crt"
_DESCRIPTION = {"kubernetes.io/description": "Certificates of the authority that the API server's own is signed by."}


@dataclass(frozen=True, slots=True)
class Accounts:
    """A live namespace and whether its default account exists."""

    namespace: str
    exists: bool


@dataclass(frozen=True, slots=True)
class Published:
    """A live namespace and the root certificate that stands in it."""

    namespace: str
    found: ConfigMap | None


def _is_live(cache: Cache, name: str) -> bool:
    namespace = cache.of(NAMESPACES, Namespace).get("", name)
    return namespace is not None and not namespace.metadata.deleting


def observe_account(cache: Cache, key: str) -> Accounts | None:
    if not _is_live(cache, key):
        return None
    return Accounts(key, cache.of(SERVICE_ACCOUNTS, ServiceAccount).get(key, "default") is not None)


def reconcile_account(seen: Accounts, now: float) -> Plan:
    if seen.exists:
        return NOTHING
    meta = {"name": "default", "namespace": seen.namespace}
    return Plan((Create(SERVICE_ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}),))


def observe_root(cache: Cache, key: str) -> Published | None:
    return Published(key, cache.of(CONFIG_MAPS, ConfigMap).get(key, ROOT_CA)) if _is_live(cache, key) else None


def reconcile_root(root_ca: str, seen: Published, now: float) -> Plan:
    data = {"ca.crt": root_ca}
    if seen.found is None:
        meta = {"name": ROOT_CA, "namespace": seen.namespace, "annotations": _DESCRIPTION}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
        return Plan((Create(CONFIG_MAPS, body),))
    if seen.found.data == data and not seen.found.binaryData:
        return NOTHING
    wanted: dict[str, str | None] = dict.fromkeys(seen.found.data)
    return Plan((Patch(CONFIG_MAPS, seen.namespace, ROOT_CA, {"data": wanted | data, "binaryData": None}),))


SERVICE_ACCOUNT = Controller(
    name="serviceaccount",
    watches=(
        Watch(NAMESPACES, Namespace, own),
        Watch(
            SERVICE_ACCOUNTS,
            ServiceAccount,
            lambda _cache, seen: (seen.metadata.namespace,) if seen.metadata.name == "default" else (),
        ),
    ),
    observe=observe_account,
    reconcile=reconcile_account,
    component="serviceaccount-controller",
)


def root_ca(config: Config) -> Controller:
    """Publishes the configured root certificate in every namespace."""
    return Controller(
        name="root-ca-certificate-publisher",
        watches=(
            Watch(NAMESPACES, Namespace, own),
            Watch(
                CONFIG_MAPS,
                ConfigMap,
                lambda _cache, seen: (seen.metadata.namespace,) if seen.metadata.name == ROOT_CA else (),
            ),
        ),
        observe=observe_root,
        reconcile=partial(reconcile_root, config.root_ca),
    )
