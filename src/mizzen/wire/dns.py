"""DNS messages, bytes to values and back, packed by hand (RFC 1035, 2782, 6891): what a cluster's resolver needs.

Names are lower-case text without the final dot. Answers compress only their own name, which is the question's.
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

A: Final = 1
NS: Final = 2
CNAME: Final = 5
SOA: Final = 6
PTR: Final = 12
MX: Final = 15
TXT: Final = 16
AAAA: Final = 28
SRV: Final = 33
OPT: Final = 41
ANY: Final = 255
IN: Final = 1

NOERROR: Final = 0
FORMERR: Final = 1
SERVFAIL: Final = 2
NXDOMAIN: Final = 3
NOTIMP: Final = 4
REFUSED: Final = 5

_HEADER = struct.Struct("!HHHHHH")
_FIXED = struct.Struct("!HHIH")
_QUESTION = struct.Struct("!HH")
_RESPONSE, _AUTHORITATIVE, _TRUNCATED, _RECURSION_DESIRED, _RECURSION_AVAILABLE = 0x8000, 0x400, 0x200, 0x100, 0x80
_QUESTION_AT: Final = b"\xc0\x0c"
_PLAIN_UDP: Final = 512


class MessageError(ValueError):
    """Bytes that are no DNS message; `id` is 0 when not even that could be read."""

    def __init__(self, reason: str, id: int = 0) -> None:
        super().__init__(reason)
        self.id = id


@dataclass(frozen=True, slots=True)
class Query:
    """One question.

    `question` is its wire form, which a response repeats; `size` the largest datagram that the asker takes.
    """

    id: int
    name: str
    type: int
    question: bytes
    wants_recursion: bool = True
    opcode: int = 0
    edns: bool = False
    size: int = _PLAIN_UDP
    cls: int = IN


@dataclass(frozen=True, slots=True)
class Record:
    """A resource record with its data in wire form."""

    name: str
    type: int
    ttl: int
    data: bytes


def encode_name(name: str) -> bytes:
    """The wire form of a name. Raises MessageError for labels or names that are too long."""
    if not name:
        return b"\0"
    packed = bytearray()
    for label in name.split("."):
        raw = label.encode("latin-1", "replace")
        if not 0 < len(raw) < 64:
            raise MessageError(f"label of {len(raw)} octets")
        packed.append(len(raw))
        packed += raw
    if len(packed) > 254:
        raise MessageError(f"name of {len(packed) + 1} octets")
    packed.append(0)
    return bytes(packed)


def decode_name(data: bytes, at: int) -> tuple[str, int]:
    """A name and the offset behind it; follows compression, which may only point backwards. Raises MessageError."""
    labels: list[str] = []
    end = -1
    limit, size = at, 0
    while True:
        if at >= len(data):
            raise MessageError("name runs past the end")
        length = data[at]
        if length >= 0xC0:
            if at + 1 >= len(data):
                raise MessageError("name runs past the end")
            end = at + 2 if end < 0 else end
            at = (length & 0x3F) << 8 | data[at + 1]
            if at >= limit:
                raise MessageError("compression does not point backwards")
            limit = at
            continue
        if length >= 0x40:
            raise MessageError("unknown kind of label")
        at += 1
        if not length:
            return ".".join(labels), at if end < 0 else end
        size += length + 1
        if at + length > len(data) or size > 254:
            raise MessageError("name is too long")
        labels.append(data[at : at + length].decode("latin-1").lower())
        at += length


def decode_query(data: bytes) -> Query:
    """The question of a request. Raises MessageError, with the id when there was one."""
    if len(data) < _HEADER.size:
        raise MessageError("shorter than a header")
    id, flags, questions, answers, authorities, additional = _HEADER.unpack_from(data)
    if flags & _RESPONSE:
        raise MessageError("a response, not a query")  # never answered: two servers could go on for ever
    if questions != 1:
        raise MessageError("not exactly one question", id)
    try:
        name, at = decode_name(data, _HEADER.size)
        kind, cls = _QUESTION.unpack_from(data, at)
        question_end = at + _QUESTION.size
        edns, size = _edns(data, question_end, answers + authorities + additional)
    except (MessageError, struct.error) as error:
        raise MessageError(str(error), id) from None
    question = data[_HEADER.size : question_end]
    return Query(id, name, kind, question, bool(flags & _RECURSION_DESIRED), flags >> 11 & 0xF, edns, size, cls)


def encode_query(id: int, name: str, type: int, *, size: int = 0) -> bytes:
    """A request with one question; `size` announces by EDNS the largest datagram that is taken."""
    head = _HEADER.pack(id, _RECURSION_DESIRED, 1, 0, 0, 1 if size else 0)
    opt = b"\0" + _FIXED.pack(OPT, size, 0, 0) if size else b""
    return head + encode_name(name) + _QUESTION.pack(type, IN) + opt


def encode_records(records: tuple[Record, ...], owner: str) -> bytes:
    """Records in wire form; those of `owner` point to the question."""
    return b"".join(
        (_QUESTION_AT if record.name == owner else encode_name(record.name))
        + _FIXED.pack(record.type, IN, record.ttl, len(record.data))
        + record.data
        for record in records
    )


def encode_response(
    query: Query,
    code: int = NOERROR,
    answers: tuple[Record, ...] = (),
    authorities: tuple[Record, ...] = (),
    additional: tuple[Record, ...] = (),
    *,
    limit: int = 65535,
) -> bytes:
    """A response of at most `limit` bytes: one that would be longer is sent empty and marked truncated."""
    body = b"".join(encode_records(section, query.name) for section in (answers, authorities, additional))
    counts = (len(answers), len(authorities), len(additional))
    return assemble(query, code, counts, body, limit)


def assemble(
    query: Query, code: int, counts: tuple[int, int, int], body: bytes, limit: int, *, authoritative: bool = True
) -> bytes:
    """A response whose records are in wire form already."""
    flags = _RESPONSE | _RECURSION_AVAILABLE | code | query.opcode << 11
    flags |= _AUTHORITATIVE if authoritative else 0
    flags |= _RECURSION_DESIRED if query.wants_recursion else 0
    opt = b"\0" + _FIXED.pack(OPT, 1232, 0, 0) if query.edns else b""
    if _HEADER.size + len(query.question) + len(body) + len(opt) > limit:
        flags, counts, body = flags | _TRUNCATED, (0, 0, 0), b""
    answers, authorities, additional = counts
    head = _HEADER.pack(query.id, flags, 1, answers, authorities, additional + query.edns)
    return head + query.question + body + opt


def encode_error(id: int, code: int) -> bytes:
    """A response without a question, to a request that could not be read."""
    return _HEADER.pack(id, _RESPONSE | code, 0, 0, 0, 0)


def a_data(ip: str) -> bytes:
    return IPv4Address(ip).packed


def aaaa_data(ip: str) -> bytes:
    return IPv6Address(ip).packed


def srv_data(priority: int, weight: int, port: int, target: str) -> bytes:
    return struct.pack("!HHH", priority, weight, port) + encode_name(target)


def txt_data(text: str) -> bytes:
    raw = text.encode()[:255]
    return bytes((len(raw),)) + raw


def soa_data(server: str, mailbox: str, serial: int, ttl: int) -> bytes:
    return encode_name(server) + encode_name(mailbox) + struct.pack("!IIIII", serial, 7200, 1800, 86400, ttl)


@dataclass(frozen=True, slots=True)
class Answered:
    """What a forwarder must know of a response; `ttl` is the shortest lifetime of its records, None without any."""

    id: int
    code: int
    truncated: bool
    question: bytes
    ttl: int | None


def decode_response(data: bytes) -> Answered:
    """The outline of a response. Raises MessageError."""
    if len(data) < _HEADER.size:
        raise MessageError("shorter than a header")
    id, flags, questions, answers, authorities, _ = _HEADER.unpack_from(data)
    if not flags & _RESPONSE or questions != 1:
        raise MessageError("no response to one question", id)
    _, at = decode_name(data, _HEADER.size)
    at += _QUESTION.size
    question = data[_HEADER.size : at]
    ttls: list[int] = []
    try:
        for _ in range(answers + authorities):
            _, at = decode_name(data, at)
            _, _, ttl, length = _FIXED.unpack_from(data, at)
            ttls.append(ttl)
            at += _FIXED.size + length
    except struct.error as error:
        raise MessageError(str(error), id) from None
    return Answered(id, flags & 0xF, bool(flags & _TRUNCATED), question, min(ttls, default=None))


def relay(query: Query, data: bytes, limit: int) -> bytes:
    """Another server's response, handed on to the asker: under its id, without EDNS options it did not ask for."""
    code = _HEADER.unpack_from(data)[1] & 0xF
    answers, others = _records(data, 0), _records(data, 1)
    body = encode_records(answers, query.name) + encode_records(others, query.name)
    return assemble(query, code, (len(answers), len(others), 0), body, limit, authoritative=False)


