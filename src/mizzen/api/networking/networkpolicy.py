"""NetworkPolicy (networking.k8s.io/v1): which traffic pods accept and send."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, NONE, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.rules import addresses, ports
from mizzen.machinery import labels
from mizzen.machinery.errors import FieldError, Object, forbidden, invalid, not_supported, required

PROTOCOLS = ("TCP", "UDP", "SCTP")
POLICY_TYPES = ("Ingress", "Egress")
_NO_BLOCK = "not a valid CIDR"


def default(policy: Object) -> None:
    spec = policy.setdefault("spec", {})
    spec.setdefault("podSelector", {})
    for direction in ("ingress", "egress"):
        for rule in spec.get(direction) or ():
            for port in rule.get("ports") or ():
                if port.get("protocol") is None:
                    port["protocol"] = "TCP"
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def validate(policy: Object, old: Object | None) -> Iterator[FieldError]:
    spec = policy.get("spec") or {}
    yield from labels.validate_selector(spec.get("podSelector"), "spec.podSelector")
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for i, rule in enumerate(spec.get(direction) or ()):
            path = f"spec.{direction}[{i}]"
            for j, port in enumerate(rule.get("ports") or ()):
                yield from _port_errors(f"{path}.ports[{j}]", port)
            for j, peer in enumerate(rule.get(peers) or ()):
                yield from _peer_errors(f"{path}.{peers}[{j}]", peer)
    types = spec.get("policyTypes") or ()
    if len(types) > len(POLICY_TYPES):
        yield invalid("spec.policyTypes", types, "may not specify more than two policyTypes")
        return
    for i, type_ in enumerate(types):
        if type_ not in POLICY_TYPES:
            yield not_supported(f"spec.policyTypes[{i}]", type_, POLICY_TYPES)


def warn(policy: Object, _old: Object | None) -> Iterator[str]:
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for i, rule in enumerate(policy["spec"].get(direction) or ()):
            for j, peer in enumerate(rule.get(peers) or ()):
                if block := peer.get("ipBlock"):
                    path = f"spec.{direction}[{i}].{peers}[{j}].ipBlock"
                    yield from addresses.block_warnings(f"{path}.cidr", block.get("cidr") or "")
                    for k, exception in enumerate(block.get("except") or ()):
                        yield from addresses.block_warnings(f"{path}.except[{k}]", exception)


def _port_errors(path: str, entry: Object) -> Iterator[FieldError]:
    protocol, port, end = entry.get("protocol"), entry.get("port"), entry.get("endPort")
    if protocol is not None and protocol not in PROTOCOLS:
        yield not_supported(f"{path}.protocol", protocol, PROTOCOLS)
    if port is None:
        if end is not None:
            yield invalid(f"{path}.endPort", end, "may not be specified when `port` is not specified")
        return
    if end is not None and isinstance(port, str):
        yield invalid(f"{path}.endPort", end, "may not be specified when `port` is non-numeric")
    elif end is not None:
        if end < port:
            # The value that is told is that of the port.
            yield invalid(f"{path}.endPort", port, "must be greater than or equal to `port`")
        yield from ports.number(f"{path}.endPort", end)
    yield from ports.number_or_name(f"{path}.port", port)


def _peer_errors(path: str, peer: Object) -> Iterator[FieldError]:
    selectors = [field for field in ("podSelector", "namespaceSelector") if peer.get(field) is not None]
    for field in selectors:
        yield from labels.validate_selector(peer[field], f"{path}.{field}")
    block = peer.get("ipBlock")
    if block is not None:
        yield from _block_errors(f"{path}.ipBlock", block)
        if selectors:
            yield forbidden(path, "may not specify both ipBlock and another peer")
    elif not selectors:
        yield required(path, "must specify a peer")


def _block_errors(path: str, block: Object) -> Iterator[FieldError]:
    text = block.get("cidr")
    if not text:
        yield required(f"{path}.cidr")
        return
    yield from addresses.block(f"{path}.cidr", text, _NO_BLOCK)
    outer = addresses.parse_block(text)
    if outer is None:
        return
    for i, exception in enumerate(block.get("except") or ()):
        yield from addresses.block(f"{path}.except[{i}]", exception, _NO_BLOCK)
        inner = addresses.parse_block(exception)
        if inner is None:
            continue
        inside = inner.version == outer.version and inner.network_address in outer
        if not inside or inner.prefixlen <= outer.prefixlen:
            yield invalid(f"{path}.except[{i}]", exception, "must be a strict subset of `cidr`")


NETWORK_POLICY = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="NetworkPolicy",
    plural="networkpolicies",
    namespaced=True,
    singular="networkpolicy",
    short_names=("netpol",),
    default=default,
    validate=validate,
    warn=warn,
    revalidates_metadata=0,
    has_generation=True,
    table=Table(
        columns=(NAME, Column("Pod-Selector"), AGE),
        row=lambda policy, now: [
            name(policy),
            labels.format_object(policy["spec"].get("podSelector")) or NONE,
            age(policy, now),
        ],
    ),
)
