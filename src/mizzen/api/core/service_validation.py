"""What a Service must satisfy.

Node ports, health-check ports and cluster addresses may still be open here: the allocators fill them in.
Ref: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/
"""

from collections.abc import Iterator

from mizzen.api.rules import addresses, fields, ports
from mizzen.machinery import labels
from mizzen.machinery.errors import FieldError, Object, duplicate, forbidden, invalid, not_supported, required

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
FAMILIES = ("IPv4", "IPv6")
FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
TRAFFIC_POLICIES = ("Cluster", "Local")
TRAFFIC_DISTRIBUTIONS = ("PreferClose", "PreferSameNode", "PreferSameZone")
AFFINITY_LIMIT = 86400
KUBELET_PORT = 10250
SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
TOPOLOGY_MODE = "service.kubernetes.io/topology-mode"
TOPOLOGY_HINTS = "service.kubernetes.io/topology-aware-hints"
_ONLY_LOAD_BALANCER = "may only be used when `type` is 'LoadBalancer'"
_ONCE = "may not change once set"


def is_headless(spec: Object) -> bool:
    return (spec.get("clusterIPs") or [spec.get("clusterIP")]) == ["None"]


def needs_node_ports(spec: Object) -> bool:
    """Whether every port of the Service gets a node port."""
    type_ = spec.get("type")
    return type_ == "NodePort" or (type_ == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False)


def needs_health_check_port(spec: Object) -> bool:
    """Whether nodes tell a load balancer which of them have local endpoints."""
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def is_externally_accessible(spec: Object) -> bool:
    type_ = spec.get("type")
    return type_ in {"LoadBalancer", "NodePort"} or (type_ == "ClusterIP" and bool(spec.get("externalIPs")))


def validate(service: Object, old: Object | None) -> Iterator[FieldError]:
    spec = service.get("spec") or {}
    if old is not None:
        yield from _update_errors(spec, old.get("spec") or {})
    yield from _annotation_errors(service)
    yield from _type_errors(spec)
    yield from _ports_errors(spec)
    yield from labels.validate_labels(spec.get("selector"), "spec.selector")
    yield from _affinity_errors(spec)
    yield from address_errors(spec)
    for i, address in enumerate(spec.get("externalIPs") or ()):
        path = f"spec.externalIPs[{i}]"
        yield from addresses.address(path, address)
        if addresses.parse(address) is not None:
            yield from addresses.reachable(path, address)
    yield from fields.one_of("spec.type", spec.get("type"), TYPES)
    yield from _load_balancer_errors(service)
    yield from _traffic_errors(spec)


def _annotation_errors(service: Object) -> Iterator[FieldError]:
    annotations = service["metadata"].get("annotations")
    if not annotations:
        return
    hints, mode = annotations.get(TOPOLOGY_HINTS), annotations.get(TOPOLOGY_MODE)
    if hints is not None and mode is not None and hints != mode:
        detail = f"must match annotations[{TOPOLOGY_HINTS}] when both are specified"
        yield invalid(f"metadata.annotations[{TOPOLOGY_MODE}]", mode, detail)


def _type_errors(spec: Object) -> Iterator[FieldError]:
    """What each type asks of the rest of the spec."""
    type_ = spec.get("type")
    if not spec.get("ports") and not is_headless(spec) and type_ != "ExternalName":
        yield required("spec.ports")
    match type_:
        case "LoadBalancer":
            for i, port in enumerate(spec.get("ports") or ()):
                if port.get("port") == KUBELET_PORT:
                    detail = f"may not expose port {KUBELET_PORT} externally since it is used by kubelet"
                    yield invalid(f"spec.ports[{i}]", KUBELET_PORT, detail)
            if is_headless(spec):
                yield invalid("spec.clusterIPs[0]", "None", "may not be set to 'None' for LoadBalancer services")
        case "NodePort" if is_headless(spec):
            yield invalid("spec.clusterIPs[0]", "None", "may not be set to 'None' for NodePort services")
        case "ExternalName":
            for field in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                if spec.get(field):
                    yield forbidden(f"spec.{field}", "may not be set for ExternalName services")
            name = (spec.get("externalName") or "").removesuffix(".")
            if name:
                yield from fields.subdomain("spec.externalName", name)
            else:
                yield required("spec.externalName")


def _ports_errors(spec: Object) -> Iterator[FieldError]:
    entries = spec.get("ports") or ()
    names: set[str] = set()
    numbers: set[tuple[str, int]] = set()
    node_ports: set[tuple[str, int]] = set()
    for i, port in enumerate(entries):
        path = f"spec.ports[{i}]"
        yield from _port_errors(path, port, len(entries) > 1, names)
        protocol = port.get("protocol") or ""
        node_port = port.get("nodePort")
        if node_port and spec.get("type") == "ClusterIP":
            yield forbidden(f"{path}.nodePort", "may not be used when `type` is 'ClusterIP'")
        if node_port:
            if (protocol, node_port) in node_ports:
                yield duplicate(f"{path}.nodePort", node_port)
            node_ports.add((protocol, node_port))
        number = (protocol, port.get("port") or 0)
        if number in numbers:
            yield duplicate(path, {"protocol": number[0], "port": number[1]})
        numbers.add(number)


