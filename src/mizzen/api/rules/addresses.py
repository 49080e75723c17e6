"""IP addresses and address blocks."""

import ipaddress
from collections.abc import Iterator
from functools import lru_cache

from mizzen.machinery.errors import FieldError, invalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Block = ipaddress.IPv4Network | ipaddress.IPv6Network

_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_BLOCK = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


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
    if parse(value) is None:
        yield invalid(path, value, detail)


def block(path: str, value: str, detail: str = _BLOCK) -> Iterator[FieldError]:
    if parse_block(value) is None:
        yield invalid(path, value, detail)


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
