"""Kubernetes' own CEL functions: quantities, addresses, URLs, versions, formats, lists, regular expressions.

Values of Kubernetes' types are maps with one tag (`{"quantity": "nanos"}`), so that they compare by value.
Ref: https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-cel-libraries
"""

import ipaddress
import re
from collections.abc import Callable
from itertools import islice
from operator import itemgetter
from typing import Any
from urllib.parse import urlsplit

import orjson

from mizzen.machinery import formats, names, quantity, regexp
from mizzen.machinery.cel.authorizer import AUTHORIZER_FUNCTIONS
from mizzen.machinery.cel.timing import IN_TIME, in_time

Tagged = dict[str, Any]
Function = tuple[str, bool, tuple[str, ...], str, Callable[..., Any]]
"""Name, whether it is a member, parameter types, return type, implementation."""


# --- quantities ------------------------------------------------------------------------------------------------------


def quantity_value(nanos: int) -> Tagged:
    """A quantity as expressions hold it: in digits, because billionths soon leave the evaluator's integers."""
    return {"quantity": str(nanos)}


def _quantity(text: str) -> Tagged:
    return quantity_value(quantity.parse(text).nanos)


def _nanos(value: Tagged) -> int:
    return int(value["quantity"])


def _is_quantity(text: str) -> bool:
    return quantity.is_quantity(text)


def _as_integer(value: Tagged) -> int:
    whole, rest = divmod(_nanos(value), quantity.NANO)
    if rest:
        raise ValueError("cannot convert value to integer")
    return int(whole)


def _operand(value: Any) -> int:
    return _nanos(value) if isinstance(value, dict) else int(value) * quantity.NANO


# --- versions --------------------------------------------------------------------------------------------------------

_semver = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?").fullmatch


def _normal_version(text: str, normalize: bool) -> str:
    if not normalize:
        return text
    body = text.removeprefix("v")
    core, mark, rest = re.fullmatch(r"([\d.]*)([-+]?)(.*)", body, re.DOTALL).groups()  # type: ignore[union-attr]
    parts = [str(int(part)) if part else "0" for part in core.split(".")]
    parts += ["0"] * (3 - len(parts))
    return ".".join(parts) + mark + rest


def version_value(text: str, normalize: bool = False) -> Tagged:
    """A semantic version as expressions hold it. Raises ValueError."""
    match = _semver(_normal_version(text, normalize))
    if match is None:
        raise ValueError(f"invalid semantic version {text!r}")
    major, minor, patch, pre, _ = match.groups()
    return {"semver": [int(major), int(minor), int(patch)], "pre": pre or ""}


def _is_version(text: str, normalize: bool = False) -> bool:
    return _semver(_normal_version(text, normalize)) is not None


def _version_rank(value: Tagged) -> tuple[Any, ...]:
    """A sort key: a pre-release comes before its release, numeric parts before words."""
    pre = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in value["pre"].split(".") if part]
    return (*value["semver"], not value["pre"], pre)


def _rank(value: Tagged) -> Any:
    return _version_rank(value) if "semver" in value else _nanos(value)


def _compare(left: Tagged, right: Tagged) -> int:
    return int(_rank(left) > _rank(right)) - int(_rank(left) < _rank(right))


# --- addresses -------------------------------------------------------------------------------------------------------


def _ip(text: str) -> Tagged:
    if not names.is_ip(text):
        raise ValueError(f"IP Address {text!r} parse error during conversion from string")
    return {"ip": str(ipaddress.ip_address(text))}


def _address(value: Tagged) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(value["ip"])


def _network(value: Tagged) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(value["cidr"], strict=False)


def _cidr(text: str) -> Tagged:
    if not names.is_cidr(text):
        raise ValueError(f"network address parse error during conversion from string: {text!r}")
    return {"cidr": text}


def _family(value: Tagged) -> int:
    return _address(value).version


def _contains_ip(network: Tagged, address: Any) -> bool:
    other = _address(address if isinstance(address, dict) else _ip(address))
    return other.version == _network(network).version and other in _network(network)


def _contains_cidr(network: Tagged, inner: Any) -> bool:
    one, other = _network(network), _network(inner if isinstance(inner, dict) else _cidr(inner))
    return one.version == other.version and other.subnet_of(one)  # type: ignore[arg-type]


def _shown(value: Any) -> str:
    """What `string` answers where addresses may be among its arguments."""
    if isinstance(value, dict):
        return str(value.get("ip") or value.get("cidr"))
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- URLs ------------------------------------------------------------------------------------------------------------


def _url(text: str) -> Tagged:
    if not _is_url(text):
        raise ValueError(f"URL parse error during conversion from string: {text!r}")
    return {"url": text}


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises when it is no number
    except ValueError:
        return False
    return bool(parts.scheme) or text.startswith("/")


def _query(value: Tagged) -> dict[str, list[str]]:
    from urllib.parse import parse_qs

    return parse_qs(urlsplit(value["url"]).query, keep_blank_values=True)


# --- formats ---------------------------------------------------------------------------------------------------------