def _port_errors(path: str, port: Object, needs_name: bool, names: set[str]) -> Iterator[FieldError]:
    name = port.get("name")
    if name:
        yield from fields.label(f"{path}.name", name)
        if name in names:
            yield duplicate(f"{path}.name", name)
        names.add(name)
    elif needs_name:
        yield required(f"{path}.name")
    yield from ports.number(f"{path}.port", port.get("port"))
    yield from fields.one_of(f"{path}.protocol", port.get("protocol"), ports.PROTOCOLS)
    yield from ports.number_or_name(f"{path}.targetPort", port.get("targetPort"))
    protocol = port.get("appProtocol")
    if protocol is not None:
        yield from fields.qualified_name(f"{path}.appProtocol", protocol)


def _affinity_errors(spec: Object) -> Iterator[FieldError]:
    affinity = spec.get("sessionAffinity")
    yield from fields.one_of("spec.sessionAffinity", affinity, ("ClientIP", "None"))
    config = spec.get("sessionAffinityConfig")
    path = "spec.sessionAffinityConfig"
    if affinity == "None" and config is not None:
        yield forbidden(path, "must not be set when session affinity is None")
    if affinity != "ClientIP":
        return
    seconds = ((config or {}).get("clientIP") or {}).get("timeoutSeconds")
    if seconds is None:
        yield required(f"{path}.clientIP.timeoutSeconds", "when session affinity type is ClientIP")
    elif not 0 < seconds <= AFFINITY_LIMIT:
        detail = f"must be greater than 0 and less than {AFFINITY_LIMIT}"
        yield invalid(f"{path}.clientIP.timeoutSeconds", seconds, detail)


def address_errors(spec: Object) -> Iterator[FieldError]:
    """What is wrong with cluster addresses and families in themselves; asked by the allocators too, before they act."""
    if spec.get("type") == "ExternalName":
        return
    given: list[str] = spec.get("clusterIPs") or []
    primary = spec.get("clusterIP")
    if primary and given and given[0] != primary:
        yield invalid("spec.clusterIPs", given, "first value must match `clusterIP`")
    if not primary and given:
        yield invalid("spec.clusterIPs", given, "must be empty when `clusterIP` is not specified")
    families: list[str] = spec.get("ipFamilies") or []
    yield from _family_errors(families)
    policy = spec.get("ipFamilyPolicy")
    if policy is not None and policy not in FAMILY_POLICIES:
        yield not_supported("spec.ipFamilyPolicy", policy, FAMILY_POLICIES)
    if not given:
        return
    wrong = list(_address_list_errors(given))
    yield from wrong
    if wrong:
        return
    yield from _address_family_errors(given, families)


def _family_errors(families: list[str]) -> Iterator[FieldError]:
    for i, family in enumerate(families):
        if family not in FAMILIES:
            yield not_supported(f"spec.ipFamilies[{i}]", family, FAMILIES)
        if family in families[:i]:
            yield duplicate(f"spec.ipFamilies[{i}]", family)


def _address_list_errors(given: list[str]) -> Iterator[FieldError]:
    for i, address in enumerate(given):
        if i == 0 and address == "None":
            if len(given) > 1:
                yield invalid("spec.clusterIPs", given, "'None' must be the first and only value")
            continue
        yield from addresses.address(f"spec.clusterIPs[{i}]", address)
    if len(given) > 2:
        yield invalid("spec.clusterIPs", given, "may only hold up to 2 values")


def _address_family_errors(given: list[str], families: list[str]) -> Iterator[FieldError]:
    if given == ["None"]:
        return
    found = [addresses.family(address) for address in given]
    if len(set(found)) != len(found):
        yield invalid("spec.clusterIPs", given, "may specify no more than one IP for each IP family")
    for i, (address, family, wanted) in enumerate(zip(given, found, families, strict=False)):
        if wanted in FAMILIES and family != wanted:
            detail = f"expected an {wanted} value as indicated by `ipFamilies[{i}]`"
            yield invalid(f"spec.clusterIPs[{i}]", address, detail)


def _load_balancer_errors(service: Object) -> Iterator[FieldError]:
    spec = service.get("spec") or {}
    balances = spec.get("type") == "LoadBalancer"
    yield from _source_range_errors(service, balances)
    allocate = spec.get("allocateLoadBalancerNodePorts")
    if allocate is not None and not balances:
        yield forbidden("spec.allocateLoadBalancerNodePorts", _ONLY_LOAD_BALANCER)
    if allocate is None and balances:
        yield required("spec.allocateLoadBalancerNodePorts")
    class_ = spec.get("loadBalancerClass")
    if class_ is not None:
        if balances:
            yield from fields.qualified_name("spec.loadBalancerClass", class_)
        else:
            yield forbidden("spec.loadBalancerClass", _ONLY_LOAD_BALANCER)


