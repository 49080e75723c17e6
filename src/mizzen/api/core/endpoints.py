"""Endpoints (core/v1): the addresses behind a Service, in the form that EndpointSlice replaced."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, NONE, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.rules import addresses, fields, ports
from mizzen.machinery.errors import FieldError, Object, required

SHOWN = 3


def default(endpoints: Object) -> None:
    for subset in endpoints.get("subsets") or ():
        for port in subset.get("ports") or ():
            if not port.get("protocol"):
                port["protocol"] = "TCP"


def validate(endpoints: Object, old: Object | None) -> Iterator[FieldError]:
    for i, subset in enumerate(endpoints.get("subsets") or ()):
        path = f"subsets[{i}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            yield required(path, "must specify `addresses` or `notReadyAddresses`")
        for field in ("addresses", "notReadyAddresses"):
            for j, address in enumerate(subset.get(field) or ()):
                yield from _address_errors(f"{path}.{field}[{j}]", address)
        entries = subset.get("ports") or ()
        for j, port in enumerate(entries):
            yield from _port_errors(f"{path}.ports[{j}]", port, len(entries) > 1)


def _address_errors(path: str, address: Object) -> Iterator[FieldError]:
    ip = address.get("ip") or ""
    yield from addresses.address(f"{path}.ip", ip)
    if address.get("hostname"):
        yield from fields.label(f"{path}.hostname", address["hostname"])
    if address.get("nodeName") is not None:
        yield from fields.subdomain(f"{path}.nodeName", address["nodeName"])
    yield from addresses.reachable(f"{path}.ip", ip)


def _port_errors(path: str, port: Object, needs_name: bool) -> Iterator[FieldError]:
    if port.get("name"):
        yield from fields.label(f"{path}.name", port["name"])
    elif needs_name:
        yield required(f"{path}.name")
    yield from ports.number(f"{path}.port", port.get("port"))
    yield from fields.one_of(f"{path}.protocol", port.get("protocol"), ports.PROTOCOLS)
    if port.get("appProtocol") is not None:
        yield from fields.qualified_name(f"{path}.appProtocol", port["appProtocol"])


def _cell(endpoints: Object) -> str:
    """The first ready addresses with their ports, and how many more there are."""
    subsets = endpoints.get("subsets")
    if not subsets:
        return NONE
    shown: list[str] = []
    count = 0
    for subset in subsets:
        ready = [address["ip"] for address in subset.get("addresses") or ()]
        for port in subset.get("ports") or (None,):
            count += len(ready)
            for ip in ready[: SHOWN - len(shown)]:
                shown.append(ip if port is None else f"{f'[{ip}]' if ':' in ip else ip}:{port['port']}")
    text = ",".join(shown)
    return f"{text} + {count - SHOWN} more..." if count > SHOWN else text


TABLE = Table(
    columns=(NAME, Column("Endpoints"), AGE),
    row=lambda endpoints, now: [name(endpoints), _cell(endpoints), age(endpoints, now)],
)

ENDPOINTS = Kind(
    group="",
    version="v1",
    kind="Endpoints",
    plural="endpoints",
    namespaced=True,
    singular="endpoints",
    short_names=("ep",),
    default=default,
    validate=validate,
    table=TABLE,
    create_on_update=True,
    deprecation="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
)
