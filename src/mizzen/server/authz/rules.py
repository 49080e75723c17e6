"""One rule of a role: what it matches, what it covers of another rule, and how it is written in messages.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mizzen.machinery.errors import Object

ALL = "*"


@dataclass(frozen=True, slots=True)
class Rule:
    """A PolicyRule of a Role or ClusterRole."""

    verbs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    @classmethod
    def parse(cls, rule: Object) -> "Rule":
        return cls(
            tuple(rule.get("verbs") or ()),
            tuple(rule.get("apiGroups") or ()),
            tuple(rule.get("resources") or ()),
            tuple(rule.get("resourceNames") or ()),
            tuple(rule.get("nonResourceURLs") or ()),
        )

    def allows_resource(self, verb: str, group: str, resource: str, subresource: str) -> bool:
        """Whether it allows the verb on the resource, for at least some names."""
        if verb not in self.verbs and ALL not in self.verbs:
            return False
        if group not in self.groups and ALL not in self.groups:
            return False
        return _names_resource(self.resources, resource, subresource)

    def allows_name(self, name: str) -> bool:
        return not self.names or name in self.names

    def allows_path(self, verb: str, path: str) -> bool:
        if verb not in self.verbs and ALL not in self.verbs:
            return False
        return any(_covers_path(held, path) for held in self.paths)

    def __str__(self) -> str:
        parts = [
            f"{label}:[{' '.join(_quoted(value) for value in values)}]"
            for label, values in (
                ("APIGroups", self.groups),
                ("Resources", self.resources),
                ("ResourceNames", self.names),
                ("NonResourceURLs", self.paths),
                ("Verbs", self.verbs),
            )
            if values
        ]
        return "{" + ", ".join(parts) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _names_resource(held: Sequence[str], resource: str, subresource: str) -> bool:
    if ALL in held:
        return True
    if not subresource:
        return resource in held
    return f"{resource}/{subresource}" in held or f"*/{subresource}" in held


def _covers_path(held: str, path: str) -> bool:
    return held in (ALL, path) or (held.endswith(ALL) and path.startswith(held[:-1]))


def not_covered(wanted: Iterable[Rule], held: Sequence[Rule]) -> list[Rule]:
    """What of the wanted rules the held ones do not give, joined where only the verbs differ."""
    missing = [atom for rule in wanted for atom in _atoms(rule) if not any(_covers(rule, atom) for rule in held)]
    joined: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for atom in missing:
        verbs = joined.setdefault((atom.groups, atom.resources, atom.names, atom.paths), [])
        verbs.extend(verb for verb in atom.verbs if verb not in verbs)
    return [Rule(tuple(verbs), *place) for place, verbs in joined.items()]


def _atoms(rule: Rule) -> Iterator[Rule]:
    """The rule taken apart: one verb and one thing each."""
    for path in rule.paths:
        for verb in rule.verbs:
            yield Rule((verb,), paths=(path,))
    for group in rule.groups:
        for resource in rule.resources:
            for name in rule.names or (None,):
                for verb in rule.verbs:
                    yield Rule((verb,), (group,), (resource,), () if name is None else (name,))


def _covers(held: Rule, atom: Rule) -> bool:
    if atom.verbs[0] not in held.verbs and ALL not in held.verbs:
        return False
    if atom.paths:
        return any(_covers_path(path, atom.paths[0]) for path in held.paths)
    if atom.groups[0] not in held.groups and ALL not in held.groups:
        return False
    resource, _, subresource = atom.resources[0].partition("/")
    if not _names_resource(held.resources, resource, subresource) and atom.resources[0] not in held.resources:
        return False
    return not held.names or (bool(atom.names) and atom.names[0] in held.names)
