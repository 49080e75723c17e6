"""Which objects a quota's scopes speak of.

Ref: https://kubernetes.io/docs/concepts/policy/resource-quotas/#quota-scopes
"""

from collections.abc import Iterator

from mizzen.machinery.errors import Object

_AFFINITIES = ("podAffinity", "podAntiAffinity")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def covers(quota: Object, plural: str, obj: Object) -> bool:
    """Whether the object falls under the quota; a quota with scopes speaks of pods (and claims) alone."""
    wanted = list(_selectors(quota["spec"]))
    return all(_matches(selector, plural, obj) for selector in wanted)


def _selectors(spec: Object) -> Iterator[Object]:
    for scope in spec.get("scopes") or ():
        yield {"scopeName": scope, "operator": "Exists"}
    yield from (spec.get("scopeSelector") or {}).get("matchExpressions") or ()


def _matches(selector: Object, plural: str, obj: Object) -> bool:
    scope = selector["scopeName"]
    if scope == "VolumeAttributesClass":
        return plural == "persistentvolumeclaims" and any(_compares(selector, name) for name in _attributes(obj))
    if plural != "pods":
        return False
    spec = obj["spec"]
    match scope:
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return is_best_effort(spec)
        case "NotBestEffort":
            return not is_best_effort(spec)
        case "PriorityClass":
            return _compares(selector, spec.get("priorityClassName"))
        case "CrossNamespacePodAffinity":
            return _reaches_out(spec)
    return False


def _attributes(claim: Object) -> list[str | None]:
    """The classes that a claim refers to: wanted, there, and being applied; or none, once."""
    status = claim.get("status") or {}
    changing = status.get("modifyVolumeStatus") or {}
    names = (
        claim["spec"].get("volumeAttributesClassName"),
        status.get("currentVolumeAttributesClassName"),
        changing.get("targetVolumeAttributesClassName"),
    )
    return [name for name in names if name] or [None]


def _compares(selector: Object, value: str | None) -> bool:
    match selector.get("operator"):
        case "In":
            return value in (selector.get("values") or ())
        case "NotIn":
            return value not in (selector.get("values") or ())
        case "DoesNotExist":
            return not value
    return bool(value)


def is_best_effort(spec: Object) -> bool:
    """Whether a pod asks for no cpu or memory at all."""
    holders = [spec, *(container for field in ("containers", "initContainers") for container in spec.get(field) or ())]
    for holder in holders:
        resources = holder.get("resources") or {}
        for field in ("requests", "limits"):
            amounts = resources.get(field) or {}
            if any(str(amounts.get(name, "0")) != "0" for name in ("cpu", "memory")):
                return False
    return True


def _reaches_out(spec: Object) -> bool:
    """Whether the pod's affinity looks into other namespaces."""
    affinity = spec.get("affinity") or {}
    for kind in _AFFINITIES:
        rules = affinity.get(kind) or {}
        terms = [
            *(rules.get(_REQUIRED) or ()),
            *(rule.get("podAffinityTerm") or {} for rule in rules.get(_PREFERRED) or ()),
        ]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False
