"""What a server bears of its clients, whichever HTTP they speak, and what it knows of each."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from mizzen.wire.message import Request, Response

Dispatch = Callable[[Request], Response | Awaitable[Response]]
MAX_BODY: Final = 8 * 1024 * 1024
"""Bodies past this many bytes are refused before they are read; the API's own limit is lower."""
MAX_HEADERS: Final = 64 * 1024
REFUSAL_SECONDS: Final = 2.0
"""How long what a client still sends is dropped after it was refused, so that it sees why."""
SWEEP_SECONDS: Final = 15.0
IDLE_SWEEPS: Final = 7
"""A connection may be kept for another request for so many sweeps, 90 seconds or a little more."""
REQUEST_SWEEPS: Final = 5
"""A request that has begun must be there, body and all, within so many, a minute or a little more."""
UNREAD_SWEEPS: Final = 5
"""A client must take something of an answer that waits for it within so many: it holds the server's memory."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end: the certificate that was shown, and the address."""

    certificate: bytes | None
    remote: str


async def discard(response: Response) -> None:
    """Let a stream that nobody reads any more clean up."""
    close = getattr(response.stream, "aclose", None)
    if close is not None:
        await close()
