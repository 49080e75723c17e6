"""What roles and bindings have in common: defaults, checks, and the table of bindings."""

from collections.abc import Callable, Iterator

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Table, Validate
from mizzen.api.rules import fields
from mizzen.machinery import labels, names
from mizzen.machinery.errors import FieldError, Object, invalid, not_supported, required

GROUP = "rbac.authorization.k8s.io"
ROLE_KINDS = ("Role", "ClusterRole")
SUBJECT_KINDS = ("ServiceAccount", "User", "Group")


Check = Callable[[Object], Iterator[FieldError]]


def default_role(role: Object) -> None:
    if not role.get("rules"):
        role["rules"] = None


def default_binding(binding: Object) -> None:
    """Roles, users and groups belong to the RBAC group, service accounts to the core group."""
    reference = binding.setdefault("roleRef", {})
    if not reference.get("apiGroup"):
        reference["apiGroup"] = GROUP
    for subject in binding.get("subjects") or ():
        if not subject.get("apiGroup") and subject.get("kind") in {"User", "Group"}:
            subject["apiGroup"] = GROUP


def _looked_at(check: Check) -> Validate:
    """A check that looks at a new object once and at an update twice, as clients know it from the causes."""

    def validate(object_: Object, old: Object | None) -> Iterator[FieldError]:
        errors = list(check(object_))
        yield from errors
        if old is not None:
            yield from errors
            if (reference := object_.get("roleRef")) != old.get("roleRef"):
                yield invalid("roleRef", reference, "cannot change roleRef")

    return validate


def _role_errors(role: Object) -> Iterator[FieldError]:
    for i, rule in enumerate(role.get("rules") or ()):
        yield from _rule_errors(f"rules[{i}]", rule, namespaced=True)


def _cluster_role_errors(role: Object) -> Iterator[FieldError]:
    for i, rule in enumerate(role.get("rules") or ()):
        yield from _rule_errors(f"rules[{i}]", rule, namespaced=False)
    aggregation = role.get("aggregationRule")
    if aggregation is None:
        return
    path = "aggregationRule.clusterRoleSelectors"
    selectors = aggregation.get("clusterRoleSelectors") or ()
    if not selectors:
        yield required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil")
    for i, selector in enumerate(selectors):
        yield from labels.validate_selector(selector, f"{path}[{i}]")


def _rule_errors(path: str, rule: Object, *, namespaced: bool) -> Iterator[FieldError]:
    if not rule.get("verbs"):
        yield required(f"{path}.verbs", "verbs must contain at least one value")
    urls = rule.get("nonResourceURLs")
    if urls:
        if namespaced:
            yield invalid(f"{path}.nonResourceURLs", urls, "namespaced rules cannot apply to non-resource URLs")
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            detail = "rules cannot apply to both regular resources and non-resource URLs"
            yield invalid(f"{path}.nonResourceURLs", urls, detail)
        return
    if not rule.get("apiGroups"):
        yield required(f"{path}.apiGroups", "resource rules must supply at least one api group")
    if not rule.get("resources"):
        yield required(f"{path}.resources", "resource rules must supply at least one resource")


def _role_binding_errors(binding: Object) -> Iterator[FieldError]:
    yield from _reference_errors(binding, ROLE_KINDS)
    for i, subject in enumerate(binding.get("subjects") or ()):
        yield from _subject_errors(f"subjects[{i}]", subject)


def _cluster_role_binding_errors(binding: Object) -> Iterator[FieldError]:
    yield from _reference_errors(binding, ROLE_KINDS[1:])
    for i, subject in enumerate(binding.get("subjects") or ()):
        yield from _subject_errors(f"subjects[{i}]", subject)
        if subject.get("kind") == "ServiceAccount" and not subject.get("namespace"):
            yield required(f"subjects[{i}].namespace")


def _reference_errors(binding: Object, kinds: tuple[str, ...]) -> Iterator[FieldError]:
    reference = binding.get("roleRef") or {}
    if reference.get("apiGroup") != GROUP:
        yield not_supported("roleRef.apiGroup", reference.get("apiGroup") or "", (GROUP,))
    if reference.get("kind") not in kinds:
        yield not_supported("roleRef.kind", reference.get("kind") or "", kinds)
    if reference.get("name"):
        yield from fields.matches("roleRef.name", reference["name"], names.path_segment)
    else:
        yield required("roleRef.name")


def _subject_errors(path: str, subject: Object) -> Iterator[FieldError]:
    subject_name, group = subject.get("name"), subject.get("apiGroup") or ""
    if not subject_name:
        yield required(f"{path}.name")
    match subject.get("kind"):
        case "ServiceAccount":
            if subject_name:
                yield from fields.subdomain(f"{path}.name", subject_name)
            if group:
                yield not_supported(f"{path}.apiGroup", group, ("",))
        case "User" | "Group":
            if group != GROUP:
                yield not_supported(f"{path}.apiGroup", group, (GROUP,))
        case kind:
            yield not_supported(f"{path}.kind", kind or "", SUBJECT_KINDS)


validate_role = _looked_at(_role_errors)
validate_cluster_role = _looked_at(_cluster_role_errors)
validate_role_binding = _looked_at(_role_binding_errors)
validate_cluster_role_binding = _looked_at(_cluster_role_binding_errors)


def _row(binding: Object, now: float) -> list[object]:
    subjects = binding.get("subjects") or ()
    named = {kind: [s.get("name", "") for s in subjects if s.get("kind") == kind] for kind in ("User", "Group")}
    accounts = [f"{s.get('namespace', '')}/{s.get('name', '')}" for s in subjects if s.get("kind") == "ServiceAccount"]
    reference = binding["roleRef"]
    return [
        name(binding),
        f"{reference.get('kind', '')}/{reference.get('name', '')}",
        age(binding, now),
        ", ".join(named["User"]),
        ", ".join(named["Group"]),
        ", ".join(accounts),
    ]


BINDING_TABLE = Table(
    columns=(
        NAME,
        Column("Role"),
        AGE,
        Column("Users", priority=1),
        Column("Groups", priority=1),
        Column("ServiceAccounts", priority=1),
    ),
    row=_row,
)
