"""HTTP/1.1 over TLS or plain: bytes become Requests, Responses become bytes; streams and upgrades included.

One `Connection` per client, requests answered in order; a client that has chosen HTTP/2 gets another. A handler that
has its answer at once costs no task; the others run as one task per request, cancelled when the client goes away.
"""

import asyncio
import re
import ssl
from collections import deque
from collections.abc import Awaitable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

import httptools
import orjson

from mizzen.base import log
from mizzen.machinery.errors import ApiError
from mizzen.net import liveness, transports
from mizzen.net.dates import DATE, date_now
from mizzen.net.duplex import BUFFER_LIMIT, Flow, TransportDuplex
from mizzen.net.limits import (
    IDLE_SWEEPS,
    MAX_BODY,
    MAX_HEADERS,
    REFUSAL_SECONDS,
    REQUEST_SWEEPS,
    SWEEP_SECONDS,
    UNREAD_SWEEPS,
    Dispatch,
    Peer,
    discard,
)
from mizzen.net.tls import HTTP2
from mizzen.wire.message import ONCE_ONLY, Request, Response, split_target

if TYPE_CHECKING:
    from mizzen.net.http2 import Http2

SLICE: Final = 256 * 1024

_LOG = log.get("net")
_REQUEST_LINE: Final = re.compile(rb"[A-Z][A-Z-]* \S+ HTTP/1\.[01]\r\n")
_LINES_KEPT: Final = 1024
_lines: dict[tuple[str, str], bytes] = {}
"""Headers that come again and again, as they are written."""
_HEADS: Final = {status.value: b"HTTP/1.1 %d %s\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}


class Listener:
    """A listening socket and its open connections."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self._server: asyncio.Server | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self.sweeps = 0
        self.connections: set[Connection | Http2] = set()

    async def listen(self, host: str | None, port: int, tls: ssl.SSLContext | None) -> int:
        """Start to accept; answers the port. Raises OSError when the address is taken."""
        bound = await self.bind(host, port, tls)
        await self.accept()
        return bound

    async def bind(self, host: str | None, port: int, tls: ssl.SSLContext | None) -> int:
        """Take an address, answer its port, let nobody in before `accept`. Raises OSError when it is taken."""
        self._server = await transports.create_server(lambda: Connection(self._dispatch, self), host, port, tls)
        for listening in self._server.sockets:
            liveness.watch_over(listening)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def accept(self) -> None:
        """Let clients in from now on."""
        if self._server is not None:
            await self._server.start_serving()
            self._sweep = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self.sweep)

    def sweep(self) -> None:
        """Close connections on which no request comes, or comes to its end, for long."""
        self.sweeps += 1
        for connection in tuple(self.connections):
            connection.close_if_left()
        self._sweep = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self.sweep)

    async def close(self) -> None:
        """Stop accepting and end every connection."""
        if self._server is not None:
            self._server.close()
        if self._sweep is not None:
            self._sweep.cancel()
        await asyncio.gather(*(connection.part() for connection in tuple(self.connections)))
        for connection in tuple(self.connections):
            connection.abort()
        await asyncio.sleep(0)

    def leave(self, connection: "Connection | Http2") -> None:
        """The connection is gone."""
        self.connections.discard(connection)


class Connection(asyncio.Protocol):
    """One client's connection; httptools calls the `on_…` methods."""

    def __init__(self, dispatch: Dispatch, listener: Listener) -> None:
        self._dispatch = dispatch
        self._listener = listener
        self._parser = httptools.HttpRequestParser(self)
        self._flow = Flow()
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._duplex: TransportDuplex | None = None
        self._peer = Peer(None, "")
        self._early = b""
        self._refused = False
        self._patient = False
        self._unread = (0, 0)
        """Bytes that waited for the client at the latest sweeps, and for how many of them they were the same."""
        self._begin()

    def _begin(self) -> None:
        self._since = self._listener.sweeps
        self._begun = False
        self._url = b""
        self._headers: dict[str, str] = {}
        self._several: dict[str, list[str]] = {}
        self._header_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's transports are not subclasses
        self._transport = transport
        tls = transport.get_extra_info("ssl_object")
        address = transport.get_extra_info("peername")
        self._peer = Peer(
            certificate=tls.getpeercert(binary_form=True) if tls is not None else None,
            remote=str(address[0]) if isinstance(address, tuple) else "unix",
        )
        if tls is not None and tls.selected_alpn_protocol() == HTTP2:
            self._hand_over(transport)
            return
        transport.set_write_buffer_limits(high=BUFFER_LIMIT)
        self._listener.connections.add(self)

    def _hand_over(self, transport: asyncio.Transport) -> None:
        from mizzen.net.http2 import Http2  # lazily: nodes are not spoken to so

        other = Http2(self._dispatch, self._listener, self._peer, transport)
        transport.set_protocol(other)
        self._listener.connections.add(other)
        del self._parser

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.leave(self)
        self._flow.end()
        if self._duplex is not None:
            self._duplex.feed_lost()
        elif self._task is not None:
            self._task.cancel()
        self._waiting.clear()
        # It holds our methods, and so us and 40 KB of TLS until the garbage collector comes, which it seldom does.
        del self._parser

    def data_received(self, data: bytes) -> None:
        if self._duplex is not None:
            self._duplex.feed(data)
            return
        if self._refused:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._early = data[upgrade.args[0] :]
        except httptools.HttpParserInvalidMethodError:
            if not _REQUEST_LINE.match(data):
                self._refuse(400, "Bad Request")
                return
            text = "the server does not allow this method on the requested resource"
            refusal = ApiError(405, "MethodNotAllowed", text).status()
            self._refuse(405, orjson.dumps(refusal).decode(), "application/json")
        except httptools.HttpParserCallbackError as error:  # not the client's fault
            _LOG.error("request failed", remote=self._peer.remote, error=repr(error.__context__))
            self._refuse(500, "Internal Server Error")
        except httptools.HttpParserError:
            self._refuse(400, "Bad Request")

    def eof_received(self) -> bool:
        if self._duplex is not None:
            self._duplex.feed_end()
            # TLS has no half-closed connections; a plain one may still be written to.
            return self._transport.get_extra_info("ssl_object") is None
        return False

    def pause_writing(self) -> None:
        self._flow.pause()

    def resume_writing(self) -> None:
        self._flow.resume()
        if self._task is None:
            self._next()

    # --- httptools

    def on_message_begin(self) -> None:
        self._since = self._listener.sweeps
        self._begun = True

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEADERS:
            self._refuse(431, "Request Header Fields Too Large")
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        known = self._headers.get(key)
        if known is not None:
            self._several.setdefault(key, [known]).append(text)
        self._headers[key] = text if known is None else f"{known},{text}"

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        if self._refused:
            return
        self._body_bytes += len(body)
        if self._body_bytes > MAX_BODY:
            self._refuse(413, "Request Entity Too Large")
            return
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        path, query = split_target(self._url.decode("latin-1"))
        request = Request(
            method=self._parser.get_method().decode("latin-1"),
            path=path,
            query=query,
            headers=self._headers,
            body=b"".join(self._body) if self._body else b"",
            peer_certificate=self._peer.certificate,
            remote=self._peer.remote,
            several=self._several,
        )
        keep = self._parser.should_keep_alive()
        self._begin()
        if self._task is not None or self._waiting or self._flow.blocked:
            self._waiting.append((request, keep))
            if len(self._waiting) > 32:
                self._transport.pause_reading()
        else:
            self._answer(request, keep)

    # --- answering

    def abort(self) -> None:
        """End the connection now."""
        self._transport.abort()

    async def part(self) -> None:
        """Nothing but to end: there is no way to say that the server goes."""
        self._transport.abort()

    def close_if_left(self) -> None:
        """End a connection whose client does not go on; one that waits for an answer stays."""
        if self._flow.blocked and not self._patient and self._is_unread():
            _LOG.info("answer left unread", remote=self._peer.remote, bytes=self._unread[0])
            self._transport.abort()
            return
        if self._task is not None or self._duplex is not None or self._waiting:
            self._since = self._listener.sweeps
            return
        silent = self._listener.sweeps - self._since
        if self._begun and silent >= REQUEST_SWEEPS:
            self._refuse(408, "Request Timeout")
        elif not self._begun and silent >= IDLE_SWEEPS:
            self._transport.close()

    def _is_unread(self) -> bool:
        """Whether the client has taken nothing for long of what waits for it."""
        size, count = self._transport.get_write_buffer_size(), 0
        if self._unread[0] == size:
            count = self._unread[1] + 1
        self._unread = size, count
        return count >= UNREAD_SWEEPS

    def _refuse(self, status: int, text: str, media: str = "text/plain") -> None:
        """Answer a request that cannot be read, and drop what is still on its way, so that the answer is seen."""
        if self._refused or self._transport.is_closing():
            return
        self._refused = True
        response = Response(status, {"content-type": media, "connection": "close"}, text.encode())
        self._write(response, keep=True)
        asyncio.get_running_loop().call_later(REFUSAL_SECONDS, self._transport.close)

    def _answer(self, request: Request, keep: bool) -> None:
        answer = self._dispatch(request)
        if isinstance(answer, Response) and _is_short(answer):
            if request.method == "HEAD":
                self._write_bodiless(answer, keep)
            else:
                self._write(answer, keep)
            return
        self._task = asyncio.get_running_loop().create_task(self._finish(answer, request, keep))

    async def _finish(self, answer: Response | Awaitable[Response], request: Request, keep: bool) -> None:
        try:
            response = answer if isinstance(answer, Response) else await answer
            if self._transport.is_closing():
                await discard(response)
            elif response.upgrade is not None and response.status == 101:
                self._patient = True
                await self._upgrade(response)
                return
            elif request.method == "HEAD":
                await discard(response)
                self._write_bodiless(response, keep)
            elif response.stream is not None:
                self._patient = not response.hurried
                await self._stream(response, keep)
            else:
                if _size(response.body) < SLICE:
                    self._write(response, keep)
                else:
                    await self._write_large(response, keep)
                await self._flow.writable()
        except ConnectionError:
            self._transport.close()
        except Exception as error:
            _LOG.error("request failed", path=request.path, method=request.method, error=repr(error))
            self._transport.abort()
            raise
        finally:
            self._task = None
            self._patient = False
        self._next()

    def _next(self) -> None:
        """Answer what the client sent while we were busy."""
        while self._waiting and self._task is None and not self._flow.blocked and not self._transport.is_closing():
            request, keep = self._waiting.popleft()
            self._answer(request, keep)
        if not self._waiting and not self._transport.is_closing():
            self._transport.resume_reading()

    def _write(self, response: Response, keep: bool) -> None:
        if self._transport.is_closing():
            return
        body = _whole(response.body)
        self._transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (_head(response, keep), len(body), body))
        if not keep:
            self._transport.close()

    async def _write_large(self, response: Response, keep: bool) -> None:
        """Write no more at a time than the client takes: the pieces are what every client gets, a copy is its own."""
        body = response.body
        self._transport.write(b"%bcontent-length: %d\r\n\r\n" % (_head(response, keep), _size(body)))
        for piece in (body,) if isinstance(body, bytes) else body:
            view = memoryview(piece)  # a slice is encrypted and sent while it is in the processor's cache
            for start in range(0, len(piece), SLICE):
                self._transport.write(view[start : start + SLICE])
                if self._flow.blocked:
                    await self._flow.writable()
        if not keep:
            self._transport.close()

    def _write_bodiless(self, response: Response, keep: bool) -> None:
        """Answer HEAD: as GET would be answered, without the body."""
        if self._transport.is_closing():
            return
        head = _head(response, keep)
        if "content-length" not in response.headers and response.stream is None:
            head += b"content-length: %d\r\n" % _size(response.body)
        self._transport.write(head + b"\r\n")
        if not keep:
            self._transport.close()

    async def _stream(self, response: Response, keep: bool) -> None:
        assert response.stream is not None
        self._transport.write(_head(response, keep) + b"transfer-encoding: chunked\r\n\r\n")
        try:
            async for chunk in response.stream:
                if self._transport.is_closing():
                    return
                if chunk:
                    self._transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                    if self._flow.blocked:
                        await self._flow.writable()
            self._transport.write(b"0\r\n\r\n")
            if not keep:
                self._transport.close()
        finally:
            await discard(response)

    async def _upgrade(self, response: Response) -> None:
        assert response.upgrade is not None
        self._transport.write(_head(response, keep=True, upgraded=True) + b"\r\n")
        self._duplex = TransportDuplex(self._transport, self._flow)
        if self._early:
            self._duplex.feed(self._early)
        try:
            await response.upgrade(self._duplex)
        except ConnectionError:
            _LOG.debug("upgraded connection lost", remote=self._peer.remote)
        finally:
            self._duplex.close()


def _is_short(answer: Response) -> bool:
    """Whether an answer is written at once."""
    return answer.stream is None and answer.upgrade is None and _size(answer.body) < SLICE


def _size(body: bytes | Sequence[bytes]) -> int:
    return len(body) if isinstance(body, bytes) else sum(map(len, body))


def _whole(body: bytes | Sequence[bytes]) -> bytes:
    return body if isinstance(body, bytes) else b"".join(body)


def _head(response: Response, keep: bool, *, upgraded: bool = False) -> bytes:
    headers = response.headers
    parts = [_HEADS.get(response.status) or b"HTTP/1.1 %d Unknown\r\n" % response.status]
    for item in headers.items():
        known = _lines.get(item)
        parts.append(_line(item) if known is None else known)
    if not keep and not upgraded:
        parts.append(b"connection: close\r\n")
    if not upgraded and DATE not in headers:
        parts.append(b"date: %b\r\n" % date_now())
    return b"".join(parts)


def _line(item: tuple[str, str]) -> bytes:
    line = f"{item[0]}: {item[1]}\r\n".encode("latin-1", "replace")
    if item[0] not in ONCE_ONLY:
        if len(_lines) >= _LINES_KEPT:
            _lines.clear()
        _lines[item] = line
    return line
