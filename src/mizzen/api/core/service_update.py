"""What a Service write means for the values that the server allocated: kept, completed or given back.

Runs before the allocators; `complete_families` is theirs to call, with the address families of the cluster.
"""

from collections.abc import Iterator, Sequence

from mizzen.api.core import service_validation as rules
from mizzen.api.rules import addresses
from mizzen.machinery.errors import FieldError, Object, invalid

_FAMILY_FIELDS = ("ipFamilies", "ipFamilyPolicy")


def prepare(service: Object, old: Object | None) -> None:
    """Drop the status of a new Service, and carry over what a client need not repeat to an old one."""
    spec = service.setdefault("spec", {})
    if old is None:
        service["status"] = {"loadBalancer": {}}
        if spec.get("clusterIP") and not spec.get("clusterIPs"):
            spec["clusterIPs"] = [spec["clusterIP"]]
        return
    service["status"] = old.get("status") or {"loadBalancer": {}}
    stored = old["spec"]
    _keep_addresses(spec, stored)
    _keep_ports(spec, stored)
    _match_addresses(spec, stored)
    _drop_for_type(spec, stored)


def _needs_address(spec: Object) -> bool:
    return spec.get("type") != "ExternalName"


def _keep_addresses(spec: Object, stored: Object) -> None:
    if not (_needs_address(stored) and _needs_address(spec)):
        return
    if not spec.get("clusterIP") and stored.get("clusterIP"):
        spec["clusterIP"] = stored["clusterIP"]
    if not spec.get("clusterIPs") and spec.get("clusterIP") == stored.get("clusterIP") and stored.get("clusterIPs"):
        spec["clusterIPs"] = list(stored["clusterIPs"])


def _keep_ports(spec: Object, stored: Object) -> None:
    """Node ports are kept by the name of the port, unless the client moved the number to another port."""
    if rules.needs_node_ports(stored) and rules.needs_node_ports(spec):
        used = _node_ports(stored) & _node_ports(spec)
        known = {port.get("name"): port.get("nodePort") for port in stored.get("ports") or ()}
        for port in spec.get("ports") or ():
            before = known.get(port.get("name"))
            if not port.get("nodePort") and before and before not in used:
                port["nodePort"] = before
    if rules.needs_health_check_port(stored) and rules.needs_health_check_port(spec):
        before = stored.get("healthCheckNodePort")
        if not spec.get("healthCheckNodePort") and before:
            spec["healthCheckNodePort"] = before


def _node_ports(spec: Object) -> set[int]:
    return {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}


def _match_addresses(spec: Object, stored: Object) -> None:
    """Clients that know only `clusterIP` change it alone; `clusterIPs` follows."""
    single, before = spec.get("clusterIP") or "", stored.get("clusterIP") or ""
    same_list = (spec.get("clusterIPs") or []) == (stored.get("clusterIPs") or [])
    if single == before:
        if not spec.get("clusterIPs") and stored.get("clusterIPs") and single:
            spec["clusterIPs"] = list(stored["clusterIPs"])
    elif not single:
        if same_list:
            spec.pop("clusterIPs", None)
    elif same_list or not spec.get("clusterIPs"):
        spec["clusterIPs"] = [single]


def _drop_for_type(spec: Object, stored: Object) -> None:
    """Forget what no longer applies after a change of type, if the client did not touch it."""
    if _needs_address(stored) and not _needs_address(spec):
        if _same(spec, stored, "clusterIP") and _same(spec, stored, "clusterIPs"):
            spec.pop("clusterIP", None)
            spec.pop("clusterIPs", None)
        for field in (*_FAMILY_FIELDS, "internalTrafficPolicy"):
            _drop_same(spec, stored, field)
    if rules.needs_node_ports(stored) and not rules.needs_node_ports(spec) and _node_ports(spec) == _node_ports(stored):
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)
    if rules.needs_health_check_port(stored) and not rules.needs_health_check_port(spec):
        _drop_same(spec, stored, "healthCheckNodePort")
    if stored.get("type") == "LoadBalancer" and spec.get("type") != "LoadBalancer":
        _drop_same(spec, stored, "allocateLoadBalancerNodePorts")
        _drop_same(spec, stored, "loadBalancerClass")
    if rules.is_externally_accessible(stored) and not rules.is_externally_accessible(spec):
        _drop_same(spec, stored, "externalTrafficPolicy")


