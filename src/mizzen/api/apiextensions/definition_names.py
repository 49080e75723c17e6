"""Names of a custom kind: plural, singular, kind, list kind, short names, categories."""

from collections.abc import Iterator

from mizzen.api.rules import fields
from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, Object, invalid, required

_MIXED_CASE = "may have mixed case, but should otherwise match: "


def default(given: Object) -> None:
    kind = given.get("kind") or ""
    if not given.get("singular") and kind:
        given["singular"] = kind.lower()
    if not given.get("listKind") and kind:
        given["listKind"] = f"{kind}List"


def errors(path: str, given: Object) -> Iterator[FieldError]:
    """Some names are required; whatever is given is of the right form."""
    for field in ("plural", "singular", "kind", "listKind"):
        if not given.get(field):
            yield required(f"{path}.{field}")
    yield from form_errors(path, given)


def form_errors(path: str, given: Object) -> Iterator[FieldError]:
    for field in ("plural", "singular"):
        if given.get(field):
            yield from fields.joined(f"{path}.{field}", given[field], names.dns1035_label)
    for field in ("kind", "listKind"):
        if given.get(field):
            yield from fields.joined(f"{path}.{field}", given[field], _in_any_case, _MIXED_CASE)
    for field in ("shortNames", "categories"):
        for i, name in enumerate(given.get(field) or ()):
            yield from fields.joined(f"{path}.{field}[{i}]", name, names.dns1035_label)
    if given.get("kind") and given.get("kind") == given.get("listKind"):
        yield invalid(f"{path}.listKind", given["listKind"], "kind and listKind may not be the same")


def _in_any_case(name: str) -> list[str]:
    return names.dns1035_label(name.lower())