_NAMED_FORMATS: dict[str, Callable[[str], list[str]]] = {
    "dns1123Label": names.dns1123_label,
    "dns1123Subdomain": names.dns1123_subdomain,
    "dns1035Label": names.dns1035_label,
    "qualifiedName": names.qualified_name,
    "labelValue": names.label_value,
    "dns1123LabelPrefix": lambda text: names.dns1123_label(text.rstrip("-") or "-"),
    "dns1123SubdomainPrefix": lambda text: names.dns1123_subdomain(text.rstrip("-.") or "-"),
    "dns1035LabelPrefix": lambda text: names.dns1035_label(text.rstrip("-") or "-"),
}
_VALUE_FORMATS = {
    "uri": "invalid URI for request",
    "uuid": "does not match the UUID format",
    "byte": "invalid base64",
    "date": "invalid date",
    "datetime": "invalid datetime",
}
"""Formats of values, and what is said of those that lack them."""


def _format(name: str) -> Callable[[], Tagged]:
    return lambda: {"format": name}


def _problems(format_: Tagged, text: str) -> list[str]:
    """What `validate` answers; the caller wraps it as an optional."""
    check = _NAMED_FORMATS.get(format_["format"])
    if check is not None:
        return check(text)
    return [] if formats.has_format(text, format_["format"]) else [_VALUE_FORMATS[format_["format"]]]


# --- lists and text --------------------------------------------------------------------------------------------------


def _is_sorted(items: list[Any]) -> bool:
    return all(items[i] <= items[i + 1] for i in range(len(items) - 1))


def _index_of(items: list[Any], item: Any) -> int:
    return next((position for position, each in enumerate(items) if each == item), -1)


def _last_index_of(items: list[Any], item: Any) -> int:
    return next((position for position in range(len(items) - 1, -1, -1) if items[position] == item), -1)


def _find(text: str, pattern: str) -> str:
    return next(regexp.find_all(pattern, text), "")


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    return list(islice(regexp.find_all(pattern, text), limit if limit >= 0 else None))


def _union(left: list[Any], right: list[Any]) -> list[Any]:
    return left + [each for each in right if each not in left]


def _distinct(items: list[Any]) -> list[Any]:
    return list({orjson.dumps(each, option=orjson.OPT_SORT_KEYS): each for each in items}.values())


def _flat(items: list[Any], depth: int = 1) -> list[Any]:
    if depth < 0:
        raise ValueError("level must be non-negative")
    out: list[Any] = []
    for each in items:
        out += _flat(each, depth - 1) if isinstance(each, list) and depth else [each]
    return out


def _slice(items: list[Any], start: int, end: int) -> list[Any]:
    if not 0 <= start <= end <= len(items):
        raise ValueError(f"cannot slice({start}, {end}), list is length {len(items)}")
    return items[start:end]


def _range(count: int) -> list[int]:
    if count > _LONGEST_RANGE:
        raise ValueError(f"lists.range() size {count} exceeds limit {_LONGEST_RANGE}")
    return list(range(count))


_LONGEST_RANGE = 1_000_000


def _map_of_pairs(pairs: list[Any]) -> dict[Any, Any]:
    return dict(pairs)


def _map_of_maps(maps: list[dict[Any, Any]]) -> dict[Any, Any]:
    out: dict[Any, Any] = {}
    for each in maps:
        for key, value in each.items():
            if key in out:
                raise ValueError(f"insert failed: key '{key}' already exists")
            out[key] = value
    return out


_S, _B, _I, _M, _L, _D = "string", "bool", "int", "map", "list", "dyn"

