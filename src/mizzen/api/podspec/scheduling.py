"""Where a pod may run: affinity, tolerations, spread, gates.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/
"""

from collections.abc import Iterator

from mizzen.api.rules import fields, node_selector
from mizzen.machinery import labels, names
from mizzen.machinery.errors import FieldError, Object, duplicate, forbidden, invalid, not_supported, required

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_WEIGHT = "must be in the range 1-100"


def affinity_errors(path: str, affinity: Object) -> Iterator[FieldError]:
    if node := affinity.get("nodeAffinity"):
        at = f"{path}.nodeAffinity"
        if (selector := node.get(_REQUIRED)) is not None:
            yield from node_selector.errors(f"{at}.{_REQUIRED}", selector)
        for i, term in enumerate(node.get(_PREFERRED) or ()):
            yield from _weight_errors(f"{at}.{_PREFERRED}[{i}].weight", term)
            preference = term.get("preference") or {}
            yield from node_selector.wish_errors(f"{at}.{_PREFERRED}[{i}].preference", preference)
    for field in ("podAffinity", "podAntiAffinity"):
        if not (pods := affinity.get(field)):
            continue
        at = f"{path}.{field}"
        for i, term in enumerate(pods.get(_REQUIRED) or ()):
            yield from _pod_term_errors(f"{at}.{_REQUIRED}[{i}]", term)
        for i, weighted in enumerate(pods.get(_PREFERRED) or ()):
            yield from _weight_errors(f"{at}.{_PREFERRED}[{i}].weight", weighted)
            term = weighted.get("podAffinityTerm") or {}
            yield from _pod_term_errors(f"{at}.{_PREFERRED}[{i}].podAffinityTerm", term)


def _weight_errors(path: str, term: Object) -> Iterator[FieldError]:
    if not 1 <= (weight := term.get("weight") or 0) <= 100:
        yield invalid(path, weight, _WEIGHT)


def _pod_term_errors(path: str, term: Object) -> Iterator[FieldError]:
    yield from labels.validate_selector(term.get("labelSelector"), f"{path}.labelSelector")
    yield from labels.validate_selector(term.get("namespaceSelector"), f"{path}.namespaceSelector")
    for namespace in term.get("namespaces") or ():
        yield from fields.matches(f"{path}.namespace", namespace, names.dns1123_label)
    yield from _label_key_errors(path, term, "matchLabelKeys")
    yield from _label_key_errors(path, term, "mismatchLabelKeys")
    both = set(term.get("matchLabelKeys") or ()) & set(term.get("mismatchLabelKeys") or ())
    for i, key in enumerate(term.get("matchLabelKeys") or ()):
        if key in both:
            yield invalid(f"{path}.matchLabelKeys[{i}]", key, "exists in both matchLabelKeys and mismatchLabelKeys")
    key = term.get("topologyKey") or ""
    if not key:
        yield required(f"{path}.topologyKey", "can not be empty")
    yield from fields.matches(f"{path}.topologyKey", key, names.qualified_name)


def _label_key_errors(path: str, term: Object, field: str) -> Iterator[FieldError]:
    keys = term.get(field)
    if not keys:
        return
    if term.get("labelSelector") is None:
        yield forbidden(f"{path}.{field}", "must not be specified when labelSelector is not set")
    for i, key in enumerate(keys):
        yield from fields.matches(f"{path}.{field}[{i}]", key, names.qualified_name)
    chosen = term.get("labelSelector") or {}
    plain = chosen.get("matchLabels") or {}
    # The server itself adds a requirement for each key to the selector of a pod: one of that form may be its own.
    own = [one["key"] for one in chosen.get("matchExpressions") or () if len(one.get("values") or ()) == 1]
    others = {one.get("key") for one in chosen.get("matchExpressions") or () if len(one.get("values") or ()) != 1}
    for i, key in enumerate(keys):
        if key in plain or key in others or own.count(key) > 1:
            yield invalid(f"{path}.{field}[{i}]", key, f"exists in both {field} and labelSelector")


def toleration_errors(path: str, tolerations: list[Object]) -> Iterator[FieldError]:
    for i, toleration in enumerate(tolerations):
        at = f"{path}[{i}]"
        key, operator, value = toleration.get("key"), toleration.get("operator") or "", toleration.get("value") or ""
        effect = toleration.get("effect") or ""
        if key:
            yield from fields.matches(f"{at}.key", key, names.qualified_name)
        elif operator != "Exists":
            detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            yield invalid(f"{at}.operator", operator, detail)
        if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
            yield invalid(f"{at}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
        match operator:
            case "" | "Equal":
                for problem in names.label_value(value)[:1]:
                    yield invalid(f"{at}.operator", value, problem)
            case "Exists":
                if value:
                    yield invalid(f"{at}.operator", toleration, "value must be empty when `operator` is 'Exists'")
            case _:
                yield not_supported(f"{at}.operator", operator, ("Equal", "Exists"))
        if effect and effect not in EFFECTS:
            yield not_supported(f"{at}.effect", effect, EFFECTS)


def spread_errors(path: str, constraints: list[Object]) -> Iterator[FieldError]:
    pairs = [(one.get("topologyKey") or "", one.get("whenUnsatisfiable") or "") for one in constraints]
    for i, constraint in enumerate(constraints):
        at = f"{path}[{i}]"
        key, action = pairs[i]
        if (skew := constraint.get("maxSkew") or 0) <= 0:
            yield invalid(f"{at}.maxSkew", skew, "must be greater than zero")
        if not key:
            yield required(f"{at}.topologyKey", "can not be empty")
        if action not in {"DoNotSchedule", "ScheduleAnyway"}:
            yield not_supported(f"{at}.whenUnsatisfiable", action, ("DoNotSchedule", "ScheduleAnyway"))
        if pairs[i] in pairs[i + 1 :]:
            yield duplicate(f"{at}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {action}}}")
        if (domains := constraint.get("minDomains")) is not None:
            yield from _domain_errors(f"{at}.minDomains", domains, action)
        for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            if (policy := constraint.get(field)) is not None and policy not in {"Honor", "Ignore"}:
                yield not_supported(f"{at}.{field}", policy, ("Honor", "Ignore"))
        yield from _label_key_errors(at, constraint, "matchLabelKeys")
        yield from labels.validate_selector(constraint.get("labelSelector"), f"{at}.labelSelector")


def _domain_errors(path: str, domains: int, action: str) -> Iterator[FieldError]:
    if domains <= 0:
        yield invalid(path, domains, "must be greater than zero")
    if action != "DoNotSchedule":
        detail = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
        yield invalid(path, domains, detail)


def gate_errors(path: str, gates: list[Object]) -> Iterator[FieldError]:
    seen = set()
    for i, gate in enumerate(gates):
        name = gate.get("name") or ""
        yield from fields.matches(f"{path}[{i}]", name, names.qualified_name)
        if name in seen:
            yield duplicate(f"{path}[{i}]", name)
        seen.add(name)
