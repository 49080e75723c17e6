"""A small HTTP/1.1 client for registries, probes and hooks: one request a connection, streamed bodies.

Kubernetes' own API goes through `mizzen.client`; this is for servers of any kind that a node talks to.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from urllib.parse import urljoin, urlsplit

from mizzen.net.tls import unverified_context, verifying_context

_HEADER_LIMIT = 256 * 1024


Dial = Callable[[str, int], Awaitable[socket.socket]]
"""Opens a TCP connection somewhere else than in this process's network namespace. Raises OSError."""


class HttpFailure(Exception):
    """The other side could not be reached or did not speak HTTP."""


@dataclass(slots=True)
class Answer:
    """A response whose body is yet to be read; header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: AsyncIterator[bytes]

    async def read(self, limit: int = 16 << 20) -> bytes:
        """The body, of which `limit` bytes are kept."""
        kept = bytearray()
        async for chunk in self.body:
            kept += chunk[: limit - len(kept)]
            if len(kept) >= limit:
                break
        return bytes(kept)


@cache
def verifying() -> ssl.SSLContext:
    """TLS that trusts what the machine trusts."""
    return verifying_context()


@cache
def unverified() -> ssl.SSLContext:
    """TLS that asks for no proof, as probes do."""
    return unverified_context()


@asynccontextmanager
async def request(
    method: str,
    url: str,
    headers: Mapping[str, str | Sequence[str]] | None = None,
    body: bytes = b"",
    *,
    tls: ssl.SSLContext | None = None,
    connect_timeout: float = 30.0,
    dial: Dial | None = None,
) -> AsyncIterator[Answer]:
    """Send a request; the connection closes with the context.

    A header of several values is sent so many times, one of none not at all. Raises HttpFailure.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    context = (tls or verifying()) if secure else None
    try:
        async with asyncio.timeout(connect_timeout):
            reader, writer = await _open(parts.hostname or "", port, context, dial)
    except (OSError, TimeoutError) as error:
        raise HttpFailure(f"{method} {url}: {error or 'timeout while connecting'}") from error
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        sent: dict[str, str | Sequence[str]] = {"host": parts.netloc.rpartition("@")[2], "user-agent": "mizzen"}
        sent |= {"accept": "*/*", "connection": "close"}
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        if body:
            sent["content-length"] = str(len(body))
        writer.write(_head(f"{method} {path} HTTP/1.1", sent) + body)
        await writer.drain()
        yield await _answer(reader, method)
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        raise HttpFailure(f"{method} {url}: {error or type(error).__name__}") from error
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), 1)


def _head(line: str, headers: Mapping[str, str | Sequence[str]]) -> bytes:
    lines = [line]
    for name, values in headers.items():
        lines += [f"{name}: {value}" for value in ([values] if isinstance(values, str) else values)]
    return "\r\n".join([*lines, "", ""]).encode()


async def _open(
    host: str, port: int, tls: ssl.SSLContext | None, dial: Dial | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if dial is None:
        return await asyncio.open_connection(host, port, ssl=tls, limit=_HEADER_LIMIT)
    name = host if tls is not None else None
    return await asyncio.open_connection(
        sock=await dial(host, port), ssl=tls, server_hostname=name, limit=_HEADER_LIMIT
    )


async def _answer(reader: asyncio.StreamReader, method: str) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    version, _, rest = head[0].partition(" ")
    if not version.startswith("HTTP/"):
        raise ValueError(f"malformed HTTP response {head[0][:40]!r}")
    status = int(rest[:3])
    if status == 100:
        return await _answer(reader, method)
    headers: dict[str, str] = {}
    for line in head[1:]:
        name, colon, value = line.partition(":")
        if colon:
            key = name.strip().lower()
            headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
    return Answer(status, headers, _body(reader, headers, empty=method == "HEAD" or status in {204, 304}))


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str], *, empty: bool) -> AsyncIterator[bytes]:
    if empty:
        return
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int((await reader.readline()).split(b";")[0] or b"0", 16):
            left = size
            while left:
                chunk = await reader.read(min(left, 262_144))
                if not chunk:
                    raise OSError("connection closed in the middle of a body")
                left -= len(chunk)
                yield chunk
            await reader.readline()
        return
    length = headers.get("content-length")
    left = int(length) if length else -1
    while left:
        chunk = await reader.read(262_144 if left < 0 else min(left, 262_144))
        if not chunk:
            if left > 0:
                raise OSError("connection closed in the middle of a body")
            return
        left -= len(chunk) if left > 0 else 0
        yield chunk


def joined(base: str, location: str) -> str:
    """Where a redirect leads."""
    return urljoin(base, location)