FUNCTIONS: tuple[Function, ...] = (
    (IN_TIME, False, (), _B, in_time),
    ("quantity", False, (_S,), _M, _quantity),
    ("isQuantity", False, (_S,), _B, _is_quantity),
    ("asInteger", True, (_M,), _I, _as_integer),
    ("isInteger", True, (_M,), _B, lambda value: _nanos(value) % quantity.NANO == 0),
    ("asApproximateFloat", True, (_M,), "double", lambda value: _nanos(value) / quantity.NANO),
    ("sign", True, (_M,), _I, lambda value: (_nanos(value) > 0) - (_nanos(value) < 0)),
    ("add", True, (_M, _M), _M, lambda one, other: quantity_value(_nanos(one) + _operand(other))),
    ("add", True, (_M, _I), _M, lambda one, other: quantity_value(_nanos(one) + _operand(other))),
    ("sub", True, (_M, _M), _M, lambda one, other: quantity_value(_nanos(one) - _operand(other))),
    ("sub", True, (_M, _I), _M, lambda one, other: quantity_value(_nanos(one) - _operand(other))),
    ("compareTo", True, (_M, _M), _I, _compare),
    ("isGreaterThan", True, (_M, _M), _B, lambda one, other: _compare(one, other) > 0),
    ("isLessThan", True, (_M, _M), _B, lambda one, other: _compare(one, other) < 0),
    ("semver", False, (_S,), _M, version_value),
    ("semver", False, (_S, _B), _M, version_value),
    ("isSemver", False, (_S,), _B, _is_version),
    ("isSemver", False, (_S, _B), _B, _is_version),
    ("major", True, (_M,), _I, lambda value: value["semver"][0]),
    ("minor", True, (_M,), _I, lambda value: value["semver"][1]),
    ("patch", True, (_M,), _I, lambda value: value["semver"][2]),
    ("ip", False, (_S,), _M, _ip),
    ("isIP", False, (_S,), _B, names.is_ip),
    ("ip.isCanonical", False, (_S,), _B, lambda text: str(ipaddress.ip_address(text)) == text),
    ("family", True, (_M,), _I, _family),
    ("isUnspecified", True, (_M,), _B, lambda value: _address(value).is_unspecified),
    ("isLoopback", True, (_M,), _B, lambda value: _address(value).is_loopback),
    ("isLinkLocalMulticast", True, (_M,), _B, lambda value: _address(value).is_multicast),
    ("isLinkLocalUnicast", True, (_M,), _B, lambda value: _address(value).is_link_local),
    ("isGlobalUnicast", True, (_M,), _B, lambda value: not _address(value).is_multicast),
    ("cidr", False, (_S,), _M, _cidr),
    ("isCIDR", False, (_S,), _B, names.is_cidr),
    ("containsIP", True, (_M, _S), _B, _contains_ip),
    ("containsIP", True, (_M, _M), _B, _contains_ip),
    ("containsCIDR", True, (_M, _S), _B, _contains_cidr),
    ("containsCIDR", True, (_M, _M), _B, _contains_cidr),
    ("ip", True, (_M,), _M, lambda value: {"ip": value["cidr"].partition("/")[0]}),
    ("prefixLength", True, (_M,), _I, lambda value: _network(value).prefixlen),
    ("masked", True, (_M,), _M, lambda value: {"cidr": str(_network(value))}),
    ("textOf", False, (_D,), _S, _shown),
    ("url", False, (_S,), _M, _url),
    ("isURL", False, (_S,), _B, _is_url),
    ("getScheme", True, (_M,), _S, lambda value: urlsplit(value["url"]).scheme),
    ("getHost", True, (_M,), _S, lambda value: urlsplit(value["url"]).netloc.rpartition("@")[2]),
    ("getHostname", True, (_M,), _S, lambda value: urlsplit(value["url"]).hostname or ""),
    ("getPort", True, (_M,), _S, lambda value: str(urlsplit(value["url"]).port or "")),
    ("getEscapedPath", True, (_M,), _S, lambda value: urlsplit(value["url"]).path),
    ("getQuery", True, (_M,), _M, _query),
    *((f"format.{name}", False, (), _M, _format(name)) for name in (*_NAMED_FORMATS, *_VALUE_FORMATS)),
    ("formatProblems", True, (_M, _S), _L, _problems),
    ("isSorted", True, (_L,), _B, _is_sorted),
    ("sum", True, (_L,), _D, sum),
    ("min", True, (_L,), _D, min),
    ("max", True, (_L,), _D, max),
    ("positionOf", True, (_L, _D), _I, _index_of),
    ("positionOf", True, (_S, _S), _I, str.find),
    ("positionOf", True, (_S, _S, _I), _I, str.find),
    ("lastPositionOf", True, (_L, _D), _I, _last_index_of),
    ("lastPositionOf", True, (_S, _S), _I, str.rfind),
    ("lastPositionOf", True, (_S, _S, _I), _I, lambda text, part, last: text.rfind(part, 0, last + len(part))),
    ("sort", True, (_L,), _L, sorted),
    ("distinct", True, (_L,), _L, _distinct),
    ("flatten", True, (_L,), _L, _flat),
    ("flatten", True, (_L, _I), _L, _flat),
    ("slice", True, (_L, _I, _I), _L, _slice),
    ("backwards", True, (_L,), _L, lambda items: items[::-1]),
    ("backwards", True, (_S,), _S, lambda text: text[::-1]),
    ("lists.range", False, (_I,), _L, _range),
    ("placesOf", False, (_L,), _L, lambda items: list(range(len(items)))),
    ("placesOf", False, (_M,), _L, list),
    ("mapOfPairs", False, (_L,), _M, _map_of_pairs),
    ("mapOfMaps", False, (_L,), _M, _map_of_maps),
    ("sortedByFirst", False, (_L,), _L, lambda pairs: [pair[1] for pair in sorted(pairs, key=itemgetter(0))]),
    ("find", True, (_S, _S), _S, _find),
    ("findAll", True, (_S, _S), _L, _find_all),
    ("findAll", True, (_S, _S, _I), _L, _find_all),
    ("sets.contains", False, (_L, _L), _B, lambda one, other: all(each in one for each in other)),
    ("sets.intersects", False, (_L, _L), _B, lambda one, other: any(each in one for each in other)),
    ("sets.equivalent", False, (_L, _L), _B, lambda a, b: all(x in b for x in a) and all(x in a for x in b)),
    ("setsUnion", True, (_L, _L), _L, _union),
    ("jsonpatch.escapeKey", False, (_S,), _S, lambda text: text.replace("~", "~0").replace("/", "~1")),
    *AUTHORIZER_FUNCTIONS,
)
