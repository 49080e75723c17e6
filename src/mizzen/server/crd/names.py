"""Names of custom kinds, unique within their group, and who has them; and whether a group may be used at all.

Plural, singular and short names share one space, kind and list kind another.
"""

from collections.abc import Iterable, Iterator

from mizzen.api.apiextensions import customresourcedefinition
from mizzen.api.apiextensions.customresourcedefinition import is_protected
from mizzen.machinery.errors import Object

Owners = dict[tuple[str, str], str]
"""The definition that has a name, by group and by space and name."""
Why = tuple[str, str]
"""Reason and message of a condition."""

CONFORMANT = "KubernetesAPIApprovalPolicyConformant"
_SPACES = {
    "plural": "names",
    "singular": "names",
    "shortNames": "names",
    "kind": "kinds",
    "listKind": "kinds",
}


def claims(definition: Object) -> Iterator[tuple[str, str]]:
    """What a definition asks for, as it is looked up among the owners: group, and space and name."""
    spec = definition["spec"]
    for field, space in _SPACES.items():
        for name in _of(spec["names"], field):
            yield spec["group"], f"{space} {name}"


def conflicts(key: str, definition: Object, owners: Owners) -> dict[str, list[str]]:
    """The names that other definitions have already, by field."""
    spec = definition["spec"]
    taken: dict[str, list[str]] = {}
    for field, space in _SPACES.items():
        for name in _of(spec["names"], field):
            if owners.get((spec["group"], f"{space} {name}"), key) != key:
                taken.setdefault(field, []).append(name)
    return taken


def refusal(taken: dict[str, list[str]]) -> Why | None:
    """Why names are not accepted; the last field tells for all."""
    if not taken:
        return None
    field, names = list(taken.items())[-1]
    texts = [f'"{name}" is already in use' for name in names]
    return f"{field[0].upper()}{field[1:]}Conflict", texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def accepted(asked: Object, before: Object, taken: Iterable[str]) -> Object:
    """The names that a definition has now: of what it asks for all but what is taken, there what it had before."""
    kept = {field: before[field] for field in taken if before.get(field)}
    given = {field: value for field, value in asked.items() if field not in taken}
    return {"plural": "", "kind": ""} | given | kept


def approval(definition: Object) -> tuple[str, Why] | None:
    """Whether a definition in a group of the Kubernetes community is approved: status, reason and message."""
    if not is_protected(definition["spec"]["group"]):
        return None
    state, told = customresourcedefinition.approval(definition)
    return "True" if state == "Approved" else "False", (f"{state}Annotation", told)


def _of(names: Object, field: str) -> list[str]:
    value = names.get(field)
    return [name for name in (value if isinstance(value, list) else [value]) if name]
