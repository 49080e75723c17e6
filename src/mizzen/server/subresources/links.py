"""Links in pages that are shown through the proxy: absolute paths are led to below the proxy's own. Pure.

Only `text/html` is touched, and in it only the attributes that hold addresses.
"""

import gzip
import re
import zlib
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

_ATTRIBUTES: Final[Mapping[str, frozenset[str]]] = {
    tag: frozenset(names.split())
    for tag, names in {
        "a": "href", "applet": "codebase", "area": "href", "audio": "src", "base": "href", "blockquote": "cite",
        "body": "background", "button": "formaction", "command": "icon", "del": "cite", "embed": "src",
        "form": "action", "frame": "longdesc src", "head": "profile", "html": "manifest", "iframe": "longdesc src",
        "img": "longdesc src usemap", "input": "formaction src usemap", "ins": "cite", "link": "href",
        "object": "classid codebase data usemap", "q": "cite", "script": "src", "source": "src", "track": "src",
        "video": "poster src",
    }.items()
}  # fmt: skip
_TAG: Final = re.compile(rb"<([a-zA-Z][a-zA-Z0-9]*)((?:\s+[^\s=>/\"']+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'>]+))?)+)")
_ATTRIBUTE: Final = re.compile(rb"(\s+)([^\s=>/\"']+)(\s*=\s*)(\"[^\"]*\"|'[^']*'|[^\s\"'>]+)")


def is_page(headers: Mapping[str, str]) -> bool:
    """Whether an answer is a page whose links may be led elsewhere."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "text/html" and headers.get("content-encoding", "") in ("", "gzip", "deflate")


def plain(body: bytes, encoding: str) -> bytes:
    """The body without its compression. Raises ValueError when it is not what it says."""
    try:
        if encoding == "gzip":
            return gzip.decompress(body)
        return zlib.decompress(body) if encoding == "deflate" else body
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"not {encoding}: {error}") from error


def led(body: bytes, base: str, host: str) -> bytes:
    """The page with its absolute links below `base`; `host` is where it came from: links to other hosts stay."""

    def tag(found: re.Match[bytes]) -> bytes:
        names = _ATTRIBUTES.get(found[1].decode().lower())
        if names is None:
            return found[0]

        def attribute(one: re.Match[bytes]) -> bytes:
            if one[2].decode("latin-1").lower() not in names:
                return one[0]
            quote = one[4][:1] if one[4][:1] in (b'"', b"'") else b'"'
            url = one[4].strip(quote).decode("utf-8", "surrogateescape")
            made = moved(url, base, host)
            if made == url:
                return one[0]
            return one[1] + one[2] + one[3] + quote + made.encode("utf-8", "surrogateescape") + quote

        return b"<" + found[1] + _ATTRIBUTE.sub(attribute, found[2])

    return _TAG.sub(tag, body)


def moved(url: str, base: str, host: str) -> str:
    """An address as the client reaches it through the proxy at `base`; relative ones and other hosts' stay."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    if parts.netloc not in ("", host) or not parts.path.startswith("/") or parts.path.startswith(f"{base}/"):
        return url
    rest = (f"?{parts.query}" if parts.query else "") + (f"#{parts.fragment}" if parts.fragment else "")
    return base + parts.path + rest
