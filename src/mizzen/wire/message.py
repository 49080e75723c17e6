"""A request and its response, whatever carries them: a TLS connection or a call in the same process."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, unquote

from mizzen.machinery.identity import Identity

ONCE_ONLY: Final = frozenset({"audit-id"})
"""Headers of answers that have another value each time; others come again, and are kept as they are written."""


@dataclass(slots=True)
class Request:
    """One API request.

    `path` is decoded and without the query; `query` keeps order and repeats; header names are lower-case.
    `body` is the bytes of the wire, or, from a caller in the same process, an already decoded object that the
    server may keep and change. `user` is set only by a transport that has authenticated the caller itself.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Any = b""
    user: Identity | None = None
    peer_certificate: bytes | None = None
    remote: str = ""
    repeated: Sequence[tuple[str, str]] = ()
    """Headers to send beside `headers`, of which one name may stand several times."""
    several: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Those of `headers` that came on several lines, line by line; `headers` has them joined by commas."""

    def lines(self, header: str) -> Sequence[str]:
        """What each line of a header says, for values in which a comma is a comma."""
        return self.several.get(header) or ((self.headers[header],) if header in self.headers else ())

    def parameter(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return next((value for key, value in self.query if key == name), default)


class Duplex(Protocol):
    """The raw connection that an upgraded request (exec, attach, port-forward) is handed."""

    async def read(self) -> bytes:
        """The next bytes from the client; empty at its end."""

    async def write(self, data: bytes) -> None:
        """Send bytes, waiting while the client is behind. Raises ConnectionError when it is gone."""

    async def lost(self) -> None:
        """Return when the connection is gone altogether, even while nobody reads."""

    def close(self) -> None:
        """End the connection, once what was written has been sent."""

    def abort(self) -> None:
        """End the connection now; what was written may be lost."""


@dataclass(slots=True)
class Response:
    """One API response: whole (`body`), in pieces to be joined without copying, streamed, or upgraded.

    With `upgrade`, the transport writes status 101 and the headers, then hands over the connection.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Sequence[bytes] = b""
    stream: AsyncIterator[bytes] | None = None
    upgrade: Callable[[Duplex], Awaitable[None]] | None = None
    hurried: bool = False
    """Whether a stream ends when its client reads nothing for long; what people look at page by page does not."""


def split_target(target: str) -> tuple[str, Sequence[tuple[str, str]]]:
    """Path and query of a request, as `Request` has them, from its first line."""
    path, _, query = target.partition("?")
    return unquote(path) if "%" in path else path, parse_qsl(query, keep_blank_values=True) if query else ()


Handle = Callable[[Request], Awaitable[Response]]
