"""Which requests a webhook or a policy is about: rules, selectors, conditions in CEL."""

from collections.abc import Iterable, Iterator

from mizzen.api.rules import expressions, fields
from mizzen.machinery import labels
from mizzen.machinery.errors import Cause, FieldError, Object, duplicate, invalid, not_supported, required

OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
SCOPES = ("*", "Cluster", "Namespaced")
MATCH_POLICIES = ("Equivalent", "Exact")
FAILURE_POLICIES = ("Fail", "Ignore")
CONDITION_LIMIT = 64
CONDITION_VARIABLES = ("object", "oldObject", "request", "authorizer")


def default_rules(rules: Iterable[Object] | None) -> None:
    for rule in rules or ():
        if rule.get("scope") is None:
            rule["scope"] = "*"


def default_selectors(target: Object) -> None:
    if target.get("matchPolicy") is None:
        target["matchPolicy"] = "Equivalent"
    for field in ("namespaceSelector", "objectSelector"):
        if target.get(field) is None:
            target[field] = {}


def selector_errors(path: str, target: Object) -> Iterator[FieldError]:
    policy = target.get("matchPolicy")
    if policy is not None and policy not in MATCH_POLICIES:
        yield not_supported(f"{path}.matchPolicy", policy, MATCH_POLICIES)
    for field in ("namespaceSelector", "objectSelector"):
        yield from labels.validate_selector(target.get(field), f"{path}.{field}")


def rule_errors(path: str, rule: Object) -> Iterator[FieldError]:
    for field, what in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        values = rule.get(field) or []
        if not values:
            yield required(f"{path}.{field}")
        if len(values) > 1 and "*" in values:
            yield invalid(f"{path}.{field}", values, f"if '*' is present, must not specify other {what}")
    for i, version in enumerate(rule.get("apiVersions") or ()):
        if not version:
            yield required(f"{path}.apiVersions[{i}]")
    yield from _resource_errors(f"{path}.resources", rule.get("resources") or [])
    scope = rule.get("scope")
    if scope is not None and scope not in SCOPES:
        yield not_supported(f"{path}.scope", scope, SCOPES)
    operations = rule.get("operations") or []
    if not operations:
        yield required(f"{path}.operations")
    if len(operations) > 1 and "*" in operations:
        yield invalid(f"{path}.operations", operations, "if '*' is present, must not specify other operations")
    for i, operation in enumerate(operations):
        if operation not in OPERATIONS:
            yield not_supported(f"{path}.operations[{i}]", operation, OPERATIONS)


def _resource_errors(path: str, resources: list[str]) -> Iterator[FieldError]:
    if not resources:
        yield required(path)
    whole: set[str] = set()
    everywhere: set[str] = set()
    for i, entry in enumerate(resources):
        if not entry:
            yield required(f"{path}[{i}]")
            continue
        resource, slash, sub = entry.partition("/")
        if not slash:
            continue
        if resource in whole:
            yield invalid(f"{path}[{i}]", entry, f"if '{resource}/*' is present, must not specify {entry}")
        if sub in everywhere:
            yield invalid(f"{path}[{i}]", entry, f"if '*/{sub}' is present, must not specify {entry}")
        if sub == "*":
            whole.add(resource)
        if resource == "*":
            everywhere.add(sub)
    if len(resources) > 1 and "*/*" in resources:
        yield invalid(path, resources, "if '*/*' is present, must not specify other resources")
    plain = [entry for entry in resources if entry and "/" not in entry]
    if "*" in plain and plain[-1] != "*":  # the original looks at the last of them alone
        detail = "if '*' is present, must not specify other resources without subresources"
        yield invalid(path, resources, detail)


def condition_errors(
    path: str, conditions: list[Object], variables: tuple[str, ...] = CONDITION_VARIABLES
) -> Iterator[FieldError]:
    if len(conditions) > CONDITION_LIMIT:
        yield FieldError(Cause.TOO_MANY, path, len(conditions), f"must have at most {CONDITION_LIMIT} items")
    seen: set[str] = set()
    for i, condition in enumerate(conditions):
        name = condition.get("name") or ""
        yield from expressions.errors(f"{path}[{i}].expression", condition.get("expression"), variables)
        if not name:
            yield required(f"{path}[{i}].name")
            continue
        if name in seen:
            yield duplicate(f"{path}[{i}].name", name)
        seen.add(name)
        yield from fields.qualified_name(f"{path}[{i}].name", name)