def decode_answers(data: bytes) -> tuple[Record, ...]:
    """The answer records of a response, with names inside their data spelt out. Raises MessageError."""
    return _records(data, 0)


def _records(data: bytes, wanted: int) -> tuple[Record, ...]:
    _, _, _, *counts = _HEADER.unpack_from(data)
    found: list[Record] = []
    try:
        _, at = decode_name(data, _HEADER.size)
        at += _QUESTION.size
        for section, count in enumerate(counts[: wanted + 1]):
            for _ in range(count):
                name, at = decode_name(data, at)
                kind, _, ttl, length = _FIXED.unpack_from(data, at)
                at += _FIXED.size
                if section == wanted:
                    found.append(Record(name, kind, ttl, _spelt_out(data, at, kind, length)))
                at += length
    except struct.error as error:
        raise MessageError(str(error)) from None
    return tuple(found)


def _spelt_out(data: bytes, at: int, kind: int, length: int) -> bytes:
    """Record data without compression, which would point into another message."""
    end = at + length
    if kind in (CNAME, NS, PTR):
        return encode_name(decode_name(data, at)[0])
    if kind == SRV:
        return data[at : at + 6] + encode_name(decode_name(data, at + 6)[0])
    if kind == MX:
        return data[at : at + 2] + encode_name(decode_name(data, at + 2)[0])
    if kind == SOA:
        server, after = decode_name(data, at)
        mailbox, after = decode_name(data, after)
        return encode_name(server) + encode_name(mailbox) + data[after:end]
    return data[at:end]


def _edns(data: bytes, at: int, records: int) -> tuple[bool, int]:
    for _ in range(records):
        _, at = decode_name(data, at)
        kind, size, _, length = _FIXED.unpack_from(data, at)
        if kind == OPT:
            return True, max(_PLAIN_UDP, size)
        at += _FIXED.size + length
    return False, _PLAIN_UDP
