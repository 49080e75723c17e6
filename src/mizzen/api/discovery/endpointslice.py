"""EndpointSlice (discovery.k8s.io/v1): some of the addresses behind a Service."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, UNSET, age, joined, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.rules import addresses, fields, ports
from mizzen.machinery import labels, names
from mizzen.machinery.errors import Cause, FieldError, Object, duplicate, invalid, required

ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
ADDRESS_LIMIT = 100
ENDPOINT_LIMIT = 1000
PORT_LIMIT = 20000
TOPOLOGY_LIMIT = 16
HINT_LIMIT = 8


def default(slice_: Object) -> None:
    for field in ("endpoints", "ports"):
        if not slice_.get(field):
            slice_[field] = None
    for endpoint in slice_["endpoints"] or ():
        endpoint.setdefault("conditions", {})
    for port in slice_["ports"] or ():
        if port.get("name") is None:
            port["name"] = ""
        if port.get("protocol") is None:
            port["protocol"] = "TCP"


def validate(slice_: Object, old: Object | None) -> Iterator[FieldError]:
    type_ = slice_.get("addressType")
    if old is not None:
        yield from fields.unchanged("addressType", type_, old.get("addressType"))
    yield from fields.one_of("addressType", type_, ADDRESS_TYPES)
    yield from _endpoints_errors(slice_.get("endpoints") or [], type_ or "")
    yield from _ports_errors(slice_.get("ports") or [])


def _endpoints_errors(endpoints: list[Object], type_: str) -> Iterator[FieldError]:
    if len(endpoints) > ENDPOINT_LIMIT:
        yield _too_many("endpoints", endpoints, ENDPOINT_LIMIT)
        return
    for i, endpoint in enumerate(endpoints):
        path = f"endpoints[{i}]"
        given = endpoint.get("addresses") or []
        if not given:
            yield required(f"{path}.addresses", "must contain at least 1 address")
        elif len(given) > ADDRESS_LIMIT:
            yield _too_many(f"{path}.addresses", given, ADDRESS_LIMIT)
        for j, address in enumerate(given):
            yield from _address_errors(f"{path}.addresses[{j}]", address, type_)
        if endpoint.get("nodeName") is not None:
            yield from fields.subdomain(f"{path}.nodeName", endpoint["nodeName"])
        topology = endpoint.get("deprecatedTopology") or {}
        if len(topology) > TOPOLOGY_LIMIT:
            yield _too_many(f"{path}.deprecatedTopology", topology, TOPOLOGY_LIMIT)
        yield from labels.validate_labels(topology, f"{path}.deprecatedTopology")
        if endpoint.get("hostname") is not None:
            yield from fields.label(f"{path}.hostname", endpoint["hostname"])
        hints = endpoint.get("hints") or {}
        yield from _hint_errors(f"{path}.hints.forZones", hints.get("forZones") or [])
        yield from _hint_errors(f"{path}.hints.forNodes", hints.get("forNodes") or [])


def _too_many(path: str, values: list[Object] | dict[str, str], limit: int) -> FieldError:
    return FieldError(Cause.TOO_MANY, path, len(values), f"must have at most {limit} items")


def _address_errors(path: str, address: str, type_: str) -> Iterator[FieldError]:
    match type_:
        case "IPv4" | "IPv6":
            if unclear := list(addresses.unclear(path, address)):
                yield from unclear
                return
            if addresses.family(address) != type_:
                yield invalid(path, address, f"must be a valid {type_} address")
            yield from addresses.reachable(path, address)
        case "FQDN":
            yield from _domain_errors(path, address)


def _domain_errors(path: str, address: str) -> Iterator[FieldError]:
    """A domain of at least two labels; a dot at its end is no mistake."""
    text = address.removesuffix(".")
    if not address:
        yield required(path)
    elif problems := names.dns1123_subdomain(text):
        yield invalid(path, text, ",".join(problems))
    elif "." not in text:
        yield invalid(path, text, "should be a domain with at least two segments separated by dots")
    else:
        for label in text.split("."):
            if problems := names.dns1123_label(label):
                yield invalid(path, label, ",".join(problems))


def _hint_errors(path: str, hints: list[Object]) -> Iterator[FieldError]:
    if len(hints) > HINT_LIMIT:
        yield _too_many(path, hints, HINT_LIMIT)
        return
    seen: set[str] = set()
    for i, hint in enumerate(hints):
        value = hint.get("name") or ""
        if value in seen:
            yield duplicate(f"{path}[{i}].name", value)
        seen.add(value)
        rule = names.label_value if path.endswith("forZones") else names.dns1123_subdomain
        yield from fields.matches(f"{path}[{i}].name", value, rule)


def _ports_errors(entries: list[Object]) -> Iterator[FieldError]:
    if len(entries) > PORT_LIMIT:
        yield _too_many("ports", entries, PORT_LIMIT)
        return
    seen: set[str] = set()
    for i, port in enumerate(entries):
        path = f"ports[{i}]"
        port_name = port.get("name") or ""
        if port_name:
            yield from fields.label(f"{path}.name", port_name)
        if port_name in seen:
            yield duplicate(f"{path}.name", port_name)
        seen.add(port_name)
        yield from fields.one_of(f"{path}.protocol", port.get("protocol"), ports.PROTOCOLS)
        if port.get("port") is not None:
            yield from ports.number(f"{path}.port", port["port"])
        if port.get("appProtocol") is not None:
            yield from fields.qualified_name(f"{path}.appProtocol", port["appProtocol"])


def _port_cell(port: Object) -> str:
    return str(port["port"]) if port.get("port") is not None else str(port.get("name", "*"))


def _row(slice_: Object, now: float) -> list[object]:
    given = [address for endpoint in slice_.get("endpoints") or () for address in endpoint.get("addresses") or ()]
    return [
        name(slice_),
        slice_.get("addressType", ""),
        joined([_port_cell(port) for port in slice_.get("ports") or ()]) or UNSET,
        joined(given) or UNSET,
        age(slice_, now),
    ]


ENDPOINT_SLICE = Kind(
    group="discovery.k8s.io",
    version="v1",
    kind="EndpointSlice",
    plural="endpointslices",
    namespaced=True,
    singular="endpointslice",
    default=default,
    validate=validate,
    compares_metadata=0,
    has_generation=True,
    generation_heeds=("labels",),
    table=Table(columns=(NAME, Column("AddressType"), Column("Ports"), Column("Endpoints"), AGE), row=_row),
)
