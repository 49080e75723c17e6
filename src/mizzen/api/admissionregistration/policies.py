"""What validating and mutating admission policies, and their bindings, have in common."""

import re
from collections.abc import Iterator

from mizzen.api.admissionregistration import matching
from mizzen.api.columns import UNSET
from mizzen.api.rules import expressions, fields
from mizzen.machinery import labels, names
from mizzen.machinery.errors import FieldError, Object, duplicate, forbidden, invalid, not_supported, required

VARIABLES = ("object", "oldObject", "request", "authorizer", "namespaceObject", "variables")
NOT_FOUND_ACTIONS = ("Allow", "Deny")
_identifier = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*").fullmatch
_RESERVED = frozenset(
    (
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if"),
        *("import", "let", "loop", "package", "namespace", "return", "var", "void", "while"),
    )
)


def default_constraints(constraints: Object | None) -> None:
    if constraints is None:
        return
    matching.default_selectors(constraints)
    for field in ("resourceRules", "excludeResourceRules"):
        matching.default_rules(constraints.get(field))


def declared(spec: Object) -> tuple[str, ...]:
    """The variables that a policy declares, as members of `variables`."""
    return tuple(entry.get("name") or "" for entry in spec.get("variables") or ())


def variables(spec: Object) -> tuple[str, ...]:
    """What the expressions of a policy may speak of."""
    return (*VARIABLES, "params") if spec.get("paramKind") is not None else VARIABLES


def constraint_errors(path: str, constraints: Object, *, needs_rules: bool) -> Iterator[FieldError]:
    yield from matching.selector_errors(path, constraints)
    for field in ("resourceRules", "excludeResourceRules"):
        for i, rule in enumerate(constraints.get(field) or ()):
            yield from matching.rule_errors(f"{path}.{field}[{i}]", rule)
            given = rule.get("resourceNames") or []
            for j, resource_name in enumerate(given):
                yield from fields.matches(f"{path}.{field}[{i}].resourceNames[{j}]", resource_name, names.path_segment)
                if resource_name in given[:j]:
                    yield duplicate(f"{path}.{field}[{i}].resourceNames[{j}]", resource_name)
    if needs_rules and not constraints.get("resourceRules"):
        yield required(f"{path}.resourceRules")


def spec_errors(spec: Object) -> Iterator[FieldError]:
    """What must hold of any policy: failure policy, params, constraints, variables and conditions."""
    yield from fields.one_of("spec.failurePolicy", spec.get("failurePolicy"), matching.FAILURE_POLICIES)
    param = spec.get("paramKind")
    if param is not None:
        yield from _param_kind_errors("spec.paramKind", param)
    constraints = spec.get("matchConstraints")
    if constraints is None:
        yield required("spec.matchConstraints")
    else:
        yield from constraint_errors("spec.matchConstraints", constraints, needs_rules=True)
        if constraints.get("matchPolicy") is None:
            yield required("spec.matchConstraints.matchPolicy")
    known = variables(spec)
    yield from _variable_errors(spec.get("variables") or (), known)
    plain = tuple(name for name in known if name != "variables")
    yield from matching.condition_errors("spec.matchConditions", spec.get("matchConditions") or [], plain)


def _param_kind_errors(path: str, param: Object) -> Iterator[FieldError]:
    version = param.get("apiVersion") or ""
    if not version:
        yield required(f"{path}.apiVersion")
    elif version.count("/") > 1:
        yield invalid(f"{path}.apiVersion", version, f"unexpected GroupVersion string: {version}")
    else:
        yield from _version_errors(f"{path}.apiVersion", version)
    kind = param.get("kind") or ""
    if not kind:
        yield required(f"{path}.kind")
    elif problems := names.dns1035_label(kind.lower()):
        detail = f"may have mixed case, but should otherwise match: {','.join(problems)}"
        yield invalid(f"{path}.kind", kind, detail)


def _version_errors(path: str, api_version: str) -> Iterator[FieldError]:
    group, _, version = api_version.rpartition("/")
    if group:
        yield from fields.joined(path, group, names.dns1123_subdomain)
    if version:
        yield from fields.joined(path, version, names.dns1035_label)
    else:
        yield invalid(path, api_version, "version must be specified")


def _variable_errors(entries: list[Object] | tuple[()], known: tuple[str, ...]) -> Iterator[FieldError]:
    for i, entry in enumerate(entries):
        path, name = f"spec.variables[{i}]", entry.get("name") or ""
        if not name.strip():
            yield required(f"{path}.name", "name is not specified")
        elif not _identifier(name) or name in _RESERVED:
            yield invalid(f"{path}.name", name, "name is not a valid CEL identifier")
        before = [one.get("name") or "" for one in entries[:i]]
        yield from expressions.errors(f"{path}.expression", entry.get("expression"), known, "dyn", declared=before)


def binding_errors(spec: Object) -> Iterator[FieldError]:
    """What must hold of any binding: the policy's name, params, and the requests it is narrowed to."""
    policy = spec.get("policyName")
    if policy:
        yield from fields.subdomain("spec.policyName", policy)
    else:
        yield required("spec.policyName")
    reference = spec.get("paramRef")
    if reference is not None:
        yield from _reference_errors("spec.paramRef", reference)
    resources = spec.get("matchResources")
    if resources is not None:
        yield from constraint_errors("spec.matchResources", resources, needs_rules=False)


def _reference_errors(path: str, reference: Object) -> Iterator[FieldError]:
    name, selector = reference.get("name"), reference.get("selector")
    if name:
        yield from fields.matches(f"{path}.name", name, names.path_segment)
        if selector is not None:
            yield forbidden(f"{path}.name", "name and selector are mutually exclusive")
    elif selector is None:
        yield required(path, "one of name or selector must be specified")
    yield from labels.validate_selector(selector, f"{path}.selector")
    if name and selector is not None:
        yield forbidden(f"{path}.selector", "name and selector are mutually exclusive")
    action = reference.get("parameterNotFoundAction")
    if not action:
        yield required(f"{path}.parameterNotFoundAction")
    elif action not in NOT_FOUND_ACTIONS:
        yield not_supported(f"{path}.parameterNotFoundAction", action, NOT_FOUND_ACTIONS)


def param_kind_cell(policy: Object) -> str:
    param = policy["spec"].get("paramKind")
    return f"{param.get('apiVersion', '')}/{param.get('kind', '')}" if param else UNSET


def param_reference_cell(binding: Object) -> str:
    reference = binding["spec"].get("paramRef")
    if not reference:
        return UNSET
    if reference.get("name"):
        return "/".join(part for part in (reference.get("namespace"), reference["name"]) if part)
    return labels.format_object(reference.get("selector")) or "*"
