"""IP addresses and address blocks."""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from mizzen.machinery.errors import FieldError, Object, invalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Block = ipaddress.IPv4Network | ipaddress.IPv6Network

_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_BLOCK = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
_ZEROS = "must not have leading 0s"
_MAPPED = "must not be an IPv4-mapped IPv6 address"
_BLOCK_ZEROS = "must not have leading 0s in IP or prefix length"
_BLOCK_MAPPED = "must not have an IPv4-mapped IPv6 address"
_BITS = "must not have bits set beyond the prefix length"
_STRICT = frozenset((_ZEROS, _MAPPED, _BLOCK_ZEROS, _BLOCK_MAPPED, _BITS))
"""What older versions allowed: a value that is stored may stay."""


@lru_cache(maxsize=4096)
def parse(text: str) -> Address | None:
    """The address, or None; an IPv4 address written as IPv6 (`::ffff:1.2.3.4`) is the IPv4 address."""
    if "%" in text:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def parse_block(text: str) -> Block | None:
    """The block, or None; bits beyond the prefix are allowed and dropped."""
    base, slash, prefix = text.partition("/")
    if not slash or not (prefix.isascii() and prefix.isdigit()) or "%" in base:
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def family(text: str) -> str:
    """`IPv4`, `IPv6`, or nothing when the text is no address."""
    address = parse(text)
    return "" if address is None else f"IPv{address.version}"


def address(path: str, value: str, detail: str = _ADDRESS) -> Iterator[FieldError]:
    if parse(value) is None and parse(_without_zeros(value)) is None:
        yield invalid(path, value, detail)
    yield from unclear(path, value)


def unclear(path: str, value: str) -> Iterator[FieldError]:
    """Whether an address is written in a way that some programs read otherwise."""
    if _is_mapped(value):
        yield invalid(path, value, _MAPPED)
    elif parse(value) is None and parse(_without_zeros(value)) is not None:
        yield invalid(path, value, _ZEROS)


def block(path: str, value: str, detail: str = _BLOCK) -> Iterator[FieldError]:
    parsed, plain = parse_block(value), _without_zeros(value)
    if parsed is None:
        yield invalid(path, value, detail if parse_block(plain) is None else _BLOCK_ZEROS)
    elif plain != value:
        yield invalid(path, value, _BLOCK_ZEROS)
    elif _is_mapped(value.partition("/")[0]):
        yield invalid(path, value, _BLOCK_MAPPED)
    elif parse(value.partition("/")[0]) != parsed.network_address:
        yield invalid(path, value, _BITS)


def _is_mapped(text: str) -> bool:
    return ":" in text and (parsed := parse(text)) is not None and parsed.version == 4


_zeros = re.compile(r"(?:(?<=\.)|(?<=/)|^)0+(?=\d)")


def _without_zeros(text: str) -> str:
    """The text without zeros at the beginning of decimal numbers."""
    base, slash, prefix = text.partition("/")
    return (base if ":" in base else _zeros.sub("", base)) + (_zeros.sub("", slash + prefix) if slash else "")


def unless_kept(errors: Iterable[FieldError], old: Object) -> Iterator[FieldError]:
    """The errors without those of addresses that the stored object has as well and that were allowed once."""
    kept: set[str] | None = None
    for error in errors:
        if error.detail in _STRICT and isinstance(error.value, str):
            kept = set(_texts(old)) if kept is None else kept
            if error.value in kept:
                continue
        yield error


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def warnings(path: str, value: str) -> Iterator[str]:
    """What is told of an address that is not written as it should be."""
    if ":" in value and (parsed := parse(value)) is not None and parsed.version == 6 and str(parsed) != value:
        yield f'{path}: IPv6 address "{value}" should be in RFC 5952 canonical format ("{parsed}")'


def block_warnings(path: str, value: str) -> Iterator[str]:
    """What is told of a block that is not written as it should be, or could be meant as an address."""
    parsed = parse_block(value)
    base = parse(value.partition("/")[0])
    if parsed is None or base is None:
        return
    if base != parsed.network_address:
        one = f"{base}/{base.max_prefixlen}"
        yield f'{path}: CIDR value "{value}" is ambiguous in this context (should be "{parsed}" or "{one}"?)'
    elif parsed.version == 6 and str(parsed) != value:
        yield f'{path}: IPv6 CIDR value "{value}" should be in RFC 5952 canonical format ("{parsed}")'


def canonical(path: str, value: str) -> Iterator[FieldError]:
    """An address in the one form that the newer kinds accept (no leading zeros, lower case, shortest)."""
    parsed = parse(value)
    if parsed is None:
        yield invalid(path, value, _ADDRESS)
    elif str(parsed) != value:
        yield invalid(path, value, f'must be in canonical form ("{parsed}")')


def canonical_block(path: str, value: str) -> Iterator[FieldError]:
    """A block in the one form that the newer kinds accept: no bits beyond the prefix."""
    parsed = parse_block(value)
    if parsed is None:
        yield invalid(path, value, _BLOCK)
    elif str(parsed) != value:
        yield invalid(path, value, f'must be in canonical form ("{parsed}")')


def reachable(path: str, value: str) -> Iterator[FieldError]:
    """An address that traffic may be sent to: neither unspecified, loopback nor link-local."""
    parsed = parse(value)
    if parsed is None:
        if parse(_without_zeros(value)) is None:
            yield invalid(path, value, "must be a valid IP address")
        return
    if parsed.is_unspecified:
        yield invalid(path, value, f"may not be unspecified ({value})")
    if parsed.is_loopback:
        yield invalid(path, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if parsed.is_link_local:
        yield invalid(path, value, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    if _is_link_local_multicast(parsed):
        yield invalid(path, value, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")


def _is_link_local_multicast(parsed: Address) -> bool:
    packed = parsed.packed
    return packed[:3] == b"\xe0\x00\x00" if parsed.version == 4 else packed[0] == 0xFF and packed[1] & 0x0F == 2
