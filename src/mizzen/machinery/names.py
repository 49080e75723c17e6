"""What is wrong with a name: each check yields the problems as Kubernetes words them, nothing when the text is fine.

Ref: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
"""

import ipaddress
import re

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_DNS1035 = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = rf"({_QUALIFIED})?"
_WILDCARD = rf"\*\.{_SUBDOMAIN}"
_C_IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]*"
_ENV_NAME = r"[-._a-zA-Z][-._a-zA-Z0-9]*"
_CONFIG_KEY = r"[-._a-zA-Z0-9]+"
_PERCENT = r"[0-9]+%"

_label = re.compile(_LABEL).fullmatch
_subdomain = re.compile(_SUBDOMAIN).fullmatch
_dns1035 = re.compile(_DNS1035).fullmatch
_qualified = re.compile(_QUALIFIED).fullmatch
_label_value = re.compile(_LABEL_VALUE).fullmatch
_wildcard = re.compile(_WILDCARD).fullmatch
_c_identifier = re.compile(_C_IDENTIFIER).fullmatch
_env_name = re.compile(_ENV_NAME).fullmatch
_config_key = re.compile(_CONFIG_KEY).fullmatch
_percent = re.compile(_PERCENT).fullmatch

MAX_LABEL = 63
MAX_SUBDOMAIN = 253
MAX_PORT_NAME = 15

SUBDOMAIN_PROBLEM = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    f"and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
LABEL_PROBLEM = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    f"with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
DNS1035_PROBLEM = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character "
    f"(e.g. 'my-name',  or 'abc-123', regex used for validation is '{_DNS1035}')"
)
_NAME_PART = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    f"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_QUALIFIED}')"
)
LABEL_VALUE_PROBLEM = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'{_LABEL_VALUE}')"
)
_WILDCARD_PROBLEM = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of "
    "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character "
    f"(e.g. '*.example.com', regex used for validation is '{_WILDCARD}')"
)
_C_IDENTIFIER_PROBLEM = (
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters "
    f"or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '{_C_IDENTIFIER}')"
)
_ENV_NAME_PROBLEM = "a valid environment variable name must consist only of printable ASCII characters other than '='"
_CONFIG_KEY_PROBLEM = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
    f"(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '{_CONFIG_KEY}')"
)
_PERCENT_PROBLEM = (
    "a valid percent string must be a numeric string followed by an ending '%' "
    f"(e.g. '1%',  or '93%', regex used for validation is '{_PERCENT}')"
)
_IP_PROBLEM = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_CIDR_PROBLEM = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def _longer_than(limit: int) -> str:
    """Kubernetes 1.33 and later speak of bytes where older ones spoke of characters; clients parse neither."""
    return f"must be no more than {limit} characters"


def as_prefix(text: str) -> str:
    """A prefix as if something followed it: a dash at its end is no mistake."""
    return f"{text[:-1]}a" if len(text) > 1 and text[-1] == "-" else text


def dns1123_label(text: str) -> list[str]:
    problems = [_longer_than(MAX_LABEL)] if len(text) > MAX_LABEL else []
    if not _label(text):
        problems.append("must not contain dots" if _subdomain(text) else LABEL_PROBLEM)
    return problems


def dns1123_subdomain(text: str) -> list[str]:
    problems = [_longer_than(MAX_SUBDOMAIN)] if len(text) > MAX_SUBDOMAIN else []
    if not _subdomain(text):
        problems.append(SUBDOMAIN_PROBLEM)
    return problems


def dns1035_label(text: str) -> list[str]:
    problems = [_longer_than(MAX_LABEL)] if len(text) > MAX_LABEL else []
    if not _dns1035(text):
        problems.append(DNS1035_PROBLEM)
    return problems


def wildcard_subdomain(text: str) -> list[str]:
    problems = [_longer_than(MAX_SUBDOMAIN)] if len(text) > MAX_SUBDOMAIN else []
    if not _wildcard(text):
        problems.append(_WILDCARD_PROBLEM)
    return problems


def qualified_name(text: str) -> list[str]:
    """Check `name` or `prefix.example/name`, as label and annotation keys, resource and condition names are."""
    parts = text.split("/")
    problems: list[str] = []
    if len(parts) > 2:
        prefix = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        return [f"a qualified name {_NAME_PART} {prefix}"]
    name = parts[-1]
    if len(parts) == 2:
        if not parts[0]:
            problems.append("prefix part must be non-empty")
        else:
            problems += [f"prefix part {problem}" for problem in dns1123_subdomain(parts[0])]
    if not name:
        problems.append("name part must be non-empty")
    elif len(name) > MAX_LABEL:
        problems.append(f"name part {_longer_than(MAX_LABEL)}")
    if not _qualified(name):
        problems.append(f"name part {_NAME_PART}")
    return problems