def _source_range_errors(service: Object, balances: bool) -> Iterator[FieldError]:
    ranges = service["spec"].get("loadBalancerSourceRanges") or []
    annotation = (service["metadata"].get("annotations") or {}).get(SOURCE_RANGES)
    if ranges:
        path, value = "spec.LoadBalancerSourceRanges", f"[{' '.join(ranges)}]"
    elif annotation is not None:
        path, value = f"metadata.annotations[{SOURCE_RANGES}]", annotation
        ranges = annotation.strip().split(",") if annotation.strip() else []
    else:
        return
    if not balances:
        yield forbidden(path, _ONLY_LOAD_BALANCER)
    if any(addresses.parse_block(block.strip()) is None for block in ranges):
        yield invalid(path, value, "must be a list of IP ranges. For example, 10.240.0.0/24,10.250.0.0/24 ")
        return
    for i, block in enumerate(ranges):
        yield from addresses.block(f"{path}[{i}]", block.strip())


def _traffic_errors(spec: Object) -> Iterator[FieldError]:
    external = spec.get("externalTrafficPolicy")
    if is_externally_accessible(spec):
        yield from fields.one_of("spec.externalTrafficPolicy", external, TRAFFIC_POLICIES)
    elif external:
        yield invalid("spec.externalTrafficPolicy", external, "may only be set for externally-accessible services")
    health = spec.get("healthCheckNodePort")
    if health and not needs_health_check_port(spec):
        detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        yield invalid("spec.healthCheckNodePort", health, detail)
    elif health:
        yield from ports.number("spec.healthCheckNodePort", health)
    internal = spec.get("internalTrafficPolicy")
    if internal is None and spec.get("type") in {"ClusterIP", "NodePort", "LoadBalancer"}:
        yield required("spec.internalTrafficPolicy")
    elif internal is not None and internal not in TRAFFIC_POLICIES:
        yield not_supported("spec.internalTrafficPolicy", internal, TRAFFIC_POLICIES)
    distribution = spec.get("trafficDistribution")
    if distribution is not None and distribution not in TRAFFIC_DISTRIBUTIONS:
        yield not_supported("spec.trafficDistribution", distribution, TRAFFIC_DISTRIBUTIONS)


def _update_errors(new: Object, old: Object) -> Iterator[FieldError]:
    if new.get("type") == old.get("type") == "LoadBalancer":
        class_ = new.get("loadBalancerClass")
        if class_ != old.get("loadBalancerClass"):
            yield invalid("spec.loadBalancerClass", class_, _ONCE)
    if needs_health_check_port(new) and needs_health_check_port(old):
        before = old.get("healthCheckNodePort") or 0
        if before and (new.get("healthCheckNodePort") or 0) != before:
            yield forbidden("spec.healthCheckNodePort", "field is immutable")
    if "ExternalName" in {new.get("type"), old.get("type")} or (is_headless(new) and is_headless(old)):
        return
    yield from _kept_errors("clusterIPs", "clusterIP", new, old)
    if is_headless(new) == is_headless(old):
        yield from _kept_errors("ipFamilies", "ipFamily", new, old)


def _kept_errors(field: str, one: str, new: Object, old: Object) -> Iterator[FieldError]:
    """Addresses and families may be added and the second one released; what stays may not change."""
    now: list[str] = new.get(field) or []
    before: list[str] = old.get(field) or []
    path = f"spec.{field}"
    for i, (value, stored) in enumerate(zip(now, before, strict=False)):
        if value != stored and (i == 0 or len(now) == len(before)):
            yield invalid(f"{path}[{i if field == 'clusterIPs' else 0}]", now, _ONCE)
    if before and not now:
        yield invalid(f"{path}[0]", now, f"primary {one} can not be unset")
    elif len(before) > len(now) == 1 and new.get("ipFamilyPolicy") != "SingleStack":
        detail = f"must be set to 'SingleStack' when releasing the secondary {one}"
        yield invalid("spec.ipFamilyPolicy", new.get("ipFamilyPolicy"), detail)


def validate_status(service: Object, old: Object | None) -> Iterator[FieldError]:
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    path = "status.loadBalancer.ingress"
    for i, entry in enumerate(ingress):
        yield from balancer_entry_errors(f"{path}[{i}]", entry)
        mode, address = entry.get("ipMode"), entry.get("ip")
        if mode is None:
            if address:
                yield required(f"{path}[{i}].ipMode", "must be specified when `ip` is set")
        elif not address:
            yield forbidden(f"{path}[{i}].ipMode", "may not be specified when `ip` is not set")
        elif mode not in {"VIP", "Proxy"}:
            yield not_supported(f"{path}[{i}].ipMode", mode, ("Proxy", "VIP"))


def balancer_entry_errors(path: str, entry: Object) -> Iterator[FieldError]:
    """The address or host name at which a load balancer receives traffic."""
    address, host = entry.get("ip"), entry.get("hostname")
    if address:
        yield from addresses.address(f"{path}.ip", address, "must be a valid IP address")
    if host:
        yield from fields.subdomain(f"{path}.hostname", host)
        if addresses.parse(host) is not None:
            yield invalid(f"{path}.hostname", host, "must be a DNS name, not an IP address")
