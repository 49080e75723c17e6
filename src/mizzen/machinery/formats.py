"""Formats of strings that schemas of custom resources ask for (`format: uuid`), as liberal as the original.

Names are compared without their dashes. Ref:
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

from mizzen.machinery import regexp, times

_HOSTNAME: Final = (
    r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)"
    r"|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$"
)
_HOSTNAME_BYTES: Final = 255
_LABEL_BYTES: Final = 63
_SHORT_NAME: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_HEX: Final = "[0-9a-f]"
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
_QUOTED: Final = r'"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*"'
_LOCAL: Final = rf"(?:{_ATOM}(?:\.{_ATOM})*|(?!\"\"){_QUOTED})"
_ADDRESS: Final = rf"{_LOCAL}@{_ATOM}(?:\.{_ATOM})*"
_NUMBER: Final = r"(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])"
_CARD: Final = (
    r"4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}"
    r"|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\d{3})\d{11}"
)

_date = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII).fullmatch
_time = re.compile(r"(\d\d):(\d\d):(\d\d)(.\d+)?(z|[+-]\d\d:\d\d)", re.ASCII).fullmatch
_duration_part = re.compile(r"(\d+)\s*([A-Za-zµ]+)", re.ASCII)
_mailbox = re.compile(
    rf"[ \t]*(?:{_ADDRESS}|(?:(?:{_ATOM}|{_QUOTED}|[. \t])*<[ \t]*{_ADDRESS}[ \t]*>))[ \t]*"
).fullmatch
_mac = re.compile(
    r"(?:[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1)*[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{4}\.)+[0-9A-Fa-f]{4})"
).fullmatch
_MAC_DIGITS: Final = frozenset({12, 16, 40})
_scheme = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:").match
_host = re.compile(r"(?:\[[^\]]*\]|[^:\[\]]*)(?::\d*)?", re.ASCII).fullmatch
_host_text = re.compile(r"(?:[A-Za-z0-9_.~!$&'()*+,;=:<>\"-]|[^\x00-\x7f]|%[89A-Fa-f][0-9A-Fa-f])*").fullmatch
_user = re.compile(r"(?:[A-Za-z0-9._:~!$&'()*+,;=@-]|%[0-9A-Fa-f]{2})*").fullmatch
_bad_escape = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_control = re.compile(r"[\x00-\x1f\x7f]").search

_UNITS: Final = (
    *(("ns", "nano"), ("us", "µs", "micro"), ("ms", "milli"), ("s", "sec"), ("m", "min")),
    *(("h", "hr", "hour"), ("d", "day"), ("w", "wk", "week")),
)
"""The words of each unit of time; of the last one the beginning is enough."""


def is_known(format_: str, type_: str) -> bool:
    """Whether a format constrains values of a type of JSON schema; "" is no type in particular."""
    match type_:
        case "" | "string":
            return format_.replace("-", "") in _CHECKS
        case "integer":
            return format_ in {"int32", "int64"}
        case "number":
            return format_ in {"float", "double"}
        case _:
            return False


def has_format(value: str, format_: str) -> bool:
    """Whether a string has a format; unknown formats are no constraint."""
    check = _CHECKS.get(format_.replace("-", ""))
    return check is None or bool(check(value))


def _pattern(pattern: str, flags: int = re.ASCII) -> Callable[[str], Any]:
    return re.compile(pattern, flags).fullmatch


def _uuid(version: str, variant: str) -> Callable[[str], Any]:
    pattern = f"{_HEX}{{8}}-?{_HEX}{{4}}-?{version}{_HEX}{{3}}-?{variant}{_HEX}{{3}}-?{_HEX}{{12}}"
    return _pattern(pattern, re.ASCII | re.IGNORECASE)


def _is_date(text: str) -> bool:
    if not _date(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return text.startswith("0000-") and _is_date(f"0004{text[4:]}")
    return True


def _is_time(text: str) -> bool:
    day, *rest = text.lower().split("t")
    match = _time(rest[0]) if rest and _is_date(day) else None
    return match is not None and match[1] <= "23" and match[2] <= "59" and match[3] <= "59"


def _is_duration(text: str) -> bool:
    """A duration of Go, or one with words for units: `2 weeks`."""
    try:
        times.parse_duration(text)
    except ValueError:
        return any(_is_unit(unit.lower()) for _, unit in _duration_part.findall(text))
    return True


def _is_unit(unit: str) -> bool:
    return any(unit in words or unit.startswith(words[-1]) for words in _UNITS)


def _is_hostname(text: str) -> bool:
    if len(text.encode()) > _HOSTNAME_BYTES or not regexp.matches(_HOSTNAME, text):
        return False
    return all(len(label.encode()) <= _LABEL_BYTES for label in text.split("."))


def _is_uri(text: str) -> bool:
    """What stands in the first line of a request: an absolute address, or an absolute path."""
    if text == "*":
        return True
    if not text or _control(text):
        return False
    scheme = _scheme(text)
    rest = (text[scheme.end() :] if scheme else text).partition("?")[0]
    if not rest.startswith("/"):
        return scheme is not None
    if scheme and rest.startswith("//"):
        authority, slash, path = rest[2:].partition("/")
        return _is_authority(authority) and not _bad_escape(slash + path)
    return not _bad_escape(rest)


def _is_authority(text: str) -> bool:
    user, at, host = text.rpartition("@")
    if (at and not _user(user)) or not _host(host):
        return False
    if host.startswith("["):
        address, _, zone = host[1:].partition("]")[0].partition("%25")
        return _is_address(address, 6) and not _bad_escape(zone)
    return _host_text(host) is not None


def _is_address(text: str, version: int) -> bool:
    try:
        return "%" not in text and ipaddress.ip_address(text).version == version
    except ValueError:
        return False


def _without_zeros(text: str) -> str:
    """An address whose decimal parts have no zeros in front."""
    return re.sub(r"(?<![0-9A-Fa-f:.])0+(?=\d+\.)|(?<=\.)0+(?=\d)|(?<=:)0+(?=\d+\.)", "", text) if "." in text else text


def _is_ipv4(text: str) -> bool:
    """A dotted address, that of the second kind within an address of version 6 too."""
    plain = _without_zeros(text)
    return "." in text and (_is_address(plain, 4) or _is_address(plain, 6))


def _is_ipv6(text: str) -> bool:
    return ":" in text and _is_address(text, 6)


def _is_cidr(text: str) -> bool:
    address, _, bits = text.partition("/")
    plain = _without_zeros(address)
    if not (bits.isascii() and bits.isdigit()):
        return False
    return (_is_address(plain, 4) and int(bits) <= 32) or (_is_address(plain, 6) and int(bits) <= 128)


def _is_mac(text: str) -> bool:
    return _mac(text) is not None and len(re.sub("[:.-]", "", text)) in _MAC_DIGITS


def _is_isbn10(text: str) -> bool:
    digits = re.sub(r"[\s-]+", "", text)
    if not re.fullmatch("[0-9]{9}[0-9X]", digits):
        return False
    values = [10 if digit == "X" else int(digit) for digit in digits]
    return sum(place * value for place, value in enumerate(values, 1)) % 11 == 0


def _is_isbn13(text: str) -> bool:
    digits = re.sub(r"[\s-]+", "", text)
    if not re.fullmatch("[0-9]{13}", digits):
        return False
    return sum((1, 3)[place % 2] * int(digit) for place, digit in enumerate(digits)) % 10 == 0


def _is_card(text: str) -> bool:
    digits = re.sub("[^0-9]+", "", text)
    if not re.fullmatch(_CARD, digits):
        return False
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


_CHECKS: Final[Mapping[str, Callable[[str], Any]]] = {
    "bsonobjectid": _pattern("[0-9a-fA-F]{24}"),
    "byte": _pattern("(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})"),
    "cidr": _is_cidr,
    "creditcard": _is_card,
    "date": _is_date,
    "datetime": _is_time,
    "duration": _is_duration,
    "email": _mailbox,
    "hexcolor": _pattern("#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "hostname": _is_hostname,
    "ipv4": _is_ipv4,
    "ipv6": _is_ipv6,
    "isbn": lambda text: _is_isbn10(text) or _is_isbn13(text),
    "isbn10": _is_isbn10,
    "isbn13": _is_isbn13,
    "k8slongname": lambda text: len(text) <= 253 and re.fullmatch(rf"{_SHORT_NAME}(\.{_SHORT_NAME})*", text),
    "k8sshortname": lambda text: len(text) <= 63 and re.fullmatch(_SHORT_NAME, text),
    "mac": _is_mac,
    "password": lambda _: True,
    "rgbcolor": _pattern(rf"rgb\(\s*{_NUMBER}\s*,\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\)"),
    "ssn": lambda text: len(text) == 11 and re.fullmatch(r"\d{3}[- ]?\d{2}[- ]?\d{4}", text, re.ASCII),
    "uri": _is_uri,
    "uuid": _uuid(_HEX, _HEX),
    "uuid3": _uuid("3", _HEX),
    "uuid4": _uuid("4", "[89ab]"),
    "uuid5": _uuid("5", "[89ab]"),
}
