"""Tokens in Secrets that came with ServiceAccounts of old and that nobody uses: marked invalid, a year later deleted.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#legacy-serviceaccount-token-cleaner
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mizzen.api.views.core import ConfigMap, Pod, Secret, ServiceAccount
from mizzen.client.cache import Cache
from mizzen.client.resources import CONFIG_MAPS, PODS, SECRETS, SERVICE_ACCOUNTS
from mizzen.controllers.status import created_at
from mizzen.machinery import times
from mizzen.reconcile.controller import Controller, Watch, key_of, split
from mizzen.reconcile.plan import NOTHING, Delete, Patch, Plan

TYPE = "kubernetes.io/service-account-token"
ACCOUNT = "kubernetes.io/service-account.name"
LAST_USED = "kubernetes.io/legacy-token-last-used"
INVALID_SINCE = "kubernetes.io/legacy-token-invalid-since"
TRACKING = ("kube-system", "kube-apiserver-legacy-service-account-token-tracking")
_DAY = 86400.0
_KEPT = 365 * _DAY
"""Seconds without use after which a token is marked, and after which a marked one goes."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A Secret with a token, since when uses are noted (None: not at all), and who has to do with it."""

    secret: Secret
    tracked_since: float | None
    made_for_account: bool
    mounted: bool


def observe(cache: Cache, key: str) -> Snapshot | None:
    secret = cache.of(SECRETS, Secret).get(*split(key))
    if secret is None or secret.type != TYPE or secret.metadata.deleting:
        return None
    meta = secret.metadata
    tracking = cache.of(CONFIG_MAPS, ConfigMap).get(*TRACKING)
    since = _day(tracking.data.get("since", "")) if tracking is not None else None
    account = cache.of(SERVICE_ACCOUNTS, ServiceAccount).get(meta.namespace, meta.annotations.get(ACCOUNT, ""))
    made = account is not None and any(one.name == meta.name for one in account.secrets)
    pods = cache.of(PODS, Pod).in_namespace(meta.namespace)
    return Snapshot(secret, since, made, any(_mounts(pod, meta.name) for pod in pods))


def _mounts(pod: Pod, name: str) -> bool:
    return any(one.secret is not None and one.secret.secretName == name for one in pod.spec.volumes)


def reconcile(seen: Snapshot, now: float) -> Plan:
    """Only tokens that were made along with their account; those that people made themselves are theirs."""
    meta = seen.secret.metadata
    used = max(created_at(meta), _day(meta.labels.get(LAST_USED, "")) or 0.0)
    if seen.tracked_since is None or not seen.made_for_account or seen.mounted:
        return NOTHING
    if max(used, seen.tracked_since) + _KEPT > now:
        return NOTHING
    marked = _day(meta.labels.get(INVALID_SINCE, ""))
    if marked is None:
        patch = {"metadata": {"labels": {INVALID_SINCE: times.format(now)[:10]}}}
        return Plan((Patch(SECRETS, meta.namespace, meta.name, patch, resource_version=meta.resourceVersion),))
    if marked + _KEPT > now:
        return NOTHING
    revision = meta.resourceVersion
    return Plan((Delete(SECRETS, meta.namespace, meta.name, uid=meta.uid, resource_version=revision),))


def _day(text: str) -> float | None:
    """The beginning of a day like 2026-01-31."""
    moment = f"{text}T00:00:00Z"
    return times.parse(moment) if times.is_time(moment) else None


def _tokens(cache: Cache) -> Iterable[str]:
    return [key_of(secret) for secret in cache.of(SECRETS, Secret) if secret.type == TYPE]


CONTROLLER = Controller(
    name="legacy-serviceaccount-token-cleaner",
    watches=(
        Watch(SECRETS, Secret),
        Watch(SERVICE_ACCOUNTS, ServiceAccount),
        Watch(CONFIG_MAPS, ConfigMap),
        Watch(PODS, Pod),
    ),
    observe=observe,
    reconcile=reconcile,
    resync=_tokens,
    resync_seconds=_DAY,
)
