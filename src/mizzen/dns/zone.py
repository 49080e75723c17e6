"""Which names the cluster has, and what they mean. Pure.

`service_names` says it for one Service; a `Zone` holds all of them and answers questions.
Ref: the specification "Kubernetes DNS-Based Service Discovery", schema version 1.1.0.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, ip_address
from typing import Final, NamedTuple

from mizzen.api.views.core import Service
from mizzen.api.views.discovery import Endpoint, EndpointSlice
from mizzen.wire import dns
from mizzen.wire.dns import Record

TTL: Final = 5
SCHEMA_VERSION: Final = "1.1.0"
_CHAIN_LIMIT: Final = 8

Names = Mapping[str, tuple[Record, ...]]
"""Records by name; a name without records exists all the same."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known about a question; `external`: a name outside the cluster that the answers end with."""

    code: int = dns.NOERROR
    answers: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    external: str = ""


class _Named(NamedTuple):
    """An endpoint's own name below a headless Service, and its address."""

    host: str
    address: str


def reverse_name(ip: str) -> str:
    """The name under which an address is looked up."""
    return ip_address(ip).reverse_pointer


def service_names(service: Service, slices: Iterable[EndpointSlice], domain: str) -> Names:
    """Every name that a Service brings about."""
    spec = service.spec
    base = f"{service.metadata.name}.{service.metadata.namespace}.svc.{domain}"
    if spec.type == "ExternalName":
        target = spec.externalName.rstrip(".").lower()
        return {base: (Record(base, dns.CNAME, TTL, dns.encode_name(target)),)} if target else {}
    if spec.clusterIP == "None":
        return _headless(service, base, tuple(slices))
    if not spec.clusterIP:
        return {}
    addresses = spec.clusterIPs or (spec.clusterIP,)
    found: dict[str, list[Record]] = {base: [_address(base, ip) for ip in addresses]}
    for port in spec.ports:
        for name in _srv_names(port.name, port.protocol, base):
            found.setdefault(name, []).append(Record(name, dns.SRV, TTL, dns.srv_data(0, 100, port.port, base)))
    for ip in addresses:
        back = reverse_name(ip)
        found[back] = [Record(back, dns.PTR, TTL, dns.encode_name(base))]
    return {name: tuple(dict.fromkeys(records)) for name, records in found.items()}


def _headless(service: Service, base: str, slices: tuple[EndpointSlice, ...]) -> Names:
    found: dict[str, dict[Record, None]] = {base: {}}

    def add(record: Record) -> None:
        found.setdefault(record.name, {})[record] = None

    for piece in slices:
        if piece.addressType not in ("IPv4", "IPv6"):
            continue
        for endpoint in piece.endpoints:
            if not _is_published(service, endpoint):
                continue
            for named in _named(endpoint):
                own = f"{named.host}.{base}"
                add(_address(base, named.address))
                add(_address(own, named.address))
                if endpoint.hostname:
                    back = reverse_name(named.address)
                    add(Record(back, dns.PTR, TTL, dns.encode_name(own)))
                for port in piece.ports:
                    if port.port:
                        data = dns.srv_data(0, 100, port.port, own)
                        for name in _srv_names(port.name, port.protocol, base):
                            add(Record(name, dns.SRV, TTL, data))
    return {name: tuple(records) for name, records in found.items()}


def _is_published(service: Service, endpoint: Endpoint) -> bool:
    return service.spec.publishNotReadyAddresses or endpoint.conditions.ready is not False


def _named(endpoint: Endpoint) -> Iterable[_Named]:
    for address in endpoint.addresses:
        yield _Named((endpoint.hostname or address.replace(".", "-").replace(":", "-")).lower(), address)


def _srv_names(port: str | None, protocol: str, base: str) -> tuple[str, ...]:
    """The names that have the SRV record of a port; peers find each other by the Service's own, which has all."""
    return (base, f"_{port}._{protocol.lower()}.{base}") if port else (base,)


def _address(name: str, ip: str) -> Record:
    if ":" in ip:
        return Record(name, dns.AAAA, TTL, dns.aaaa_data(ip))
    return Record(name, dns.A, TTL, dns.a_data(ip))


