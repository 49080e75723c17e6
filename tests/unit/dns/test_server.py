import asyncio
import random
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import dnslib
import pytest
from tests.unit.dns.objects import endpoints, headless, service

from mizzen.api.views.core import Service
from mizzen.api.views.discovery import EndpointSlice
from mizzen.base.clock import SystemClock, VirtualClock
from mizzen.client.cache import Cache
from mizzen.client.resources import ENDPOINT_SLICES, SERVICES
from mizzen.dns.forward import Forwarder, machine_resolv_conf, upstreams
from mizzen.dns.server import Server, listen
from mizzen.dns.shell import Follower
from mizzen.dns.zone import Zone

WEB = "web.default.svc.cluster.local"


class Resolver(asyncio.DatagramProtocol):
    """A resolver of the outside that counts its questions; it says nothing about names that begin with `silent`."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        request = dnslib.DNSRecord.parse(data)
        name = str(request.q.qname)
        self.asked.append(name)
        reply = request.reply()
        if name.startswith("silent"):
            return
        if name.startswith("absent"):
            reply.header.rcode = 3
            reply.add_auth(*dnslib.RR.fromZone("example.org 60 SOA ns.example.org. x.example.org. 1 2 3 4 5"))
        else:
            reply.add_answer(*dnslib.RR.fromZone(f"{name} 60 CNAME real.example.org.\nreal.example.org 60 A 192.0.2.7"))
        self.transport.sendto(reply.pack(), addr)  # type: ignore[attr-defined]


class Dns:
    """A server on loopback, its cache, and the resolver that it forwards to."""

    def __init__(self, cache: Cache, port: int, resolver: Resolver) -> None:
        self.services, self.slices = cache.of(SERVICES, Service), cache.of(ENDPOINT_SLICES, EndpointSlice)
        self.port = port
        self.resolver = resolver

    async def ask(self, name: str, kind: str = "A", *, tcp: bool = False, edns: int = 0) -> dnslib.DNSRecord:
        question = dnslib.DNSRecord.question(name, kind)
        if edns:
            question.add_ar(dnslib.EDNS0(udp_len=edns))
        raw = await asyncio.to_thread(question.send, "127.0.0.1", self.port, tcp=tcp, timeout=5)
        return dnslib.DNSRecord.parse(raw)


@pytest.fixture
async def server() -> AsyncIterator[Dns]:
    loop, cache, resolver = asyncio.get_running_loop(), Cache(), Resolver()
    upstream, _ = await loop.create_datagram_endpoint(lambda: resolver, local_addr=("127.0.0.1", 0))
    zone = Zone("cluster.local")
    made = Server(zone, Forwarder([upstream.get_extra_info("sockname")[:2]], SystemClock(), random.Random(1)))
    follower = Follower(cache, zone, made)
    listeners = await listen(made, "127.0.0.1", 0)
    yield Dns(cache, listeners.port, resolver)
    listeners.close()
    made.close()
    follower.close()
    upstream.close()


def rdata(answer: dnslib.DNSRecord) -> list[str]:
    return sorted(str(one.rdata) for one in answer.rr)


async def test_answers_follow_the_cache(server: Dns) -> None:
    assert (await server.ask(WEB)).header.rcode == 3
    server.services.put(service("web", "10.96.0.5"))
    assert rdata(await server.ask(WEB)) == ["10.96.0.5"]
    assert rdata(await server.ask(WEB.upper())) == ["10.96.0.5"]
    server.services.drop("default", "web")
    assert (await server.ask(WEB)).header.rcode == 3


async def test_an_absent_name_says_for_how_long_it_may_be_believed_absent(server: Dns) -> None:
    answer = await server.ask("nothing.svc.cluster.local")
    assert (answer.header.rcode, [one.rtype for one in answer.auth]) == (3, [dnslib.QTYPE.SOA])


async def test_headless_endpoints_come_and_go(server: Dns) -> None:
    server.services.put(headless("db"))
    server.slices.put(endpoints("db", {"addresses": ["10.1.0.2"], "hostname": "db-0"}))
    assert rdata(await server.ask("db-0.db.default.svc.cluster.local")) == ["10.1.0.2"]
    assert rdata(await server.ask("_http._tcp.db.default.svc.cluster.local", "SRV")) == [
        "0 100 8080 db-0.db.default.svc.cluster.local."
    ]
    server.slices.drop("default", "db-1")
    assert rdata(await server.ask("db.default.svc.cluster.local")) == []


async def test_a_long_answer_is_cut_over_udp_and_whole_over_tcp(server: Dns) -> None:
    server.services.put(headless("db"))
    server.slices.put(endpoints("db", *({"addresses": [f"10.1.{n}.2"]} for n in range(100))))
    name = "db.default.svc.cluster.local"
    cut = await server.ask(name)
    assert (cut.header.tc, cut.rr) == (1, [])
    assert len((await server.ask(name, tcp=True)).rr) == 100


async def test_edns_makes_room_for_more(server: Dns) -> None:
    server.services.put(headless("db"))
    server.slices.put(endpoints("db", *({"addresses": [f"10.1.{n}.2"]} for n in range(50))))
    name = "db.default.svc.cluster.local"
    assert (await server.ask(name)).header.tc == 1
    assert len((await server.ask(name, edns=4096)).rr) == 50


async def test_other_names_are_asked_of_the_resolver_once(server: Dns) -> None:
    first, second = await server.ask("www.example.org"), await server.ask("www.example.org")
    assert rdata(first) == rdata(second) == ["192.0.2.7", "real.example.org."]
    assert server.resolver.asked == ["www.example.org."]
    absent = await server.ask("absent.example.org")
    assert (absent.header.rcode, len(absent.auth)) == (3, 1)


async def test_an_external_name_brings_the_address_of_its_target(server: Dns) -> None:
    server.services.put(service("out", "", type="ExternalName", externalName="db.example.org"))
    answer = await server.ask("out.default.svc.cluster.local")
    assert rdata(answer) == ["192.0.2.7", "db.example.org.", "real.example.org."]


async def test_a_resolver_that_is_not_there_is_a_quick_servfail() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    server = Server(Zone("cluster.local"), Forwarder([("127.0.0.1", port)], VirtualClock(), random.Random(1)))
    listeners = await listen(server, "127.0.0.1", 0)
    answer = await Dns(Cache(), listeners.port, Resolver()).ask("www.example.org")
    assert answer.header.rcode == 2
    listeners.close()


async def test_nonsense_is_answered_with_a_format_error_or_not_at_all(server: Dns) -> None:
    def send(data: bytes) -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(5)
            client.sendto(data, ("127.0.0.1", server.port))
            return client.recv(2000)

    answer = await asyncio.to_thread(send, b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xff")
    assert dnslib.DNSRecord.parse(answer).header.rcode == 1
    server.services.put(service("web", "10.96.0.5"))
    assert rdata(await server.ask(WEB)) == ["10.96.0.5"]


def test_behind_the_stub_of_systemd_the_real_resolvers_count(tmp_path: Path) -> None:
    stub, real = tmp_path / "stub", tmp_path / "real"
    stub.write_text("nameserver 127.0.0.53\n")
    assert machine_resolv_conf(stub, real) == stub
    real.write_text("nameserver 192.0.2.1\n")
    assert machine_resolv_conf(stub, real) == real
    stub.write_text("nameserver 192.0.2.9\n")
    assert machine_resolv_conf(stub, real) == stub


def test_the_resolvers_of_a_machine_are_read_in_order() -> None:
    assert upstreams("# x\nnameserver 192.0.2.1\nsearch a b\nnameserver 192.0.2.2\n") == (
        ("192.0.2.1", 53),
        ("192.0.2.2", 53),
    )
