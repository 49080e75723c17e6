import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.wire import dns
from mizzen.wire.dns import Record

LABELS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=20)
NAMES = st.lists(LABELS, min_size=1, max_size=6).map(".".join)
IPS = st.ip_addresses(v=4).map(str)


@given(NAMES)
def test_names_survive_the_wire(name: str) -> None:
    assert dns.decode_name(dns.encode_name(name), 0) == (name, len(name) + 2)


@given(NAMES, st.sampled_from([1, 28, 33, 12, 16]), st.integers(0, 65535), st.booleans())
def test_questions_of_dnslib_are_understood(name: str, kind: int, id: int, edns: bool) -> None:
    asked = dnslib.DNSRecord(dnslib.DNSHeader(id=id, rd=1), q=dnslib.DNSQuestion(name, kind))
    if edns:
        asked.add_ar(dnslib.EDNS0(udp_len=4096))
    query = dns.decode_query(asked.pack())
    assert (query.id, query.name, query.type, query.edns) == (id, name, kind, edns)
    assert query.size == (4096 if edns else 512)


@given(NAMES, st.lists(IPS, max_size=8, unique=True), NAMES, st.integers(0, 65535))
def test_dnslib_understands_responses(name: str, ips: list[str], target: str, port: int) -> None:
    query = dns.decode_query(dns.encode_query(7, name, dns.A))
    records = tuple(Record(name, dns.A, 5, dns.a_data(ip)) for ip in ips)
    service = Record(name, dns.SRV, 5, dns.srv_data(0, 100, port, target))
    parsed = dnslib.DNSRecord.parse(dns.encode_response(query, answers=(*records, service)))
    assert [str(one.rdata) for one in parsed.rr] == [*ips, f"0 100 {port} {target}."]
    assert {str(one.rname) for one in parsed.rr} == {name + "."}


@given(NAMES, NAMES, st.lists(IPS, min_size=1, max_size=4))
def test_compressed_answers_are_spelt_out(name: str, target: str, ips: list[str]) -> None:
    reply = dnslib.DNSRecord.question(name).reply()
    reply.add_answer(dnslib.RR(name, dnslib.QTYPE.CNAME, rdata=dnslib.CNAME(target), ttl=9))
    for ip in ips:
        reply.add_answer(dnslib.RR(target, dnslib.QTYPE.A, rdata=dnslib.A(ip), ttl=9))
    query = dns.decode_query(dns.encode_query(99, name, dns.A))
    relayed = dnslib.DNSRecord.parse(dns.relay(query, reply.pack(), 65535))
    assert [str(one.rdata) for one in relayed.rr] == [f"{target}.", *ips]
    assert relayed.header.id == 99
    assert dns.decode_response(reply.pack()).ttl == 9


@given(st.binary(max_size=200))
def test_any_bytes_are_a_query_or_a_message_error(data: bytes) -> None:
    for decode in (dns.decode_query, dns.decode_response):
        try:
            decode(data)
        except dns.MessageError:
            continue


def test_a_name_that_points_to_itself_is_refused() -> None:
    with pytest.raises(dns.MessageError):
        dns.decode_query(b"\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1")


def test_a_response_that_is_too_long_is_marked_truncated() -> None:
    query = dns.decode_query(dns.encode_query(7, "a.b", dns.A))
    records = tuple(Record("a.b", dns.A, 5, dns.a_data(f"10.0.0.{n}")) for n in range(40))
    parsed = dnslib.DNSRecord.parse(dns.encode_response(query, answers=records, limit=512))
    assert (parsed.header.tc, parsed.rr) == (1, [])
