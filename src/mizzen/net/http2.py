"""HTTP/2 for clients that choose it: many requests on one connection, each a stream, their answers as they come.

What a request is asked and how it is answered is the same as over HTTP/1.1; see `mizzen.net.server`.
"""

import asyncio
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from typing import Final, Protocol, assert_never

from mizzen.base import log
from mizzen.net.dates import DATE, date_now
from mizzen.net.duplex import Flow
from mizzen.net.limits import (
    IDLE_SWEEPS,
    MAX_BODY,
    MAX_HEADERS,
    REFUSAL_SECONDS,
    REQUEST_SWEEPS,
    UNREAD_SWEEPS,
    Dispatch,
    Peer,
    discard,
)
from mizzen.wire import frames, hpack, http2, http2requests
from mizzen.wire.message import Request, Response
from mizzen.wire.streams import (
    DataReceived,
    Event,
    GoingAway,
    HeadersReceived,
    StreamEnded,
    StreamReset,
    Terms,
    TooManyHeaders,
)

TERMS: Final = Terms(
    at_once=250, first_window=64 << 10, window=1 << 20, granted_at_once=4, header_bytes=MAX_HEADERS, nuisances=1000
)
"""As many streams as the original takes. Bodies wait in memory until they are whole: few may be big at a time."""
WRITE_LIMIT: Final = 256 << 10
"""Bytes that wait in the transport before streams wait themselves; what is in there, others cannot overtake."""
STREAM_LIMIT: Final = 64 << 10
"""Bytes of a stream that wait for its client before nothing more is made."""
HELD_BYTES: Final = 64 << 20
"""When answers of so many bytes wait, the longest not counted, further requests wait, too."""
PARTING_SECONDS: Final = 1.0
"""How long requests have to end when the server does."""
_PIECE: Final = 256 << 10
_AT_ONCE: Final = 32
"""Requests that are answered before other connections have a turn."""

_LOG = log.get("net")


class Listener(Protocol):
    """What has accepted the connection."""

    sweeps: int

    def leave(self, connection: "Http2") -> None:
        """The connection is gone."""


class _Opening:
    """A request whose body has not come to its end."""

    __slots__ = ("body", "length", "request", "since", "size")

    def __init__(self, request: Request, length: int | None, since: int) -> None:
        self.request = request
        self.length = length
        self.since = since
        self.body: list[bytes] = []
        self.size = 0


