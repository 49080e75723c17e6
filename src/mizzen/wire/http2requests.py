"""What HTTP/2 makes of a request and its answer: their headers with those that stand for HTTP/1.1's first line.

Ref: RFC 9113, 8
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from mizzen.wire import hpack
from mizzen.wire.hpack import Headers
from mizzen.wire.message import ONCE_ONLY, Request, Response, split_target

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
_BAD_VALUE: Final = re.compile(r"[\0\r\n]")
_METHOD: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PSEUDO: Final = frozenset({":method", ":scheme", ":path", ":authority"})
_OF_THE_LINK: Final = frozenset({"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"})
"""What tells of one HTTP/1.1 connection, and has no place here."""
_FIELDS_KEPT: Final = 1024
_SEEN_KEPT: Final = 64
_fields: dict[tuple[str, str], bytes] = {}


class Malformed(Exception):
    """A request that breaks the rules; its stream ends, the others go on."""


def request(fields: Headers, seen: set[tuple[str, str]], peer_certificate: bytes | None, remote: str) -> Request:
    """The request that headers open, its body yet to come; `seen` are headers that need not be checked again.

    Raises Malformed.
    """
    first: dict[str, str] = {}
    headers: dict[str, str] = {}
    several: dict[str, list[str]] = {}
    for field in fields:
        name, value = field
        if field not in seen:
            _check(name, value)
            if len(seen) >= _SEEN_KEPT:
                seen.clear()
            seen.add(field)
        if name[0] == ":":
            if headers or name in first:
                raise Malformed(f"{name} is not to be here")
            first[name] = value
            continue
        known = headers.get(name)
        value = value.strip(" \t")
        if known is not None:
            several.setdefault(name, [known]).append(value)
        headers[name] = value if known is None else f"{known}{'; ' if name == 'cookie' else ','}{value}"
    method, target, authority = first.get(":method", ""), first.get(":path", ""), first.get(":authority")
    if not first.get(":scheme") or _METHOD.fullmatch(method) is None:
        raise Malformed("a request without a method or a scheme")
    if target[:1] != "/" and (target, method) != ("*", "OPTIONS"):
        raise Malformed("a request without a path")
    if headers.get("te", "trailers") != "trailers":
        raise Malformed("te asks for something else than trailers")
    if authority is not None:
        headers["host"] = authority
    path, query = split_target(target)
    return Request(method, path, query, headers, peer_certificate=peer_certificate, remote=remote, several=several)


def _check(name: str, value: str) -> None:
    """Space around a value is no mistake: Go's clients send a user agent that ends in one as it is."""
    if name not in _PSEUDO and (_NAME.fullmatch(name) is None or name in _OF_THE_LINK):
        raise Malformed("a header name that cannot be")
    if not value.isprintable() and _BAD_VALUE.search(value) is not None:
        raise Malformed("a header value that cannot be")


def content_length(headers: Mapping[str, str]) -> int | None:
    """How long the body is said to be, if that is said. Raises Malformed."""
    text = headers.get("content-length")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise Malformed("a length that is none")
    return int(text)


def block(response: Response, size: int | None) -> bytes:
    """The headers of an answer, encoded; `size` of its body, if that is known."""
    parts = [_status(response.status)]
    for item in response.headers.items():
        known = _fields.get(item)
        parts.append(_field(item) if known is None else known)
    if size is not None and "content-length" not in response.headers:
        parts.append(hpack.encode_one("content-length", str(size)))
    return b"".join(parts)


@lru_cache(maxsize=64)
def _status(status: int) -> bytes:
    return hpack.encode_one(":status", str(status))


def _field(item: tuple[str, str]) -> bytes:
    name, value = item[0].lower(), item[1]
    if name in ONCE_ONLY:
        return hpack.encode_one(name, value)
    encoded = b"" if name in _OF_THE_LINK else hpack.encode_one(name, value)
    if len(_fields) >= _FIELDS_KEPT:
        _fields.clear()
    _fields[item] = encoded
    return encoded
