"""Service (core/v1): a permanent address in front of pods; what its spec means, defaults and columns."""

from mizzen.api.columns import AGE, NAME, NONE, UNKNOWN, age, name
from mizzen.api.core import service_update, service_validation, service_warnings
from mizzen.api.kind import Column, Kind, Subresource, Table
from mizzen.api.rules import conditions
from mizzen.machinery import names
from mizzen.machinery.errors import Object

AFFINITY_SECONDS = 10800


def default(service: Object) -> None:
    """Fill in what a Service leaves open; addresses and node ports come from the allocators."""
    spec = service.setdefault("spec", {})
    affinity = spec.get("sessionAffinity") or "None"
    spec["sessionAffinity"] = affinity
    if affinity == "None":
        spec.pop("sessionAffinityConfig", None)
    elif affinity == "ClientIP" and _affinity_seconds(spec) is None:
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": AFFINITY_SECONDS}}
    type_ = spec.get("type") or "ClusterIP"
    spec["type"] = type_
    for port in spec.get("ports") or ():
        if not port.get("protocol"):
            port["protocol"] = "TCP"
        if not port.get("targetPort"):
            port["targetPort"] = port.get("port", 0)
    if service_validation.is_externally_accessible(spec) and not spec.get("externalTrafficPolicy"):
        spec["externalTrafficPolicy"] = "Cluster"
    if spec.get("internalTrafficPolicy") is None and type_ in {"ClusterIP", "NodePort", "LoadBalancer"}:
        spec["internalTrafficPolicy"] = "Cluster"
    if type_ == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is None:
        spec["allocateLoadBalancerNodePorts"] = True
    _default_status(service)


def _affinity_seconds(spec: Object) -> int | None:
    config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return config.get("timeoutSeconds")


def _default_status(service: Object) -> None:
    conditions.fill(service.get("status"))
    balancer = service.setdefault("status", {}).setdefault("loadBalancer", {})
    for ingress in balancer.get("ingress") or ():
        if ingress.get("ip") and ingress.get("ipMode") is None:
            ingress["ipMode"] = "VIP"


def _row(service: Object, now: float) -> list[object]:
    spec = service["spec"]
    addresses = spec.get("clusterIPs") or ()
    selector = spec.get("selector") or {}
    return [
        name(service),
        spec.get("type", ""),
        addresses[0] if addresses else NONE,
        _external_address(service),
        ",".join(_port(port) for port in spec.get("ports") or ()) or NONE,
        age(service, now),
        ",".join(f"{key}={selector[key]}" for key in sorted(selector)) or NONE,
    ]


def _port(port: Object) -> str:
    node_port = port.get("nodePort")
    number = f"{port['port']}:{node_port}" if node_port else port["port"]
    return f"{number}/{port.get('protocol', 'TCP')}"


def _external_address(service: Object) -> str:
    spec = service["spec"]
    external = spec.get("externalIPs") or []
    match spec.get("type"):
        case "ClusterIP" | "NodePort":
            return ",".join(external) or NONE
        case "LoadBalancer":
            return ",".join([*balancer_addresses(service), *external]) or "<pending>"
        case "ExternalName":
            return str(spec.get("externalName", ""))
    return UNKNOWN


def balancer_addresses(object: Object) -> list[str]:
    """The addresses or host names that a load balancer gave to a Service or an Ingress, sorted."""
    ingress = ((object.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return sorted({entry.get("ip") or entry.get("hostname") or "" for entry in ingress} - {""})


TABLE = Table(
    columns=(
        NAME,
        Column("Type"),
        Column("Cluster-IP"),
        Column("External-IP"),
        Column("Port(s)"),
        AGE,
        Column("Selector", priority=1),
    ),
    row=_row,
)

SERVICE = Kind(
    group="",
    version="v1",
    kind="Service",
    plural="services",
    namespaced=True,
    singular="service",
    short_names=("svc",),
    categories=("all",),
    check_name=names.dns1123_label,
    default=default,
    prepare=service_update.prepare,
    validate=service_validation.validate,
    warn=service_warnings.warn,
    has_status=True,
    validate_status=service_validation.validate_status,
    table=TABLE,
    selectable={
        "spec.clusterIP": lambda service: service["spec"].get("clusterIP") or "",
        "spec.type": lambda service: service["spec"].get("type") or "",
    },
    create_on_update=True,
    returns_deleted=True,
    subresources=(
        Subresource("proxy", verbs=("create", "delete", "get", "patch", "update"), kind="ServiceProxyOptions"),
    ),
)
