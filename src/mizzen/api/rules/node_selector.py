"""Node selectors: terms of requirements on a node's labels and fields, one of which must hold."""

from collections.abc import Iterator

from mizzen.api.rules import fields
from mizzen.machinery import labels, names
from mizzen.machinery.errors import FieldError, Object, invalid, required


def errors(path: str, selector: Object) -> Iterator[FieldError]:
    """All that is wrong with a node selector."""
    terms = selector.get("nodeSelectorTerms") or ()
    if not terms:
        yield required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")
    for i, term in enumerate(terms):
        yield from term_errors(f"{path}.nodeSelectorTerms[{i}]", term)


def term_errors(path: str, term: Object) -> Iterator[FieldError]:
    """What is wrong with one term, down to the values that no label can have."""
    yield from wish_errors(path, term)
    for i, requirement in enumerate(term.get("matchExpressions") or ()):
        for j, value in enumerate(requirement.get("values") or ()):
            yield from fields.matches(f"{path}.matchExpressions[{i}].values[{j}]", value, names.label_value)


def wish_errors(path: str, term: Object) -> Iterator[FieldError]:
    """What is wrong with a term that is a mere preference: its values may be anything."""
    for i, requirement in enumerate(term.get("matchExpressions") or ()):
        yield from _expression_errors(f"{path}.matchExpressions[{i}]", requirement)
    for i, requirement in enumerate(term.get("matchFields") or ()):
        yield from _field_errors(f"{path}.matchFields[{i}]", requirement)


def _expression_errors(path: str, requirement: Object) -> Iterator[FieldError]:
    operator, values = requirement.get("operator") or "", requirement.get("values") or ()
    match operator:
        case "In" | "NotIn" | "Exists" | "DoesNotExist":
            yield from labels.presence_errors(path, operator, values)
        case "Gt" | "Lt":
            if len(values) != 1:
                yield required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
        case _:
            yield invalid(f"{path}.operator", operator, "not a valid selector operator")
    yield from fields.qualified_name(f"{path}.key", requirement.get("key") or "")


def _field_errors(path: str, requirement: Object) -> Iterator[FieldError]:
    values, operator = requirement.get("values") or (), requirement.get("operator") or ""
    if operator not in {"In", "NotIn"}:
        yield invalid(f"{path}.operator", operator, "not a valid selector operator")
    elif len(values) != 1:
        detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        yield required(f"{path}.values", detail)
    if requirement.get("key") != "metadata.name":
        yield invalid(f"{path}.key", requirement.get("key") or "", "not a valid field selector key")
        return
    for i, value in enumerate(values):
        yield from fields.subdomain(f"{path}.values[{i}]", value)