def _same(spec: Object, stored: Object, field: str) -> bool:
    return (spec.get(field) or None) == (stored.get(field) or None)


def _drop_same(spec: Object, stored: Object, field: str) -> None:
    if _same(spec, stored, field):
        spec.pop(field, None)


def complete_families(spec: Object, stored: Object | None, offered: Sequence[str]) -> Iterator[FieldError]:
    """Fill in `ipFamilies` and `ipFamilyPolicy` from the addresses given and the families the cluster offers.

    `offered` is the cluster's families, the preferred one first. Yields what cannot be had.
    """
    if spec.get("type") == "ExternalName":
        return
    problems = list(rules.address_errors(spec))
    if problems:
        yield from problems
        return
    _shrink(spec, stored)
    families: list[str] = list(spec.get("ipFamilies") or ())
    given: list[str] = [] if rules.is_headless(spec) else list(spec.get("clusterIPs") or ())
    policy = spec.get("ipFamilyPolicy")
    if len(families) == 2 or len(given) == 2:
        if policy == "SingleStack":
            detail = "may only be 'PreferDualStack' or 'RequireDualStack' when"
            if len(families) == 2 and stored is None:
                yield invalid("spec.ipFamilyPolicy", policy, f"{detail} multiple `ipFamilies` are specified")
                return
            if len(given) == 2:
                yield invalid("spec.ipFamilyPolicy", policy, f"{detail} multiple `clusterIPs` are specified")
                return
        policy = policy or "RequireDualStack"
    families += [addresses.family(address) for address in given[len(families) :]]
    if rules.is_headless(spec) and not spec.get("selector"):
        yield from _complete_selectorless(spec, families, policy, offered)
        return
    unavailable = [
        invalid(f"spec.ipFamilies[{i}]", family, "not configured on this cluster")
        for i, family in enumerate(families)
        if family not in offered
    ]
    if unavailable:
        yield from unavailable
        return
    policy = policy or "SingleStack"
    if policy == "RequireDualStack" and len(offered) < 2:
        yield invalid("spec.ipFamilyPolicy", policy, "this cluster is not configured for dual-stack services")
        return
    wanted = 1 if policy == "SingleStack" else len(offered)
    families += [family for family in offered if family not in families][: max(0, wanted - len(families))]
    spec["ipFamilies"], spec["ipFamilyPolicy"] = families, policy


def _complete_selectorless(
    spec: Object, families: list[str], policy: str | None, offered: Sequence[str]
) -> Iterator[FieldError]:
    """A headless Service without selector has no addresses of its own: any family may be claimed."""
    policy = policy or ("RequireDualStack" if len(families) != 1 else "SingleStack")
    if not families:
        families = list(offered[:1])
    if policy != "SingleStack" and len(families) == 1:
        families.append("IPv6" if families[0] == "IPv4" else "IPv4")
    spec["ipFamilies"], spec["ipFamilyPolicy"] = families, policy
    yield from ()


def _shrink(spec: Object, stored: Object | None) -> None:
    """A change to SingleStack gives back the second address and family, if the client left them as they were."""
    if stored is None or spec.get("ipFamilyPolicy") != "SingleStack" or stored.get("ipFamilyPolicy") == "SingleStack":
        return
    for field in ("clusterIPs", "ipFamilies"):
        if len(spec.get(field) or ()) == 2 and _same(spec, stored, field):
            spec[field] = spec[field][:1]
