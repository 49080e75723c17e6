"""ResourceQuota (core/v1): what a namespace may use in all."""

from collections.abc import Iterable, Iterator

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.rules import fields, resources, workloads
from mizzen.machinery.errors import FieldError, Object, invalid, required

_SCOPES = (
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
)
_BARE_SCOPES = frozenset(("BestEffort", "CrossNamespacePodAffinity", "NotBestEffort", "NotTerminating", "Terminating"))
_CONFLICTS = (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating"))
_POD_RESOURCES = frozenset(("pods", "cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"))
_CLAIM_RESOURCES = frozenset(("persistentvolumeclaims", "requests.storage"))


def default(quota: Object) -> None:
    quota["spec"] = quota.get("spec") or {}
    quota["status"] = quota.get("status") or {}


def prepare(quota: Object, old: Object | None) -> None:
    workloads.keep_status(quota, old, {})


def validate(quota: Object, old: Object | None) -> Iterator[FieldError]:
    spec = quota["spec"]
    yield from _hard_errors("spec.hard", spec.get("hard") or {})
    if spec.get("scopes"):
        yield from _scopes_errors("spec.scopes", spec["scopes"], spec.get("hard") or {})
    if spec.get("scopeSelector"):
        yield from _selector_errors("spec.scopeSelector.matchExpressions", spec)
    if old is not None:
        before = (old.get("spec") or {}).get("scopes") or []
        if sorted(spec.get("scopes") or []) != sorted(before):
            yield invalid("spec.scopes", spec.get("scopes") or [], fields.IMMUTABLE)


def _hard_errors(path: str, hard: dict[str, str]) -> Iterator[FieldError]:
    for resource, amount in hard.items():
        at = f"{path}[{resource}]"
        yield from resources.name_errors(at, resource)
        if "/" not in resource and not resources.is_for_quota(resource):
            yield invalid(at, resource, "must be a standard resource for quota")
        yield from resources.quantity_errors(at, resource, amount)


def _is_scoped(scope: str, name: str) -> bool:
    """Whether a scope makes sense for a resource."""
    if not resources.is_for_quota(name):
        return True
    if scope == "BestEffort":
        return name == "pods"
    return name in (_CLAIM_RESOURCES if scope == "VolumeAttributesClass" else _POD_RESOURCES)


def _scopes_errors(path: str, scopes: list[str], hard: Iterable[str]) -> Iterator[FieldError]:
    for scope in scopes:
        if scope not in _SCOPES:
            yield invalid(path, scopes, "unsupported scope")
            continue
        for resource in hard:
            if not _is_scoped(scope, resource):
                yield invalid(path, scopes, "unsupported scope applied to resource")
    yield from _conflict_errors(path, scopes)


def _conflict_errors(path: str, scopes: list[str]) -> Iterator[FieldError]:
    for one, other in _CONFLICTS:
        if one in scopes and other in scopes:
            yield invalid(path, scopes, "conflicting scopes")


def _selector_errors(path: str, spec: Object) -> Iterator[FieldError]:
    """Requirements on scopes; their errors carry no position."""
    for requirement in spec["scopeSelector"].get("matchExpressions") or ():
        scope, operator = requirement.get("scopeName") or "", requirement.get("operator") or ""
        values = requirement.get("values") or ()
        if scope not in _SCOPES:
            yield invalid(f"{path}.scopeName", scope, "unsupported scope")
        for resource in spec.get("hard") or ():
            if scope in _SCOPES and not _is_scoped(scope, resource):
                yield invalid(path, requirement, "unsupported scope applied to resource")
        if scope in _BARE_SCOPES and operator != "Exists":
            detail = (
                "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
                "ResourceQuotaScopeBestEffort and ResourceQuotaScopeNotBestEffort"
            )
            yield invalid(f"{path}.operator", operator, detail)
        match operator:
            case "In" | "NotIn":
                if not values:
                    detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                    yield required(f"{path}.values", detail)
            case "Exists" | "DoesNotExist":
                if values:
                    detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
                    yield invalid(f"{path}.values", values, detail)
            case _:
                yield invalid(f"{path}.operator", operator, "not a valid selector operator")
    requirements = spec["scopeSelector"].get("matchExpressions") or ()
    yield from _conflict_errors(path, [requirement.get("scopeName") or "" for requirement in requirements])


def validate_status(quota: Object, _old: Object | None) -> Iterator[FieldError]:
    status = quota.get("status") or {}
    for field in ("hard", "used"):
        yield from _hard_errors(f"status.{field}", status.get(field) or {})


def _row(quota: Object, now: float) -> list[object]:
    status = quota.get("status") or {}
    hard, used = status.get("hard") or {}, status.get("used") or {}
    shown = {resource: f"{resource}: {used.get(resource) or 0}/{hard[resource]}" for resource in sorted(hard)}
    requests = [text for resource, text in shown.items() if not resource.startswith("limits.")]
    limits = [text for resource, text in shown.items() if resource.startswith("limits.")]
    return [name(quota), age(quota, now), ", ".join(requests), ", ".join(limits)]


RESOURCE_QUOTA = Kind(
    group="",
    version="v1",
    kind="ResourceQuota",
    plural="resourcequotas",
    namespaced=True,
    singular="resourcequota",
    short_names=("quota",),
    default=default,
    prepare=prepare,
    validate=validate,
    revalidates_metadata=0,
    has_status=True,
    validate_status=validate_status,
    returns_deleted=True,
    table=Table(columns=(NAME, AGE, Column("Request"), Column("Limit")), row=_row),
)
