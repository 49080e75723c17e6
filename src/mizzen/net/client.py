"""The client's sockets: pooled HTTP/1.1 connections over TCP, TLS or a unix socket, with streams and upgrades.

`SocketTransport` is the `Transport` that a `Client` uses to reach a server elsewhere.
"""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final, cast
from urllib.parse import quote, urlencode, urlsplit

import httptools
import orjson

from mizzen.net import liveness
from mizzen.net.duplex import BUFFER_LIMIT, Flow, TransportDuplex
from mizzen.net.tls import verifying_context
from mizzen.wire.message import Duplex, Request, Response

IDLE_CONNECTIONS: Final = 16
"""Idle connections kept for each transport; more are closed after use, and made only for calls that had to wait."""
PATIENCE_SECONDS: Final = 0.1
"""How long a call waits for one of so many to come back before another is made for it."""
DIALS_AT_ONCE: Final = 2
"""Connections being made at once: whoever finds so many under way waits for one of them, or for one that comes back.

A greeting costs both sides more than most calls do; a burst of calls is served sooner by the few than by many.
"""
_REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens and how to greet it: `unix` is a socket's path and replaces host and port."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    server_name: str = ""
    unix: str = ""
    base_path: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, url: str, tls: ssl.SSLContext | None = None, token: str = "") -> "Endpoint":
        """From `https://host:port[/path]`. Raises ValueError for anything else."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not an http or https address")
        if parts.scheme == "https" and tls is None:
            tls = verifying_context()
        port = parts.port or (443 if parts.scheme == "https" else 80)
        headers = {"authorization": f"Bearer {token}"} if token else {}
        context = tls if parts.scheme == "https" else None
        return cls(parts.hostname, port, context, base_path=parts.path.rstrip("/"), headers=headers)


class SocketTransport:
    """Keeps connections open between calls; a read on a connection that had died in the pool is sent again.

    A connection that comes back goes to whoever waits longest; should none come, connections are made one after another
    for as many calls as there are, but past those that are worth keeping only once patience has run out.
    """

    def __init__(self, endpoint: Endpoint, *, connect_seconds: float = 10.0) -> None:
        self._endpoint = endpoint
        self._connect_seconds = connect_seconds
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._dialing = 0
        self._calling = 0
        self._waiting: deque[asyncio.Future[_Connection | None]] = deque()

    async def call(self, request: Request) -> Response:
        """Send and answer; watches and followed logs come as a stream. Raises ConnectionError."""
        return await self._exchange(request, whole=not _is_stream(request))

    async def open(self, request: Request) -> Response:
        """Send and answer; every answer of status 200 comes as a stream, however long it is. Raises ConnectionError."""
        return await self._exchange(request, whole=False)

    async def _exchange(self, request: Request, *, whole: bool) -> Response:
        bodiless = request.method == "HEAD"
        while True:
            connection, fresh = await self._connection()
            self._calling += 1
            try:
                response = await connection.exchange(self._encoded(request), whole=whole, bodiless=bodiless)
            except BaseException as error:
                self._give(None)  # the connection is lost to whoever waits
                # A kept connection may have been closed by the server meanwhile; nothing was answered, but done maybe.
                if isinstance(error, ConnectionError) and not fresh and request.method in _REPEATABLE:
                    continue
                raise
            finally:
                self._calling -= 1
            if response.stream is None:
                self._release(connection)
            else:
                self._give(None)
            return response

    async def upgrade(self, request: Request) -> tuple[Response, Duplex | None]:
        """Ask for an upgrade; the connection is the caller's when the answer is 101, else the Response is whole."""
        connection = await self._connect()
        response = await connection.exchange(self._encoded(request), whole=True)
        if response.status == 101:
            self._open.discard(connection)
            return response, connection.taken_over()
        connection.close()
        return response, None

    async def close(self) -> None:
        for connection in tuple(self._open):
            connection.close()
        self._idle.clear()

    async def _connection(self) -> tuple["_Connection", bool]:
        patient_until = 0.0
        while True:
            while self._idle:
                connection = self._idle.pop()
                if connection.usable:
                    return connection, False
            now = asyncio.get_running_loop().time()
            patient_until = patient_until or now + PATIENCE_SECONDS
            wait = patient_until - now if self._calling + self._dialing >= IDLE_CONNECTIONS else 0.0
            if wait <= 0 and self._dialing < DIALS_AT_ONCE:
                return await self._dial(), True
            kept = await self._turn(wait)
            if kept is not None and kept.usable:
                return kept, False

    async def _dial(self) -> "_Connection":
        """Make a connection; whoever waits may make the next, or hears what went wrong."""
        self._dialing += 1
        try:
            connection = await self._connect()
        except ConnectionError as error:
            while self._waiting:
                if not (waiter := self._waiting.popleft()).done():
                    waiter.set_exception(ConnectionError(str(error)))
            raise
        finally:
            self._dialing -= 1
            self._give(None)
        return connection

    async def _turn(self, patience: float) -> "_Connection | None":
        """A connection that has come back, or nothing, also after this time (0: any): then one may be made."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[_Connection | None] = loop.create_future()
        self._waiting.append(waiter)
        bell = loop.call_later(patience, _end_of_patience, waiter) if patience > 0 else None
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                given = waiter.result()
                self._give(None) if given is None else self._release(given)
            raise
        finally:
            if bell is not None:
                bell.cancel()

    def _give(self, connection: "_Connection | None") -> bool:
        """Hand something to whoever waits longest; False when nobody does."""
        while self._waiting:
            if not (waiter := self._waiting.popleft()).done():
                waiter.set_result(connection)
                return True
        return False

    async def _connect(self) -> "_Connection":
        where = self._endpoint
        loop = asyncio.get_running_loop()
        made = lambda: _Connection(self._open)  # noqa: E731
        try:
            async with asyncio.timeout(self._connect_seconds):
                if where.unix:
                    _, connection = await loop.create_unix_connection(made, where.unix)
                else:
                    name = (where.server_name or where.host) if where.tls else None
                    _, connection = await loop.create_connection(
                        made, where.host, where.port, ssl=where.tls, server_hostname=name
                    )
        except TimeoutError as error:
            raise ConnectionError(
                f"no answer from {where.unix or where.host} in {self._connect_seconds:g} s"
            ) from error
        except OSError as error:
            if isinstance(error, ConnectionError):
                raise
            raise ConnectionError(str(error)) from error
        return connection

    def _release(self, connection: "_Connection") -> None:
        """Whoever waits gets the connection, or, when it cannot be used again, may make another."""
        if not connection.usable:
            connection.close()
            self._give(None)
        elif not self._give(connection):
            if len(self._idle) < IDLE_CONNECTIONS:
                self._idle.append(connection)
            else:
                connection.close()

    def _encoded(self, request: Request) -> bytes:
        where = self._endpoint
        target = where.base_path + quote(request.path, safe="/:@!$&'()*+,;=~-._")
        if request.query:
            target += "?" + urlencode(request.query)
        body = request.body if isinstance(request.body, bytes) else orjson.dumps(request.body)
        host = where.host if ":" not in where.host else f"[{where.host}]"
        headers = {"host": f"{host}:{where.port}", **where.headers, **request.headers}
        if body or request.method in ("POST", "PUT", "PATCH"):
            headers["content-length"] = str(len(body))
        pairs = (*headers.items(), *request.repeated)
        lines = [f"{request.method} {target} HTTP/1.1\r\n", *(f"{k}: {v}\r\n" for k, v in pairs), "\r\n"]
        return "".join(lines).encode("latin-1", "replace") + body


def _end_of_patience(waiter: "asyncio.Future[_Connection | None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


def _is_stream(request: Request) -> bool:
    return any(name in ("watch", "follow") and value not in ("", "0", "false") for name, value in request.query)


class _Connection(asyncio.Protocol):
    """One connection; one exchange at a time."""

    def __init__(self, registry: "set[_Connection]") -> None:
        self._registry = registry
        self._flow = Flow()
        self._duplex: TransportDuplex | None = None
        self._lost = False
        self._busy = False
        self._reset()

    def _reset(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._status = 0
        self._headers: dict[str, str] = {}
        self._chunks: list[bytes] = []
        self._size = 0
        self._complete = self._keeps = False
        self._head: asyncio.Future[None] | None = None
        self._more = asyncio.Event()

    @property
    def usable(self) -> bool:
        return not self._lost and not self._busy and not self._transport.is_closing()

    async def exchange(self, data: bytes, *, whole: bool, bodiless: bool = False) -> Response:
        """Send a request and await its answer; as a stream unless `whole`, or unless it failed. HEAD is bodiless."""
        if self._lost:
            raise ConnectionResetError("the connection is closed")
        self._reset()
        self._busy = True
        self._head = asyncio.get_running_loop().create_future()
        try:
            self._transport.write(data)
            await self._head
            status, headers = self._status, self._headers
            if status == 101:
                return Response(status, headers)
            if bodiless:
                self.close()  # the parser cannot know that the announced body does not come
                return Response(status, headers)
            if whole or status != 200:
                body = b"".join([chunk async for chunk in self._body()])
                self._busy = not self._keeps
                return Response(status, headers, body)
        except BaseException:
            self.close()
            raise
        return Response(status, headers, stream=self._streamed())

    def taken_over(self) -> TransportDuplex:
        """The raw connection after a 101."""
        if self._duplex is None:
            raise RuntimeError("the server has not upgraded the connection")
        connected = self._transport.get_extra_info("socket")
        if connected is not None and connected.family != socket.AF_UNIX:
            liveness.give_up_after(connected, 0)  # whom the bytes are for may take its time
        return self._duplex

    def close(self) -> None:
        self._transport.close()

    async def _streamed(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._body():
                yield chunk
        finally:
            self.close()

    async def _body(self) -> AsyncIterator[bytes]:
        while True:
            if self._chunks:
                data = b"".join(self._chunks)
                self._chunks.clear()
                if self._size > BUFFER_LIMIT and not self._transport.is_closing():
                    self._transport.resume_reading()
                self._size = 0
                yield data
            elif self._complete:
                return
            elif self._lost:
                raise ConnectionResetError("the connection was lost in the middle of an answer")
            else:
                self._more.clear()
                await self._more.wait()

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's TLS transport is one in all but its base class.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=BUFFER_LIMIT)
        connected = self._transport.get_extra_info("socket")
        if connected is not None and connected.family != socket.AF_UNIX:
            liveness.watch_over(connected)
            liveness.give_up_after(connected, liveness.UNHEARD_SECONDS)
        self._registry.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._registry.discard(self)
        self._lost = True
        self._flow.end()
        if self._duplex is not None:
            self._duplex.feed_lost()
        if self._head is not None and not self._head.done():
            self._head.set_exception(ConnectionResetError("the server closed the connection"))
        if not self._ends_by_length():
            self._complete = True
        self._more.set()
        del self._parser  # it holds our methods, and so us until the garbage collector comes

    def _ends_by_length(self) -> bool:
        return "content-length" in self._headers or "chunked" in self._headers.get("transfer-encoding", "")

    def data_received(self, data: bytes) -> None:
        if self._duplex is not None:
            self._duplex.feed(data)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._take_over(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if self._head is not None and not self._head.done():
                self._head.set_exception(ConnectionError(f"not an HTTP answer: {error}"))
            self._transport.close()

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

    def _take_over(self, early: bytes) -> None:
        self._duplex = TransportDuplex(self._transport, self._flow)
        if early:
            self._duplex.feed(early)
        if self._head is not None and not self._head.done():
            self._head.set_result(None)

    # --- httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        if self._status == 100:
            self._headers = {}
        elif self._status == 101:
            self._take_over(b"")
        elif self._head is not None and not self._head.done():
            self._head.set_result(None)

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._size += len(body)
        if self._size > BUFFER_LIMIT:
            self._transport.pause_reading()
        self._more.set()

    def on_message_complete(self) -> None:
        if self._status >= 200:
            self._complete = True
            self._keeps = self._parser.should_keep_alive()  # the parser forgets it when this returns
            self._more.set()