class Http2(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, dispatch: Dispatch, listener: Listener, peer: Peer, transport: asyncio.Transport) -> None:
        self._dispatch = dispatch
        self._listener = listener
        self._peer = peer
        self._transport = transport
        self._http2 = http2.Connection(is_client=False, terms=TERMS)
        self._flow = Flow()
        self._opening: dict[int, _Opening] = {}
        self._held: dict[int, Request] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._lasting: dict[int, bool] = {}
        """Answers that are streamed, and whether their client must hurry to read them."""
        self._rooms: dict[int, asyncio.Future[None]] = {}
        self._unread: dict[int, tuple[int, int]] = {}
        """Bytes that waited at the latest sweep, by stream (0: for all), and for how many sweeps they were the same."""
        self._seen: set[tuple[str, str]] = set()
        self._newest = 0
        self._since = listener.sweeps
        self._answered = 0
        self._is_due = False
        self._is_over = False
        self._lost = asyncio.Event()
        transport.set_write_buffer_limits(high=WRITE_LIMIT)
        self._flush()

    # --- asyncio.Protocol

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_over = True
        self._listener.leave(self)
        self._flow.end()
        self._stop_working()
        self._lost.set()

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        try:
            events = self._http2.receive(data)
        except frames.ProtocolError as error:
            _LOG.info("connection ended", remote=self._peer.remote, code=error.code, error=str(error))
            self._transport.write(self._http2.pull(0))
            self._is_over = True
            self._stop_working()
            asyncio.get_running_loop().call_later(REFUSAL_SECONDS, self._transport.close)
            return
        self._answered = 0
        for event in events:
            self._take(event)
        self._flush()

    def _stop_working(self) -> None:
        self._held.clear()
        self._opening.clear()
        for task in self._tasks.values():
            task.cancel()

    def pause_writing(self) -> None:
        self._flow.pause()

    def resume_writing(self) -> None:
        self._flow.resume()
        self._flush()

    # --- what the listener asks for

    def abort(self) -> None:
        """End the connection now."""
        self._transport.abort()

    async def part(self) -> None:
        """Take no more requests, end watches, and return when all else was answered, or after a while."""
        self._http2.leave()
        for number, is_hurried in self._lasting.items():
            if is_hurried:
                self._http2.send(number, (), ends=True)
                self._tasks[number].cancel()
        self._flush()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._lost.wait(), PARTING_SECONDS)

    def close_if_left(self) -> None:
        """End what the client does not go on with; what waits for its answer stays."""
        if not self._flow.blocked:  # else what is to be said of them would become ever more
            self._http2.forgive()
        now = self._listener.sweeps
        if self._is_over and now - self._since > REQUEST_SWEEPS:
            self._transport.abort()
        for number, opening in list(self._opening.items()):
            if now - opening.since >= REQUEST_SWEEPS:
                self._refuse(number, 408, "Request Timeout")
        self._give_up_unread()
        if not self._http2.is_idle and not self._is_over:
            self._since = now
        elif now - self._since >= IDLE_SWEEPS and self._http2.is_open:
            self._http2.leave()
        self._flush()

    def _give_up_unread(self) -> None:
        """Reset streams of which the client has taken nothing for long; end a connection on which it takes nothing."""
        before, self._unread = self._unread, {}
        waiting = self._http2.unsent()
        if self._flow.blocked and all(self._lasting.values()):
            waiting[0] = self._transport.get_write_buffer_size()
        for number, size in waiting.items():
            same, count = before.get(number, (0, 0))
            count = count + 1 if same == size else 0
            self._unread[number] = size, count
            if count >= UNREAD_SWEEPS and self._lasting.get(number, True):
                _LOG.info("answer left unread", remote=self._peer.remote, bytes=size)
                if number == 0:
                    self._transport.abort()
                else:
                    self._drop(number, frames.CANCEL)

    # --- requests

    def _take(self, event: Event) -> None:
        match event:
            case HeadersReceived(number, fields):
                if number > self._newest:  # else they are trailers, which mean nothing here
                    self._newest = number
                    self._begin(number, fields)
            case StreamEnded(number):
                self._complete(number)
            case DataReceived(number, data):
                self._add(number, data)
            case TooManyHeaders(number):
                self._newest = max(number, self._newest)
                self._refuse(number, 431, "Request Header Fields Too Large")
            case StreamReset(number):
                self._drop(number)
            case GoingAway():
                pass
            case _:
                assert_never(event)

    def _begin(self, number: int, fields: list[tuple[str, str]]) -> None:
        try:
            request = http2requests.request(fields, self._seen, self._peer.certificate, self._peer.remote)
            length = http2requests.content_length(request.headers)
        except http2requests.Malformed as error:
            _LOG.debug("malformed request", remote=self._peer.remote, error=str(error))
            self._drop(number, frames.PROTOCOL_ERROR)
            return
        self._opening[number] = _Opening(request, length, self._listener.sweeps)
        if length is not None and length > MAX_BODY:
            self._refuse(number, 413, "Request Entity Too Large")
        elif request.headers.get("expect", "").lower() == "100-continue":
            self._http2.begin(number, http2requests.block(Response(100), None), ends=False)

    def _add(self, number: int, data: bytes) -> None:
        opening = self._opening.get(number)
        if opening is None:
            return
        opening.body.append(data)
        opening.size += len(data)
        if opening.size > MAX_BODY:
            self._refuse(number, 413, "Request Entity Too Large")
        elif opening.length is not None and opening.size > opening.length:
            self._drop(number, frames.PROTOCOL_ERROR)

    def _complete(self, number: int) -> None:
        opening = self._opening.pop(number, None)
        if opening is None:
            return
        if opening.length is not None and opening.size != opening.length:
            self._drop(number, frames.PROTOCOL_ERROR)
            return
        request = opening.request
        request.body = b"".join(opening.body)
        if self._held or self._answered >= _AT_ONCE or self._must_wait():
            self._held[number] = request
        else:
            self._answered += 1
            self._answer(number, request)

    def _drop(self, number: int, code: int | None = None) -> None:
        """Let go of a stream; with a code the client is told."""
        self._opening.pop(number, None)
        self._held.pop(number, None)
        if code is not None:
            self._http2.reset(number, code)
        if (task := self._tasks.get(number)) is not None:
            task.cancel()

    def _refuse(self, number: int, status: int, text: str) -> None:
        """Answer a request that cannot be read, without waiting for its end."""
        self._opening.pop(number, None)
        self._write(number, Response(status, {"content-type": "text/plain"}, text.encode()))

    # --- answers

    def _must_wait(self) -> bool:
        """Whether the client takes so little that no further answer is made for it."""
        if self._flow.blocked:
            return True
        waiting = self._http2.waiting_bytes
        return waiting > HELD_BYTES and waiting - max(self._http2.unsent().values()) > HELD_BYTES

    def _answer(self, number: int, request: Request) -> None:
        if not self._http2.is_live(number):
            return
        answer = self._dispatch(request)
        if isinstance(answer, Response) and answer.stream is None and answer.upgrade is None:
            if request.method == "HEAD":
                self._write_bodiless(number, answer)
            else:
                self._write(number, answer)
            return
        task = asyncio.get_running_loop().create_task(self._finish(number, answer, request))
        task.add_done_callback(lambda _: self._finished(number, answer))
        self._tasks[number] = task

    def _finished(self, number: int, answer: Response | Awaitable[Response]) -> None:
        """Clean up, also after a task that was cancelled before it began."""
        del self._tasks[number]
        if isinstance(answer, Coroutine):
            answer.close()
        self._flush_soon()

    async def _finish(self, number: int, answer: Response | Awaitable[Response], request: Request) -> None:
        try:
            response = answer if isinstance(answer, Response) else await answer
            if response.upgrade is not None and response.status == 101:
                self._http2.reset(number, frames.HTTP_1_1_REQUIRED)
            elif request.method == "HEAD":
                await discard(response)
                self._write_bodiless(number, response)
            elif response.stream is not None:
                await self._stream(number, response)
            else:
                self._write(number, response)
        except Exception as error:
            _LOG.error("request failed", path=request.path, method=request.method, error=repr(error))
            self._http2.reset(number, frames.INTERNAL_ERROR)
            raise

    def _write(self, number: int, response: Response) -> None:
        body = response.body
        pieces = (body,) if isinstance(body, bytes) else body
        size = sum(map(len, pieces))
        self._http2.begin(number, _block(response, size), ends=not size)
        if size:
            self._http2.send(number, pieces, ends=True)

    def _write_bodiless(self, number: int, response: Response) -> None:
        """Answer HEAD: as GET would be answered, without the body."""
        body, size = response.body, None
        if "content-length" not in response.headers and response.stream is None:
            size = len(body) if isinstance(body, bytes) else sum(map(len, body))
        self._http2.begin(number, _block(response, size), ends=True)

    async def _stream(self, number: int, response: Response) -> None:
        assert response.stream is not None
        connection = self._http2
        self._lasting[number] = response.hurried
        connection.begin(number, _block(response, None), ends=False)
        self._flush_soon()
        try:
            async for chunk in response.stream:
                if not connection.is_live(number):
                    return
                if chunk:
                    connection.send(number, (chunk,), ends=False)
                    self._flush_soon()
                    if connection.waiting(number) > STREAM_LIMIT:
                        await self._taken(number)
            connection.send(number, (), ends=True)
        finally:
            del self._lasting[number]
            await discard(response)

    async def _taken(self, number: int) -> None:
        """Return when the client has taken most of what waited on a stream."""
        self._flush()
        if self._http2.waiting(number) > STREAM_LIMIT:
            self._rooms[number] = asyncio.get_running_loop().create_future()
            try:
                await self._rooms[number]
            finally:
                del self._rooms[number]

    # --- sending

    def _flush_soon(self) -> None:
        """Send what all who run now have to say, at once."""
        if not self._is_due and not self._is_over:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        """Answer some of the requests that were held back, and send what there is."""
        self._is_due = False
        for number in tuple(islice(self._held, _AT_ONCE)):
            if self._must_wait():
                break
            self._answer(number, self._held.pop(number))
        self._flush()

    def _flush(self) -> None:
        if self._is_over:
            return
        while self._http2.has_output and not self._flow.blocked:
            self._transport.write(self._http2.pull(_PIECE))
        for number, room in self._rooms.items():
            if self._http2.waiting(number) <= STREAM_LIMIT and not room.done():
                room.set_result(None)
        if self._held and not self._must_wait():
            self._flush_soon()
        if self._http2.is_idle and not self._http2.is_open and not self._flow.blocked:
            self._is_over = True
            self._transport.close()


def _block(response: Response, size: int | None) -> bytes:
    """The headers of a final answer, which is dated unless whoever made it has done so."""
    block = http2requests.block(response, size)
    return block if DATE in response.headers else block + _date(date_now())


@lru_cache(maxsize=4)
def _date(date: bytes) -> bytes:
    return hpack.encode_one(DATE, date.decode("ascii"))
