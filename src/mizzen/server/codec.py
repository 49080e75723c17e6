"""Objects to bytes and back: what leaves is JSON, YAML or protobuf, pretty or compressed when asked for."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

import orjson
import yaml
from isal import isal_zlib

from mizzen.machinery.errors import ApiError
from mizzen.machinery.protobuf import envelope
from mizzen.server.media import JSON, PLAIN, PROTOBUF, YAML, Media, negotiate_status
from mizzen.server.recent import RECENT
from mizzen.wire.message import Request, Response

COMPRESS_FROM: Final = 128 << 10
"""Answers of this many bytes are compressed for clients that accept gzip."""
_GZIP_HEAD: Final = b"\x1f\x8b\x08\0\0\0\0\0\x04\xff"
"""Deflated, without name or time, fast, by whatever system. Ref: RFC 1952, 2.3."""
_STORED_BELOW: Final = 4096
_JSON_HEADERS: Final = {"content-type": JSON}
_BROWSERS: Final = ("curl", "Wget", "Mozilla/5.0")
_MOST_WARNED: Final = 4096
_MOST_OF_ONE: Final = 256
_ACCEPTED: Final = f"{JSON}, {YAML}, {PROTOBUF}"


class Dumper(yaml.CSafeDumper):
    """YAML as kubectl users expect it: lists are indented like their key."""


def encode(obj: Any) -> bytes:
    """Compact JSON."""
    return orjson.dumps(obj)


def encode_yaml(obj: Any) -> bytes:
    """YAML with sorted keys."""
    text: str = yaml.dump(obj, Dumper=Dumper, default_flow_style=False, allow_unicode=True, width=1 << 30)
    return text.encode()


def respond(
    request: Request, body: bytes | Sequence[bytes], media: Media = PLAIN, status: int = 200, headers: Any = None
) -> Response:
    """Answer JSON bytes (or pieces of them) in the representation's format; protobuf may come as it is."""
    simple = media is PLAIN and headers is None and not request.query
    if simple and isinstance(body, bytes) and len(body) < COMPRESS_FROM and not _is_browser(request):
        return Response(status, dict(_JSON_HEADERS), body)
    answered: dict[str, str] = {"content-type": media.content_type, **(headers or {})}
    if media.type == PROTOBUF:
        body = _as_protobuf(body)
    elif media.type == YAML:
        body = encode_yaml(orjson.loads(_joined(body)))
    elif wants_pretty(request):
        body = orjson.dumps(orjson.loads(_joined(body)), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    return compressed(request, Response(status, answered, body))


def compressed(request: Request, response: Response) -> Response:
    """The response, compressed when it is big and the client accepts it."""
    body = response.body
    size = len(body) if isinstance(body, bytes) else sum(map(len, body))
    if size >= COMPRESS_FROM and "gzip" in request.headers.get("accept-encoding", ""):
        response.body = _gzip((body,) if isinstance(body, bytes) else body)
        response.headers["content-encoding"] = "gzip"
        response.headers["vary"] = "Accept-Encoding"
    return response


def respond_bit_by_bit(request: Request, pieces: Iterator[bytes]) -> Response:
    """Answer compact JSON too long to be held in memory for every client; the pieces are made as the client reads."""
    headers = dict(_JSON_HEADERS)
    if "gzip" in request.headers.get("accept-encoding", ""):
        pieces = _gzip_bit_by_bit(pieces)
        headers["content-encoding"], headers["vary"] = "gzip", "Accept-Encoding"
    return Response(200, headers, stream=_streamed(pieces))


async def _streamed(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _gzip_bit_by_bit(pieces: Iterator[bytes]) -> Iterator[bytes]:
    machine = isal_zlib.compressobj(1, isal_zlib.DEFLATED, 16 + isal_zlib.MAX_WBITS)
    for piece in pieces:
        yield machine.compress(piece)
    yield machine.flush()


def _gzip(pieces: Sequence[bytes]) -> Sequence[bytes]:
    """The pieces as one gzip file. What many lists share is deflated once; what is short is stored as it is."""
    made, checksum, size = [_GZIP_HEAD], 0, 0
    for piece in pieces:
        length = len(piece)
        if length < _STORED_BELOW:
            made += (b"\0%b%b" % (length.to_bytes(2, "little"), (length ^ 0xFFFF).to_bytes(2, "little")), piece)
        else:
            made.append(RECENT.deflated(piece))
        checksum, size = isal_zlib.crc32(piece, checksum), size + length
    made.append(b"\x03\0%b%b" % (checksum.to_bytes(4, "little"), (size & 0xFFFFFFFF).to_bytes(4, "little")))
    return made


def warning_headers(warnings: Sequence[str]) -> dict[str, str] | None:
    """One Warning header for all texts, which are cut when there is too much to say. Ref: RFC 7234, 5.5."""
    if not warnings:
        return None
    texts = list(dict.fromkeys(warnings))
    cut = sum(map(len, texts)) > _MOST_WARNED
    shown, length = [], 0
    for whole in texts:
        text = whole[:_MOST_OF_ONE] if cut else whole
        length += len(text)
        if length > _MOST_WARNED:
            break
        escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        shown.append(f'299 - "{escaped}"')
    return {"warning": ", ".join(shown)}


def warned(response: Response, text: str) -> Response:
    """The response with a warning before those it has."""
    header = (warning_headers((text,)) or {})["warning"]
    known = response.headers.get("warning")
    if known != header and not (known or "").startswith(f"{header},"):
        response.headers["warning"] = f"{header}, {known}" if known else header
    return response


def respond_status(request: Request, error: ApiError) -> Response:
    """Answer a failure."""
    headers = warning_headers(error.warnings) or {}
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    media = negotiate_status(request.headers.get("accept", ""))
    return respond(request, encode(error.status()), media, error.code, headers)


def _as_protobuf(body: bytes | Sequence[bytes]) -> bytes | Sequence[bytes]:
    first = body if isinstance(body, bytes) else body[0]
    return body if envelope.is_protobuf(first) else envelope.write(orjson.loads(_joined(body)))


def _joined(body: bytes | Sequence[bytes]) -> bytes:
    return body if isinstance(body, bytes) else b"".join(body)


def wants_pretty(request: Request) -> bool:
    """Whether the answer is to be indented."""
    asked = request.parameter("pretty", "none").lower()
    if asked != "none":
        return asked not in ("0", "false")
    return _is_browser(request)


def _is_browser(request: Request) -> bool:
    """Whether a person reads the answer as it comes."""
    return request.headers.get("user-agent", "").startswith(_BROWSERS)


def unsupported_media(accepted: str = _ACCEPTED) -> ApiError:
    text = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
    return ApiError(415, "UnsupportedMediaType", text)


def content_type(request: Request) -> str:
    """The media type of the body, without parameters and in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
