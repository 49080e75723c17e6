"""RBAC from memory: bindings indexed by subject, and per user and namespace a table of what is allowed.

Tables are made when first asked for and thrown away when any role or binding changes, so a decision is two
dictionary look-ups.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from mizzen.api.rbac.clusterrole import CLUSTER_ROLE
from mizzen.api.rbac.clusterrolebinding import CLUSTER_ROLE_BINDING
from mizzen.api.rbac.role import ROLE
from mizzen.api.rbac.rolebinding import ROLE_BINDING
from mizzen.machinery.errors import Object
from mizzen.machinery.identity import Identity
from mizzen.server.authn.serviceaccounts import username
from mizzen.server.authz.rules import Rule
from mizzen.server.seams import Attributes, Decision, Reader

_TABLES: Final = 4096
_ANSWERS: Final = 1024
_NO: Final = Decision(False)

Subject = tuple[str, str]
"""("User" or "Group", name); a ServiceAccount is the user it authenticates as."""


@dataclass(frozen=True, slots=True)
class _Grant:
    """One binding for one of its subjects: a role, and the words that say why it allows."""

    binding: str
    namespace: str
    role_kind: str
    role: str
    reason: str


@dataclass(slots=True)
class _Table:
    """What one user may do in one namespace (or at the cluster scope)."""

    rules: tuple[tuple[Rule, str], ...]
    problems: tuple[str, ...]
    answers: dict[tuple[str, str, str, str], tuple[tuple[Rule, Decision], ...]] = field(default_factory=dict)


class Rbac:
    """The RBAC authorizer."""

    def __init__(self, reader: Reader) -> None:
        self._roles: dict[str, tuple[Rule, ...]] = {}
        self._cluster_roles: dict[str, tuple[Rule, ...]] = {}
        self._grants: dict[str, dict[Subject, dict[str, _Grant]]] = {}
        self._tables: dict[tuple[str, tuple[str, ...], str], _Table] = {}
        reader.subscribe(ROLE, self._role_changed(self._roles))
        reader.subscribe(CLUSTER_ROLE, self._role_changed(self._cluster_roles))
        reader.subscribe(ROLE_BINDING, self._binding_changed)
        reader.subscribe(CLUSTER_ROLE_BINDING, self._binding_changed)

    def authorize(self, attributes: Attributes) -> Decision:
        table = self._table(attributes.user, attributes.namespace)
        if not attributes.resource:
            return self._path(table, attributes)
        key = (attributes.verb, attributes.group, attributes.resource, attributes.subresource)
        candidates = table.answers.get(key)
        if candidates is None:
            candidates = _candidates(table, key)
            if len(table.answers) >= _ANSWERS:
                table.answers.clear()
            table.answers[key] = candidates
        for rule, decision in candidates:
            if rule.allows_name(attributes.name):
                return decision
        return self._refusal(table)

    def rules(self, user: Identity, namespace: str) -> tuple[tuple[Rule, ...], tuple[str, ...]]:
        """All rules that hold for a user in a namespace, and what kept others from being found."""
        table = self._table(user, namespace)
        return tuple(rule for rule, _ in table.rules), table.problems

    def role_rules(self, kind: str, namespace: str, name: str) -> tuple[Rule, ...] | None:
        """The rules of a Role or ClusterRole; None when there is no such role."""
        return self._cluster_roles.get(name) if kind == "ClusterRole" else self._roles.get(f"{namespace}/{name}")

    def _path(self, table: _Table, attributes: Attributes) -> Decision:
        for rule, reason in table.rules:
            if rule.allows_path(attributes.verb, attributes.path):
                return Decision(True, reason)
        return self._refusal(table)

    @staticmethod
    def _refusal(table: _Table) -> Decision:
        if not table.problems:
            return _NO
        problems = ", ".join(table.problems)
        return Decision(False, f"RBAC: [{problems}]" if len(table.problems) > 1 else f"RBAC: {problems}")

    def _table(self, user: Identity, namespace: str) -> _Table:
        key = (user.name, user.groups, namespace)
        table = self._tables.get(key)
        if table is None:
            if len(self._tables) >= _TABLES:
                self._tables.clear()
            table = self._tables[key] = self._resolve(user, namespace)
        return table

    def _resolve(self, user: Identity, namespace: str) -> _Table:
        rules: list[tuple[Rule, str]] = []
        problems: list[str] = []
        for grant in self._held(user, namespace):
            held = self.role_rules(grant.role_kind, grant.namespace, grant.role)
            if held is None:
                noun = (
                    "clusterrole.rbac.authorization.k8s.io"
                    if grant.role_kind == "ClusterRole"
                    else "role.rbac.authorization.k8s.io"
                )
                problem = f'{noun} "{grant.role}" not found'
                if problem not in problems:
                    problems.append(problem)
                continue
            rules.extend((rule, grant.reason) for rule in held)
        return _Table(tuple(rules), tuple(problems))

    def _held(self, user: Identity, namespace: str) -> Iterator[_Grant]:
        """Grants of the cluster first, then those of the namespace."""
        subjects: list[Subject] = [("User", user.name), *(("Group", group) for group in user.groups)]
        for place in ("", namespace) if namespace else ("",):
            grants = self._grants.get(place)
            if grants:
                for subject in subjects:
                    yield from grants.get(subject, {}).values()

    def _role_changed(self, roles: dict[str, tuple[Rule, ...]]) -> Callable[[str, Object | None, Object | None], None]:
        def changed(key: str, old: Object | None, new: Object | None) -> None:
            if new is None:
                roles.pop(key, None)
            else:
                roles[key] = tuple(Rule.parse(rule) for rule in new.get("rules") or ())
            self._tables.clear()

        return changed

    def _binding_changed(self, key: str, old: Object | None, new: Object | None) -> None:
        if old is not None:
            self._remove(old)
        if new is not None:
            self._add(new)
        self._tables.clear()

    def _add(self, binding: Object) -> None:
        metadata, role = binding["metadata"], binding["roleRef"]
        namespace = metadata.get("namespace", "")
        grants = self._grants.setdefault(namespace, {})
        for subject in binding.get("subjects") or ():
            reason = _reason(binding, role, subject)
            grant = _Grant(metadata["name"], namespace, role["kind"], role["name"], reason)
            grants.setdefault(_subject(subject, namespace), {})[metadata["name"]] = grant

    def _remove(self, binding: Object) -> None:
        metadata = binding["metadata"]
        grants = self._grants.get(metadata.get("namespace", ""), {})
        for subject in binding.get("subjects") or ():
            key = _subject(subject, metadata.get("namespace", ""))
            held = grants.get(key, {})
            held.pop(metadata["name"], None)
            if not held:
                grants.pop(key, None)


def _candidates(table: _Table, key: tuple[str, str, str, str]) -> tuple[tuple[Rule, Decision], ...]:
    """The rules that may allow this, up to the first that does so for every name."""
    found: list[tuple[Rule, Decision]] = []
    for rule, reason in table.rules:
        if rule.allows_resource(*key):
            found.append((rule, Decision(True, reason)))
            if not rule.names:
                break
    return tuple(found)


def _subject(subject: Object, namespace: str) -> Subject:
    if subject["kind"] == "ServiceAccount":
        return "User", username(subject.get("namespace") or namespace, subject["name"])
    return subject["kind"], subject["name"]


def _reason(binding: Object, role: Object, subject: Object) -> str:
    """Why it is allowed, as the `reason` of a review has it."""
    namespace, name = binding["metadata"].get("namespace", ""), binding["metadata"]["name"]
    bound = f'RoleBinding "{name}/{namespace}"' if namespace else f'ClusterRoleBinding "{name}"'
    who = subject["name"]
    if subject["kind"] == "ServiceAccount":
        who = f"{subject['name']}/{subject.get('namespace') or namespace}"
    return f'RBAC: allowed by {bound} of {role["kind"]} "{role["name"]}" to {subject["kind"]} "{who}"'
