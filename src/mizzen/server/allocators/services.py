"""The allocator of Services: cluster addresses, node ports and health check ports.

What is reserved here but not stored is given back by the undo; what is stored is known from the Services themselves,
so the pools are right after every start and across servers.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from mizzen.api.core.service import SERVICE
from mizzen.api.core.service_update import complete_families
from mizzen.api.kind import Kind
from mizzen.machinery.errors import Cause, Errors, FieldError, Object, invalid
from mizzen.server.allocators.addresses import Addresses, AddressProblem, reserved
from mizzen.server.allocators.pools import Exhausted, Pool, Taken
from mizzen.server.seams import Reader

NODE_PORTS: Final = (30000, 32767)
_HEADLESS: Final = "None"
_NO_OWNER: Final = ""


@dataclass(frozen=True, slots=True)
class _Texts(FieldError):
    """An error about a list of strings, shown as the original shows it."""

    @property
    def message(self) -> str:
        shown = ", ".join(f'"{text}"' for text in self.value)
        return f"Invalid value: []string{{{shown}}}: {self.detail}"


class Services:
    """Gives Services their addresses and ports, and takes them back."""

    def __init__(
        self, reader: Reader, ranges: tuple[str, ...], rng: Random, node_ports: tuple[int, int] = NODE_PORTS
    ) -> None:
        self._addresses = Addresses(reader, ranges, rng)
        first, last = node_ports
        self._ports = Pool(first, last, reserved(last - first + 1, 32, 128), rng)
        reader.subscribe(SERVICE, self._changed)

    def handles(self, kind: Kind) -> bool:
        return kind is SERVICE

    def allocate(self, obj: Object, old: Object | None) -> Callable[[], None]:
        """Fill in families, addresses and ports; answers how to give back what is new. Raises ApiError 422."""
        attempt = _Attempt(self._addresses, self._ports, _key(obj), old)
        spec = obj["spec"]
        errors = list(complete_families(spec, old["spec"] if old else None, self._addresses.families))
        if not errors:
            errors = [*attempt.addresses(spec), *attempt.node_ports(spec), *attempt.health_port(spec)]
        if errors:
            attempt.undo()
            raise Errors.invalid("", "Service", obj["metadata"]["name"], errors)
        return attempt.undo

    def release(self, obj: Object) -> None:
        """The Service is gone."""
        self._changed(_key(obj), obj, None)

    def _changed(self, key: str, old: Object | None, new: Object | None) -> None:
        key = _key(new or old or {})
        old_addresses, new_addresses = set(_addresses(old)), set(_addresses(new))
        for address in old_addresses - new_addresses:
            self._addresses.free(address, key)
        for address in new_addresses:
            self._addresses.record(address, key)
        old_ports, new_ports = set(_ports(old)), set(_ports(new))
        for port in old_ports - new_ports:
            self._ports.free(port, key)
        for port in new_ports:
            if port in self._ports:
                self._ports.record(port, key)


class _Attempt:
    """What one write has been given so far."""

    def __init__(self, addresses: Addresses, ports: Pool, owner: str, old: Object | None) -> None:
        self._addresses = addresses
        self._ports = ports
        self._owner = owner
        self._held = set(_addresses(old))
        self._held_ports = set(_ports(old))
        self._new_addresses: list[str] = []
        self._new_ports: list[int] = []

    def undo(self) -> None:
        """Give back what is new."""
        for address in self._new_addresses:
            self._addresses.free(address, self._owner)
        for port in self._new_ports:
            self._ports.free(port, self._owner)
        self._new_addresses.clear()
        self._new_ports.clear()

    def addresses(self, spec: Object) -> Iterator[FieldError]:
        """Cluster addresses, one for each family."""
        if spec.get("type") == "ExternalName":
            return
        given: list[str] = list(spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else []))
        if given[:1] == [_HEADLESS]:
            spec["clusterIP"], spec["clusterIPs"] = _HEADLESS, [_HEADLESS]
            return
        try:
            for address in given:
                if address not in self._held and self._addresses.take(address, self._owner):
                    self._new_addresses.append(address)
            for family in list(spec.get("ipFamilies") or ())[len(given) :]:
                address = self._addresses.draw(family, self._owner)
                self._new_addresses.append(address)
                given.append(address)
        except AddressProblem as problem:
            asked = address if given else ""
            detail = (
                f"failed to allocate IP {asked}: {problem}" if asked else f"failed to allocate a serviceIP: {problem}"
            )
            yield _Texts(Cause.INVALID, "spec.clusterIPs", given, detail)
            return
        if given:
            spec["clusterIP"], spec["clusterIPs"] = given[0], given

    def node_ports(self, spec: Object) -> Iterator[FieldError]:
        """Node ports; one number may serve several protocols of the same Service."""
        type_ = spec.get("type")
        if type_ not in ("NodePort", "LoadBalancer"):
            return
        draws = type_ == "NodePort" or spec.get("allocateLoadBalancerNodePorts") is not False
        own = set(self._held_ports)
        for index, port in enumerate(spec.get("ports") or ()):
            asked = port.get("nodePort")
            if asked:
                if asked not in own:
                    yield from self._take_port(asked, f"spec.ports[{index}].nodePort")
                own.add(asked)
        for index, port in enumerate(spec.get("ports") or ()):
            if port.get("nodePort") or not draws:
                continue
            shared = _shareable(spec["ports"], port)
            number = shared or self._draw_port()
            if number is None:
                detail = "failed to allocate a nodePort: range is full"
                yield invalid(f"spec.ports[{index}].nodePort", port.get("nodePort", 0), detail)
                return
            port["nodePort"] = number

    def health_port(self, spec: Object) -> Iterator[FieldError]:
        """The port on which load balancers ask a node whether it has endpoints of its own."""
        if spec.get("type") != "LoadBalancer" or spec.get("externalTrafficPolicy") != "Local":
            return
        asked = spec.get("healthCheckNodePort")
        if asked:
            if asked not in self._held_ports:
                yield from self._take_port(asked, "spec.healthCheckNodePort")
            return
        number = self._draw_port()
        if number is None:
            yield invalid("spec.healthCheckNodePort", 0, "failed to allocate a HealthCheckNodePort: range is full")
            return
        spec["healthCheckNodePort"] = number

    def _take_port(self, port: int, path: str) -> Iterator[FieldError]:
        if port not in self._ports:
            valid = f"{self._ports.first}-{self._ports.last}"
            detail = f"provided port is not in the valid range. The range of valid ports is {valid}"
            yield invalid(path, port, detail)
            return
        try:
            if self._ports.take(port, self._owner):
                self._new_ports.append(port)
        except Taken:
            yield invalid(path, port, "provided port is already allocated")

    def _draw_port(self) -> int | None:
        try:
            port = self._ports.draw(self._owner)
        except Exhausted:
            return None
        self._new_ports.append(port)
        return port


def _shareable(ports: list[Any], wanted: Object) -> int | None:
    """The node port of the same port under another protocol, if this protocol does not have it yet."""
    for port in ports:
        number = port.get("nodePort")
        if not number or port.get("port") != wanted.get("port") or port.get("protocol") == wanted.get("protocol"):
            continue
        if not any(p.get("nodePort") == number and p.get("protocol") == wanted.get("protocol") for p in ports):
            return int(number)
    return None


def _key(service: Object) -> str:
    metadata = service.get("metadata") or {}
    return f"{metadata.get('namespace', _NO_OWNER)}/{metadata.get('name', _NO_OWNER)}"


def _addresses(service: Object | None) -> Iterator[str]:
    """The cluster addresses that a Service holds."""
    spec = (service or {}).get("spec") or {}
    if spec.get("type") != "ExternalName":
        yield from (address for address in spec.get("clusterIPs") or () if address and address != _HEADLESS)


def _ports(service: Object | None) -> Iterator[int]:
    """The node ports that a Service holds."""
    spec = (service or {}).get("spec") or {}
    for port in spec.get("ports") or ():
        if port.get("nodePort"):
            yield port["nodePort"]
    if spec.get("healthCheckNodePort"):
        yield spec["healthCheckNodePort"]
