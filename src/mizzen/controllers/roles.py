"""ClusterRole aggregation: roles that gather the rules of all roles their selectors match.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles
"""

from dataclasses import dataclass

from mizzen.api.views.rbac import ClusterRole
from mizzen.client.cache import Cache
from mizzen.client.resources import CLUSTER_ROLES
from mizzen.machinery.errors import Object
from mizzen.reconcile.controller import Controller, Watch
from mizzen.reconcile.plan import NOTHING, Patch, Plan


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An aggregating role and those it gathers, by name."""

    role: ClusterRole
    sources: tuple[ClusterRole, ...]


def observe(cache: Cache, key: str) -> Snapshot | None:
    table = cache.of(CLUSTER_ROLES, ClusterRole)
    role = table.get("", key)
    if role is None or role.aggregationRule is None:
        return None
    selectors = role.aggregationRule.clusterRoleSelectors
    sources = [
        one
        for one in table
        if one.metadata.name != key and any(selector.matches(one.metadata.labels) for selector in selectors)
    ]
    return Snapshot(role, tuple(sorted(sources, key=lambda one: one.metadata.name)))


def reconcile(seen: Snapshot, now: float) -> Plan:
    rules: list[Object] = []
    for source in seen.sources:
        rules += (rule for rule in source.rules if rule not in rules)
    meta = seen.role.metadata
    if rules == list(seen.role.rules) or meta.deleting:
        return NOTHING
    return Plan((Patch(CLUSTER_ROLES, "", meta.name, {"rules": rules}, uid=meta.uid),))


def _keys(cache: Cache, changed: ClusterRole) -> tuple[str, ...]:
    """The role itself, and every aggregating one that may gather it."""
    table = cache.of(CLUSTER_ROLES, ClusterRole)
    gathering = (one for one in table if one.aggregationRule is not None)
    return tuple({one.metadata.name for one in gathering} | {changed.metadata.name})


CONTROLLER = Controller(
    name="clusterrole-aggregation",
    watches=(Watch(CLUSTER_ROLES, ClusterRole, _keys, lambda old, new: old != new),),
    observe=observe,
    reconcile=reconcile,
)
