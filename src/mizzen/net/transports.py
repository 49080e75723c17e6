"""Which transports carry TLS, the loop's own or aiofastnet's, which encrypt without copying; and which HTTP is offered.

`MIZZEN_TRANSPORT=loop` chooses the loop's, should the faster ones ever be in the way; `MIZZEN_HTTP2=off` offers
HTTP/1.1 alone.
"""

import asyncio
import errno
import os
import resource
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, Final

from mizzen.base import log
from mizzen.net.tls import HTTP1, HTTP2

Factory = Callable[[], asyncio.Protocol]
_BACKLOG: Final = 1024
_HANDSHAKE_SECONDS: Final = 20.0
_KEPT_FREE: Final = 256
"""How many more files could be open when connections are refused: the rest of the process needs some, too."""
_TOLD_EVERY: Final = 60.0
_log = log.get("net")


class _Door(socket.socket):
    """A listening socket that turns away whom there is no room for, and stays calm when there is no room at all."""

    def __init__(self, listening: socket.socket) -> None:
        super().__init__(fileno=listening.detach())
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._room = limit - min(_KEPT_FREE, limit // 4) if limit != resource.RLIM_INFINITY else 1 << 30
        self._told = -_TOLD_EVERY

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection. Raises ConnectionAbortedError for one that was turned away."""
        try:
            connected, address = super().accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._tell()
                raise BlockingIOError from error  # the caller would try again at once, and say so each time
            raise
        if connected.fileno() < self._room:  # files are numbered from the lowest that is free
            return connected, address
        connected.close()
        self._tell()
        raise ConnectionAbortedError

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told >= _TOLD_EVERY:
            self._told = now
            _log.error("connections are refused: too many open files", room=self._room)


def offered_protocols() -> tuple[str, ...]:
    """The protocols that clients of the API may choose from."""
    return (HTTP1,) if os.environ.get("MIZZEN_HTTP2") == "off" else (HTTP2, HTTP1)


def allow_many_files() -> None:
    """As many open files, and so connections, as this process may have; it begins with as many as old programs bear."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def create_server(factory: Factory, host: str | None, port: int, tls: ssl.SSLContext | None) -> asyncio.Server:
    """A bound server that accepts nobody yet. Raises OSError when the address is taken."""
    loop = asyncio.get_running_loop()
    if tls is None or os.environ.get("MIZZEN_TRANSPORT") == "loop":
        return await loop.create_server(
            factory, host, port, ssl=tls, backlog=_BACKLOG, reuse_address=True, start_serving=False
        )
    import aiofastnet  # lazily: clients and plain servers need none of it

    server: asyncio.Server = await aiofastnet.create_server(
        loop, factory, host, port, ssl=tls, backlog=_BACKLOG, reuse_address=True, start_serving=False,
        ssl_handshake_timeout=_HANDSHAKE_SECONDS,
    )  # fmt: skip
    # It has no other place for it, and its own answer to too many open files is a busy loop of tracebacks.
    server._sockets = [_Door(listening) for listening in server._sockets]  # type: ignore[attr-defined]
    return server
