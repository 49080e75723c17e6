"""APIService (apiregistration.k8s.io/v1): who serves a version of a group, this server or one behind a Service."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, UNKNOWN, age, name
from mizzen.api.kind import METADATA, Column, Kind, Table
from mizzen.api.rules import fields
from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, Object, invalid, not_supported, required

GROUP_PRIORITY_LIMIT = 20000
VERSION_PRIORITY_LIMIT = 1000
_STATUSES = ("True", "False", "Unknown")


def default(service: Object) -> None:
    target = service.setdefault("spec", {}).get("service")
    if target is not None and target.get("port") is None:
        target["port"] = 443
    service.setdefault("status", {})


def prepare(service: Object, old: Object | None) -> None:
    """What this server serves by itself is available from the start."""
    if old is not None:
        service["status"] = old.get("status") or {}
        return
    service["status"] = {}
    if service["spec"].get("service") is None:
        service["status"]["conditions"] = [
            {
                "type": "Available",
                "status": "True",
                "lastTransitionTime": service["metadata"].get("creationTimestamp"),
                "reason": "Local",
                "message": "Local APIServices are always available",
            }
        ]


def validate(service: Object, old: Object | None) -> Iterator[FieldError]:
    spec = service.get("spec") or {}
    group, version = spec.get("group") or "", spec.get("version") or ""
    wanted = f"{version}.{group}"
    if name(service) and name(service) != wanted:
        yield invalid("metadata.name", name(service), f'must be `spec.version+"."+spec.group`: "{wanted}"')
    if group:
        yield from fields.subdomain("spec.group", group)
    elif version != "v1":
        yield required("spec.group", "only v1 may have an empty group and it better be legacy kube")
    yield from fields.matches("spec.version", version, names.dns1035_label)
    for field, limit in (
        ("groupPriorityMinimum", GROUP_PRIORITY_LIMIT),
        ("versionPriority", VERSION_PRIORITY_LIMIT),
    ):
        priority = spec.get(field) or 0
        if not 0 < priority <= limit:
            yield invalid(f"spec.{field}", priority, f"must be positive and less than {limit}")
    yield from _target_errors(spec)


def _target_errors(spec: Object) -> Iterator[FieldError]:
    target, bundle, insecure = spec.get("service"), spec.get("caBundle") or "", spec.get("insecureSkipTLSVerify")
    if target is None:
        if bundle:
            detail = "local APIServices may not have a caBundle"
            yield invalid("spec.caBundle", f"{len(bundle) * 3 // 4} bytes", detail)
        if insecure:
            detail = "local APIServices may not have insecureSkipTLSVerify"
            yield invalid("spec.insecureSkipTLSVerify", True, detail)
        return
    for field in ("namespace", "name"):
        if not target.get(field):
            yield required(f"spec.service.{field}")
    for problem in names.port_number(target.get("port") or 0):
        yield invalid("spec.service.port", target.get("port"), f"port is not valid: {problem}")
    if insecure and bundle:
        yield invalid("spec.insecureSkipTLSVerify", True, "may not be true if caBundle is present")


def validate_status(service: Object, _old: Object | None) -> Iterator[FieldError]:
    for i, condition in enumerate((service.get("status") or {}).get("conditions") or ()):
        if (status := condition.get("status") or "") not in _STATUSES:
            yield not_supported(f"status.conditions[{i}].status", status, _STATUSES)


def _row(service: Object, now: float) -> list[object]:
    target = service["spec"].get("service")
    available = UNKNOWN
    for condition in (service.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Available":
            available = condition.get("status", "")
            if available != "True":
                available = f"{available} ({condition.get('reason', '')})"
    shown = f"{target.get('namespace', '')}/{target.get('name', '')}" if target else "Local"
    return [name(service), shown, available, age(service, now)]


API_SERVICE = Kind(
    group="apiregistration.k8s.io",
    version="v1",
    kind="APIService",
    plural="apiservices",
    namespaced=False,
    singular="apiservice",
    categories=("api-extensions",),
    check_name=names.path_segment,
    default=default,
    prepare=prepare,
    validate=validate,
    bare_finalizers=True,
    has_status=True,
    validate_status=validate_status,
    status_leaves=METADATA,
    unconditional_update=False,
    table=Table(columns=(NAME, Column("Service"), Column("Available"), AGE), row=_row),
)
