"""Ingress (networking.k8s.io/v1): names and paths in front of Services."""

from collections.abc import Iterator, Sequence

from mizzen.api.columns import AGE, NAME, NONE, age, name
from mizzen.api.core.service import balancer_addresses
from mizzen.api.core.service_validation import balancer_entry_errors
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.networking import references
from mizzen.api.rules import addresses, fields, ports
from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, Object, invalid, not_supported, required

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_FORBIDDEN_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F")
_FORBIDDEN_AT_END = ("/..", "/.")
_SHOWN = 3
_ABSOLUTE = "must be an absolute path"


def default(ingress: Object) -> None:
    ingress.setdefault("spec", {})
    ingress.setdefault("status", {}).setdefault("loadBalancer", {})


def prepare(ingress: Object, old: Object | None) -> None:
    ingress["status"] = {"loadBalancer": {}} if old is None else old.get("status") or {"loadBalancer": {}}


def validate(ingress: Object, old: Object | None) -> Iterator[FieldError]:
    spec = ingress.get("spec") or {}
    rules, backend, class_ = spec.get("rules") or (), spec.get("defaultBackend"), spec.get("ingressClassName")
    annotated = (ingress["metadata"].get("annotations") or {}).get(CLASS_ANNOTATION)
    if old is None and annotated is not None and class_ is not None and annotated != class_:
        detail = "must match `ingressClassName` when both are specified"
        yield invalid(f"annotations.{CLASS_ANNOTATION}", annotated, detail)
    if not rules and backend is None:
        yield invalid("spec", rules or None, "either `defaultBackend` or `rules` must be specified")
    if backend is not None:
        yield from _backend_errors("spec.defaultBackend", backend)
    for i, rule in enumerate(rules):
        yield from _rule_errors(f"spec.rules[{i}]", rule)
    for i, tls in enumerate(spec.get("tls") or ()):
        for j, host in enumerate(tls.get("hosts") or ()):
            yield from _host_errors(f"spec.tls[{i}].hosts[{j}]", host)
        if tls.get("secretName"):
            yield from fields.subdomain(f"spec.tls[{i}].secretName", tls["secretName"])
    if class_ is not None:
        yield from fields.subdomain("spec.ingressClassName", class_)


def warn(ingress: Object, old: Object | None) -> Iterator[str]:
    annotations = ingress["metadata"].get("annotations") or {}
    if old is None and CLASS_ANNOTATION in annotations and ingress["spec"].get("ingressClassName") is None:
        yield f"annotation \"{CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead"


def _host_errors(path: str, host: str) -> Iterator[FieldError]:
    """A name whose first label may be a star."""
    return fields.matches(path, host, names.wildcard_subdomain if "*" in host else names.dns1123_subdomain)


def _rule_errors(path: str, rule: Object) -> Iterator[FieldError]:
    host = rule.get("host")
    if host:
        if addresses.parse(host) is not None:
            yield invalid(f"{path}.host", host, "must be a DNS name, not an IP address")
        yield from _host_errors(f"{path}.host", host)
    http = rule.get("http")
    if http is None:
        return
    if not http.get("paths"):
        yield required(f"{path}.http.paths")
    for i, entry in enumerate(http.get("paths") or ()):
        yield from _path_errors(f"{path}.http.paths[{i}]", entry)


def _path_errors(path: str, entry: Object) -> Iterator[FieldError]:
    type_, value = entry.get("pathType"), entry.get("path") or ""
    if type_ is None:
        yield required(f"{path}.pathType", "pathType must be specified")
        return
    match type_:
        case "Exact" | "Prefix":
            if not value.startswith("/"):
                yield invalid(f"{path}.path", value, _ABSOLUTE)
            for sequence in _FORBIDDEN_IN_PATHS:
                if sequence in value:
                    yield invalid(f"{path}.path", value, f"must not contain '{sequence}'")
            for suffix in _FORBIDDEN_AT_END:
                if value.endswith(suffix):
                    yield invalid(f"{path}.path", value, f"cannot end with '{suffix}'")
        case "ImplementationSpecific":
            if value and not value.startswith("/"):
                yield invalid(f"{path}.path", value, _ABSOLUTE)
        case _:
            yield not_supported(f"{path}.pathType", type_, PATH_TYPES)
    yield from _backend_errors(f"{path}.backend", entry.get("backend") or {})


def _backend_errors(path: str, backend: Object) -> Iterator[FieldError]:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        yield invalid(path, "", "cannot set both resource and service backends")
    elif resource is not None:
        yield from references.errors(f"{path}.resource", resource)
    elif service is not None:
        yield from _service_errors(path, service)
    else:
        yield invalid(path, "", "resource or service backend is required")


def _service_errors(path: str, service: Object) -> Iterator[FieldError]:
    if service.get("name"):
        yield from fields.matches(f"{path}.service.name", service["name"], names.dns1123_label)
    else:
        yield required(f"{path}.service.name")
    port = service.get("port") or {}
    number, port_name = port.get("number"), port.get("name")
    if number and port_name:
        yield invalid(path, "", "cannot set both port name & port number")
    elif port_name:
        yield from ports.name(f"{path}.service.port.name", port_name)
    elif number:
        yield from ports.number(f"{path}.service.port.number", number)
    else:
        yield required(path, "port name or number is required")


def validate_status(ingress: Object, old: Object | None) -> Iterator[FieldError]:
    entries = ((ingress.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    for i, entry in enumerate(entries):
        yield from balancer_entry_errors(f"status.loadBalancer.ingress[{i}]", entry)


def _hosts(rules: Sequence[Object]) -> str:
    """The first few hosts; how many more there are is told by the rules that are left, as kubectl users know it."""
    hosts: list[str] = []
    for rule in rules:
        if len(hosts) == _SHOWN:
            return f"{','.join(hosts)} + {len(rules) - _SHOWN} more..."
        if rule.get("host"):
            hosts.append(rule["host"])
    return ",".join(hosts) or "*"


def _row(ingress: Object, now: float) -> list[object]:
    spec = ingress["spec"]
    return [
        name(ingress),
        spec.get("ingressClassName") or NONE,
        _hosts(spec.get("rules") or ()),
        ",".join(balancer_addresses(ingress)),
        "80, 443" if spec.get("tls") else "80",
        age(ingress, now),
    ]


INGRESS = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="Ingress",
    plural="ingresses",
    namespaced=True,
    singular="ingress",
    short_names=("ing",),
    default=default,
    prepare=prepare,
    validate=validate,
    warn=warn,
    has_status=True,
    validate_status=validate_status,
    has_generation=True,
    table=Table(
        columns=(NAME, Column("Class"), Column("Hosts"), Column("Address"), Column("Ports"), AGE),
        row=_row,
    ),
)
