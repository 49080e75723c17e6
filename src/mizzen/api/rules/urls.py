"""URLs as the original's parser reads them: what it cannot read is told from what it reads and nobody wants."""

import re
from typing import NamedTuple

_parts = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL
).fullmatch
_bad_escape = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_port = re.compile(r"(?::[0-9]*)?").fullmatch
_bad_in_host = re.compile(r"[ %\\^`{|}]").search
_userinfo = re.compile(r"[A-Za-z0-9._:~!$&'()*+,;=%@-]*").fullmatch


class Url(NamedTuple):
    """The parts of a URL; `user` is None where no `@` is written."""

    scheme: str
    user: str | None
    host: str
    path: str
    query: str
    fragment: str


def split(url: str) -> Url:
    match = _parts(url)
    scheme, authority, path, query, fragment = match.groups(default="") if match else ("", "", url, "", "")
    user, at, host = authority.rpartition("@")
    return Url(scheme.lower(), user if at else None, host, path, query, fragment)


def problem(url: str) -> str:
    """Why a URL cannot be read, or nothing."""
    if any(mark < " " or mark == "\x7f" for mark in url):
        return "net/url: invalid control character in URL"
    if url.startswith(":"):
        return "missing protocol scheme"
    parts = split(url)
    if not parts.scheme and ":" in url.partition("#")[0].partition("?")[0].partition("/")[0]:
        return "first path segment in URL cannot contain colon"
    if parts.user is not None and not _userinfo(parts.user):
        return "net/url: invalid userinfo"
    path = "" if parts.scheme and not parts.path.startswith("/") and not parts.host else parts.path
    return _host_problem(parts.host) or _escape_problem(path) or _escape_problem(parts.fragment)


def _host_problem(host: str) -> str:
    if host.startswith("["):
        _, bracket, port = host.rpartition("]")
        if not bracket:
            return "missing ']' in host"
        return "" if _port(port) else f'invalid port "{port}" after host'
    name, colon, port = host.rpartition(":")
    if colon and not _port(colon + port):
        return f'invalid port "{colon}{port}" after host'
    bad = _bad_in_host(name if colon else host)
    return f'invalid character "{bad[0]}" in host name' if bad else ""


def _escape_problem(text: str) -> str:
    bad = _bad_escape(text)
    return f'invalid URL escape "{text[bad.start() : bad.start() + 3]}"' if bad else ""
