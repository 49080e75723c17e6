"""Small HTTP listeners, each of which answers GETs with what a function of the path says."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import partial

from mizzen.base import log

_log = log.get("proxy")
_PATIENCE_SECONDS = 5

Address = tuple[str, int]
Page = Callable[[str], bytes]
"""From the path that is asked for to a whole HTTP answer."""


def answer(status: str, body: bytes, *fields: str, kind: str = "application/json") -> bytes:
    """A whole HTTP answer, after which the connection ends."""
    head = (
        f"HTTP/1.1 {status}",
        f"Content-Type: {kind}",
        "X-Content-Type-Options: nosniff",
        *fields,
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + body


class Listeners:
    """One listener for each address; an address that is taken is warned of and left out."""

    def __init__(self) -> None:
        self._listening: dict[Address, asyncio.Server] = {}
        self._pages: Mapping[Address, Page] = {}

    async def apply(self, pages: Mapping[Address, Page]) -> None:
        """Listen on these addresses and no other."""
        self._pages = pages
        for address in self._listening.keys() - pages.keys():
            self._listening.pop(address).close()
        for address in pages.keys() - self._listening.keys():
            try:
                self._listening[address] = await asyncio.start_server(partial(self._answer, address), *address)
            except OSError as error:
                _log.warning("port is taken", address="{}:{}".format(*address), error=str(error))

    def close(self) -> None:
        for listener in self._listening.values():
            listener.close()
        self._listening.clear()

    async def _answer(self, address: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            request = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _PATIENCE_SECONDS)
            page = self._pages.get(address)
            if page is not None:
                writer.write(page(_path(request)))
                await writer.drain()
        writer.close()


def _path(request: bytes) -> str:
    words = request.split(b"\r\n", 1)[0].split()
    return words[1].split(b"?", 1)[0].decode("latin-1") if len(words) > 1 else ""