class Zone:
    """All names of a cluster, kept by whose they are, so that one Service's change touches its own alone."""

    def __init__(self, domain: str) -> None:
        self.domain = domain
        self._records: dict[str, tuple[Record, ...]] = {}
        self._claims: dict[str, dict[tuple[str, str], tuple[Record, ...]]] = {}
        self._owned: dict[tuple[str, str], Names] = {}
        self._parents: Counter[str] = Counter()
        version = f"dns-version.{domain}"
        self.replace(("", ""), {version: (Record(version, dns.TXT, TTL, dns.txt_data(SCHEMA_VERSION)),)})

    def replace(self, owner: tuple[str, str], names: Names) -> None:
        """Let an owner have these names and no other. A name that several claim has the records of all."""
        before = self._owned.pop(owner, {})
        if names:
            self._owned[owner] = names
        for name in before.keys() - names.keys():
            claims = self._claims[name]
            del claims[owner]
            self._settle(name, claims)
        for name, records in names.items():
            claims = self._claims.setdefault(name, {})
            claims[owner] = records
            self._settle(name, claims)

    def holds(self, name: str) -> bool:
        """Whether this zone, and nobody else, answers for the name."""
        return name == self.domain or name.endswith("." + self.domain) or name in self._records

    def answer(self, name: str, type: int) -> Answer:
        """What the zone says about a name that it holds."""
        answers: list[Record] = []
        for _ in range(_CHAIN_LIMIT):
            records = self._records.get(name)
            if records is None:
                records = self._pod(name)
            if records is None:
                if answers:
                    return Answer(answers=tuple(answers), external="" if self.holds(name) else name)
                return Answer(dns.NOERROR if name in self._parents or name == self.domain else dns.NXDOMAIN)
            matching = [record for record in records if type in (record.type, dns.ANY)]
            alias = next((record for record in records if record.type == dns.CNAME), None)
            if alias is None or matching:
                answers += matching
                return Answer(answers=tuple(answers), additional=self._additional(matching))
            answers.append(alias)
            name = dns.decode_name(alias.data, 0)[0]
        return Answer(answers=tuple(answers))

    def soa(self, serial: int) -> Record:
        """The record that tells askers for how long a name may be believed absent."""
        data = dns.soa_data(f"ns.dns.{self.domain}", f"hostmaster.{self.domain}", serial, TTL)
        return Record(self.domain, dns.SOA, TTL, data)

    def _settle(self, name: str, claims: dict[tuple[str, str], tuple[Record, ...]]) -> None:
        was, now = name in self._records, bool(claims)
        if now:
            self._records[name] = tuple(dict.fromkeys(record for records in claims.values() for record in records))
        elif was:
            del self._records[name], self._claims[name]
        if was != now:
            for parent in _parents(name):
                self._parents[parent] += 1 if now else -1
                if not self._parents[parent]:
                    del self._parents[parent]

    def _additional(self, answers: Iterable[Record]) -> tuple[Record, ...]:
        """The addresses of the hosts that SRV answers name."""
        found: dict[Record, None] = {}
        for record in answers:
            if record.type == dns.SRV:
                host = dns.decode_name(record.data, 6)[0]
                for one in self._records.get(host, ()):
                    if one.type in (dns.A, dns.AAAA):
                        found[one] = None
        return tuple(found)

    def _pod(self, name: str) -> tuple[Record, ...] | None:
        """`10-1-2-3.NAMESPACE.pod.DOMAIN`: its address is in the name, whether or not such a pod exists."""
        suffix = f".pod.{self.domain}"
        host, _, namespace = name.removesuffix(suffix).partition(".")
        if not name.endswith(suffix) or not namespace or "." in namespace:
            return None
        try:
            return (Record(name, dns.A, TTL, IPv4Address(host.replace("-", ".")).packed),)
        except AddressValueError:
            return None


def _parents(name: str) -> Iterable[str]:
    _, _, rest = name.partition(".")
    while rest:
        yield rest
        _, _, rest = rest.partition(".")