def label_value(text: str) -> list[str]:
    problems = [_longer_than(MAX_LABEL)] if len(text) > MAX_LABEL else []
    if not _label_value(text):
        problems.append(LABEL_VALUE_PROBLEM)
    return problems


def path_segment(text: str) -> list[str]:
    """Check a name that need only be usable as one segment of a URL path (RBAC objects)."""
    if text in {".", ".."}:
        return [f"may not be '{text}'"]
    return [f"may not contain '{mark}'" for mark in "/%" if mark in text]


def c_identifier(text: str) -> list[str]:
    return [] if _c_identifier(text) else [_C_IDENTIFIER_PROBLEM]


def env_name(text: str) -> list[str]:
    """Check an environment variable's name: printable ASCII but '=' (the rule since Kubernetes 1.34)."""
    if not text:
        return ["environment variable name must be non-empty"]
    if not (text.isascii() and text.isprintable()) or "=" in text:
        return [_ENV_NAME_PROBLEM]
    return []


def is_strict_env_name(text: str) -> bool:
    """Whether the name is one that every shell can use; keys of envFrom that are not were once left out."""
    return bool(_env_name(text))


def config_key(text: str) -> list[str]:
    """Check a key of a ConfigMap or Secret, which becomes a file name."""
    problems = [_longer_than(MAX_SUBDOMAIN)] if len(text) > MAX_SUBDOMAIN else []
    if not _config_key(text):
        problems.append(_CONFIG_KEY_PROBLEM)
    if text == ".":
        problems.append("must not be '.'")
    elif text == "..":
        problems.append("must not be '..'")
    elif text.startswith(".."):
        problems.append("must not start with '..'")
    return problems


def port_name(text: str) -> list[str]:
    """Check an IANA service name: at most 15 of a-z, 0-9 and '-', with a letter, no '-' at an end or doubled."""
    problems: list[str] = []
    if len(text) > MAX_PORT_NAME:
        problems.append(_longer_than(MAX_PORT_NAME))
    if not re.fullmatch(r"[-a-z0-9]+", text):
        problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search(r"[a-z]", text):
        problems.append("must contain at least one letter (a-z)")
    if "--" in text:
        problems.append("must not contain consecutive hyphens")
    if text and (text[0] == "-" or text[-1] == "-"):
        problems.append("must not begin or end with a hyphen")
    return problems


def port_number(port: int) -> list[str]:
    return [] if 1 <= port <= 65535 else ["must be between 1 and 65535, inclusive"]


def percent(text: str) -> list[str]:
    return [] if _percent(text) else [_PERCENT_PROBLEM]


def ip_address(text: str) -> list[str]:
    return [] if is_ip(text) else [_IP_PROBLEM]


def ipv4_address(text: str) -> list[str]:
    return [] if is_ipv4(text) else ["must be a valid IPv4 address"]


def ipv6_address(text: str) -> list[str]:
    return [] if is_ipv6(text) else ["must be a valid IPv6 address"]


def cidr(text: str) -> list[str]:
    return [] if is_cidr(text) else [_CIDR_PROBLEM]


def is_ip(text: str) -> bool:
    return is_ipv4(text) or is_ipv6(text)


def is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def is_ipv6(text: str) -> bool:
    """Whether the text is an IPv6 address; a zone (`fe80::1%eth0`) makes it none."""
    if "%" in text:
        return False
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def is_cidr(text: str) -> bool:
    """Whether the text is `address/bits`; host bits may be set, a netmask in dotted form may not."""
    address, slash, bits = text.partition("/")
    if not slash or not bits.isascii() or not bits.isdigit() or (len(bits) > 1 and bits[0] == "0"):
        return False
    if is_ipv4(address):
        return int(bits) <= 32
    return is_ipv6(address) and int(bits) <= 128


def is_dns1123_label(text: str) -> bool:
    return len(text) <= MAX_LABEL and _label(text) is not None


def is_dns1123_subdomain(text: str) -> bool:
    return len(text) <= MAX_SUBDOMAIN and _subdomain(text) is not None


def is_label_value(text: str) -> bool:
    return len(text) <= MAX_LABEL and _label_value(text) is not None
