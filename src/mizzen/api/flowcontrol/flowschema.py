"""FlowSchema (flowcontrol.apiserver.k8s.io/v1): which requests belong to which priority level."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, NONE, age, name
from mizzen.api.flowcontrol.prioritylevelconfiguration import MANDATORY
from mizzen.api.kind import METADATA, Column, Kind, Table
from mizzen.api.rules import fields
from mizzen.machinery.errors import FieldError, Object, forbidden, invalid, not_supported, required

DEFAULT_PRECEDENCE = 1000
LARGEST_PRECEDENCE = 10000
DISTINGUISHERS = ("ByNamespace", "ByUser")
SUBJECTS = {"User": "user", "Group": "group", "ServiceAccount": "serviceAccount"}
VERBS = frozenset(("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"))


def default(schema: Object) -> None:
    spec = schema.setdefault("spec", {})
    if not spec.get("matchingPrecedence"):
        spec["matchingPrecedence"] = DEFAULT_PRECEDENCE
    schema.setdefault("status", {})


def prepare(schema: Object, old: Object | None) -> None:
    schema["status"] = {} if old is None else old.get("status") or {}


def validate(schema: Object, old: Object | None) -> Iterator[FieldError]:
    spec = schema.get("spec") or {}
    precedence = spec.get("matchingPrecedence") or 0
    if precedence <= 0:
        yield invalid("spec.matchingPrecedence", precedence, "must be a positive value")
    if precedence > LARGEST_PRECEDENCE:
        detail = f"must not be greater than {LARGEST_PRECEDENCE}"
        yield invalid("spec.matchingPrecedence", precedence, detail)
    if precedence == 1 and name(schema) != "exempt":
        detail = "only the schema named 'exempt' may have matchingPrecedence 1"
        yield invalid("spec.matchingPrecedence", precedence, detail)
    method = spec.get("distinguisherMethod")
    if method is not None and method.get("type") not in DISTINGUISHERS:
        yield not_supported("spec.distinguisherMethod.type", method.get("type") or "", DISTINGUISHERS)
    level = (spec.get("priorityLevelConfiguration") or {}).get("name")
    if level:
        yield from fields.subdomain("spec.priorityLevelConfiguration.name", level)
    else:
        yield required("spec.priorityLevelConfiguration.name", "must reference a priority level")
    for i, rule in enumerate(spec.get("rules") or ()):
        yield from _rule_errors(f"spec.rules[{i}]", rule)
    if old is not None and name(schema) in MANDATORY and spec != old["spec"]:
        yield invalid("spec", spec, f"spec of '{name(schema)}' must equal the fixed value")


def _rule_errors(path: str, rule: Object) -> Iterator[FieldError]:
    if not rule.get("subjects"):
        yield required(f"{path}.subjects", "subjects must contain at least one value")
    for i, subject in enumerate(rule.get("subjects") or ()):
        yield from _subject_errors(f"{path}.subjects[{i}]", subject)
    if not rule.get("resourceRules") and not rule.get("nonResourceRules"):
        yield required(path, "at least one of resourceRules and nonResourceRules has to be non-empty")
    for i, inner in enumerate(rule.get("resourceRules") or ()):
        yield from _resource_errors(f"{path}.resourceRules[{i}]", inner)
    for i, inner in enumerate(rule.get("nonResourceRules") or ()):
        where = f"{path}.nonResourceRules[{i}]"
        yield from _verb_errors(where, inner)
        urls = inner.get("nonResourceURLs") or ()
        one = "nonResourceURLs must contain at least one value"
        yield from _starred(f"{where}.nonResourceURLs", urls, one, "non-resource URLs")
        for j, url in enumerate(() if "*" in urls else urls):
            yield from _url_errors(f"{where}.nonResourceURLs[{j}]", url)


def _subject_errors(path: str, subject: Object) -> Iterator[FieldError]:
    kind = subject.get("kind") or ""
    if kind not in SUBJECTS:
        yield not_supported(f"{path}.kind", kind, ("Group", "ServiceAccount", "User"))
        return
    for other, field in SUBJECTS.items():
        if other != kind and subject.get(field) is not None:
            yield forbidden(f"{path}.{field}", f"{field} is forbidden when subject kind is not '{other}'")
    field = SUBJECTS[kind]
    named = subject.get(field)
    if named is None:
        yield required(f"{path}.{field}", f"{field} is required when subject kind is '{kind}'")
        return
    if not named.get("name"):
        yield required(f"{path}.{field}.name")
    if kind != "ServiceAccount":
        return
    if named.get("name") not in {None, "", "*"}:
        yield from fields.subdomain(f"{path}.{field}.name", named["name"])
    if not named.get("namespace"):
        yield required(f"{path}.{field}.namespace", "must specify namespace for service account")
    else:
        yield from fields.label(f"{path}.{field}.namespace", named["namespace"])


def _starred(path: str, values: list[str] | tuple[()], missing: str, others: str) -> Iterator[FieldError]:
    """At least one value; a star stands alone."""
    if not values:
        yield required(path, missing)
    elif "*" in values and len(values) > 1:
        yield invalid(path, values, f"if '*' is present, must not specify other {others}")


def _verb_errors(path: str, rule: Object) -> Iterator[FieldError]:
    verbs = rule.get("verbs") or ()
    yield from _starred(f"{path}.verbs", verbs, "verbs must contain at least one value", "verbs")
    if "*" not in verbs and not VERBS.issuperset(verbs):
        yield not_supported(f"{path}.verbs", verbs, sorted(VERBS))


def _resource_errors(path: str, rule: Object) -> Iterator[FieldError]:
    yield from _verb_errors(path, rule)
    one = "resource rules must supply at least one"
    yield from _starred(f"{path}.apiGroups", rule.get("apiGroups") or (), f"{one} api group", "api groups")
    yield from _starred(f"{path}.resources", rule.get("resources") or (), f"{one} resource", "resources")
    namespaces = rule.get("namespaces") or ()
    if not namespaces and not rule.get("clusterScope"):
        detail = "resource rules that are not cluster scoped must supply at least one namespace"
        yield required(f"{path}.namespaces", detail)
    elif "*" in namespaces and len(namespaces) > 1:
        yield invalid(f"{path}.namespaces", namespaces, "if '*' is present, must not specify other namespaces")
    for i, namespace in enumerate(() if "*" in namespaces else namespaces):
        yield from fields.label(f"{path}.namespaces[{i}]", namespace)


def _url_errors(path: str, url: str) -> Iterator[FieldError]:
    if url == "/":
        return
    if not url:
        yield invalid(path, url, "must not be empty")
    elif not url.startswith("/"):
        yield invalid(path, url, "must start with slash")
    elif " " in url:
        yield invalid(path, url, "must not contain white-space")
    elif "//" in url:
        yield invalid(path, url, "must not contain double slash")
    elif "*" in url[:-1] or (url.endswith("*") and not url.endswith("/*")):
        yield invalid(path, url, "wildcard can only do suffix matching")


def _row(schema: Object, now: float) -> list[object]:
    spec = schema["spec"]
    missing = "?"
    for condition in (schema.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Dangling":
            missing = condition.get("status", "")
    return [
        name(schema),
        (spec.get("priorityLevelConfiguration") or {}).get("name", ""),
        spec.get("matchingPrecedence", 0),
        (spec.get("distinguisherMethod") or {}).get("type") or NONE,
        age(schema, now),
        missing,
    ]


FLOW_SCHEMA = Kind(
    group="flowcontrol.apiserver.k8s.io",
    version="v1",
    kind="FlowSchema",
    plural="flowschemas",
    namespaced=False,
    singular="flowschema",
    default=default,
    prepare=prepare,
    validate=validate,
    compares_metadata=0,
    has_status=True,
    status_leaves=METADATA,
    has_generation=True,
    table=Table(
        columns=(
            NAME,
            Column("PriorityLevel"),
            Column("MatchingPrecedence"),
            Column("DistinguisherMethod"),
            AGE,
            Column("MissingPL"),
        ),
        row=_row,
        order=lambda schema: (schema["spec"].get("matchingPrecedence") or 0, name(schema)),
    ),
)
