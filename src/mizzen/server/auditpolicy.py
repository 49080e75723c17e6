"""The audit policy: how much is written about which requests, and at which of their stages.

Ref: https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from mizzen.machinery.identity import Identity
from mizzen.server.requestinfo import RequestInfo

RECEIVED: Final = "RequestReceived"
STARTED: Final = "ResponseStarted"
COMPLETE: Final = "ResponseComplete"
PANIC: Final = "Panic"
_STAGES: Final = frozenset((RECEIVED, STARTED, COMPLETE, PANIC))


class Level(IntEnum):
    """How much of a request is written down."""

    NOTHING = 0
    METADATA = 1
    REQUEST = 2
    REQUEST_RESPONSE = 3


_LEVELS: Final = {
    "None": Level.NOTHING,
    "Metadata": Level.METADATA,
    "Request": Level.REQUEST,
    "RequestResponse": Level.REQUEST_RESPONSE,
}
LEVEL_NAMES: Final = {level: name for name, level in _LEVELS.items()}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a policy; what is empty matches everything."""

    level: Level
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    verbs: frozenset[str] = frozenset()
    resources: tuple[tuple[str, frozenset[str], frozenset[str]], ...] = ()
    """(group, resources, names)."""
    namespaces: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()
    silent: frozenset[str] = frozenset()
    """Stages at which nothing is written."""
    omits_managed_fields: bool = False

    def matches(self, info: RequestInfo, user: Identity | None) -> bool:
        if self.users and (user is None or user.name not in self.users):
            return False
        if self.groups and (user is None or self.groups.isdisjoint(user.groups)):
            return False
        if self.verbs and info.verb not in self.verbs:
            return False
        if not self.resources and not self.namespaces and not self.paths:
            return True
        if info.is_resource:
            return not self.paths and self._matches_resource(info)
        return any(path == info.path or (path.endswith("*") and info.path.startswith(path[:-1])) for path in self.paths)

    def _matches_resource(self, info: RequestInfo) -> bool:
        if self.namespaces and info.namespace not in self.namespaces:
            return False
        if not self.resources:
            return True
        combined = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
        wanted = {combined, "*", f"*/{info.subresource}", f"{info.resource}/*"}
        return any(
            group == info.group and (not resources or resources & wanted) and (not names or info.name in names)
            for group, resources, names in self.resources
        )


def parse_policy(policy: Mapping[str, Any]) -> tuple[Rule, ...]:
    """The rules of an audit.k8s.io Policy. Raises ValueError."""
    omitted = frozenset(policy.get("omitStages") or ())
    omits_managed_fields = bool(policy.get("omitManagedFields"))
    return tuple(_rule(rule, omitted, omits_managed_fields) for rule in policy.get("rules") or ())


def _rule(rule: Mapping[str, Any], omitted: frozenset[str], omits_managed_fields: bool) -> Rule:
    if rule.get("level") not in _LEVELS:
        raise ValueError(f"unknown audit level {rule.get('level')!r}")
    silent = omitted | frozenset(rule.get("omitStages") or ())
    if unknown := silent - _STAGES:
        raise ValueError(f"unknown audit stages {sorted(unknown)}")
    own = rule.get("omitManagedFields")
    return Rule(
        _LEVELS[rule["level"]],
        frozenset(rule.get("users") or ()),
        frozenset(rule.get("userGroups") or ()),
        frozenset(rule.get("verbs") or ()),
        tuple(
            (
                entry.get("group", ""),
                frozenset(entry.get("resources") or ()),
                frozenset(entry.get("resourceNames") or ()),
            )
            for entry in rule.get("resources") or ()
        ),
        frozenset(rule.get("namespaces") or ()),
        tuple(rule.get("nonResourceURLs") or ()),
        silent,
        omits_managed_fields if own is None else bool(own),
    )
