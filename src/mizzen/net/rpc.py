"""gRPC calls, bytes in and bytes out: runtimes and plugins are spoken to this way, over a unix socket."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import TYPE_CHECKING

from mizzen.wire import grpc
from mizzen.wire.hpack import Headers

if TYPE_CHECKING:
    from mizzen.net.rpclink import Link

_RECONNECT = 0.25


class Refused(Exception):
    """A call that failed; `code` is gRPC's name of the reason, such as `NOT_FOUND`."""

    def __init__(self, code: str, message: str) -> None:
        shown = "".join(word.capitalize() for word in code.split("_"))
        super().__init__(f"rpc error: code = {shown} desc = {message}")
        self.code = code
        self.message = message


class Untouched(Refused):
    """A call that the peer has not begun to work on."""


class Channel:
    """One connection; it is made at the first call, and again after it was lost. With a port `socket` is a host."""

    def __init__(self, socket: str, port: int = 0) -> None:
        self.socket = socket
        self._port = port
        self._where = f"[{socket}]:{port}" if ":" in socket else f"{socket}:{port}"
        self._link: Link | None = None
        self._connecting = asyncio.Lock()

    async def call(self, method: str, request: bytes, *, patience: float, insist: bool = False) -> bytes:
        """The answer to a call such as `/csi.v1.Node/NodeGetInfo`; `insist` waits for a peer that is not there yet.

        Raises Refused.
        """
        answers: list[bytes] = []
        try:
            async with asyncio.timeout(patience):
                async for one in self._answers(method, request, patience, insist=insist):
                    answers.append(one)
        except TimeoutError:
            raise Refused("DEADLINE_EXCEEDED", "context deadline exceeded") from None
        if len(answers) != 1:
            raise Refused("INTERNAL", f"cardinality violation: {len(answers)} answers where one was expected")
        return answers[0]

    async def stream(self, method: str, request: bytes) -> AsyncIterator[bytes]:
        """The answers to a call that has many. Raises Refused, also when the peer goes."""
        async with contextlib.aclosing(self._answers(method, request, None, insist=False)) as answers:
            async for one in answers:
                yield one

    async def close(self) -> None:
        """Let go of the connection."""
        if self._link is not None:
            self._link.close()

    async def _answers(
        self, method: str, request: bytes, timeout: float | None, *, insist: bool
    ) -> AsyncGenerator[bytes, None]:
        body = grpc.framed(request)
        headers = grpc.request(method, self._where if self._port else "localhost", timeout)
        is_repeated = False
        while True:
            call = await self._sent(headers, body, insist=insist)
            try:
                while (message := await call.next()) is not None:
                    yield message
                return
            except Untouched as error:  # it may be sent once more: nobody has done anything for it
                if is_repeated:
                    raise Refused(error.code, error.message) from error
                is_repeated = True
            finally:
                call.give_up()

    async def _sent(self, headers: Headers, body: bytes, *, insist: bool) -> "_Call":
        """Raises Refused."""
        while True:
            try:
                link = await self._connected()
                await link.room()
                if link.is_open:
                    return _Call(link, headers, body)
            except OSError as error:
                if not insist:
                    raise Refused("UNAVAILABLE", self._words(error)) from error
                await asyncio.sleep(_RECONNECT)

    async def _connected(self) -> "Link":
        """Raises OSError."""
        from mizzen.net.rpclink import Link  # lazily: many nodes need none of it

        async with self._connecting:
            if self._link is None or not self._link.is_open:
                loop = asyncio.get_running_loop()
                if self._port:
                    _, self._link = await loop.create_connection(Link, self.socket, self._port)
                else:
                    _, self._link = await loop.create_unix_connection(Link, self.socket)
            return self._link

    def _words(self, error: OSError) -> str:
        where = f"tcp {self._where}" if self._port else f"unix {self.socket}"
        why = "connection refused" if isinstance(error, ConnectionRefusedError) else (error.strerror or str(error))
        return f'connection error: desc = "transport: Error while dialing: dial {where}: connect: {why.lower()}"'


class _Call:
    """One call under way; its answers, and then its end."""

    def __init__(self, link: "Link", headers: Headers, body: bytes) -> None:
        """Send it. Raises ConnectionError."""
        self._link = link
        self._fields: dict[str, str] = {}
        self._messages = grpc.Messages()
        self._arrived: asyncio.Queue[bytes | Refused | None] = asyncio.Queue()
        self._number = link.open(headers, body, self)

    async def next(self) -> bytes | None:
        """The next answer, or None after the last. Raises Refused."""
        one = await self._arrived.get()
        if isinstance(one, Refused):
            raise one
        return one

    def give_up(self) -> None:
        """Tell the other side that nobody waits any more, if that is so."""
        self._link.give_up(self._number)

    def headers(self, fields: Mapping[str, str]) -> None:
        self._fields |= fields

    def data(self, chunk: bytes) -> None:
        try:
            for one in self._messages.feed(chunk):
                self._arrived.put_nowait(one)
        except grpc.Malformed as error:
            self._arrived.put_nowait(Refused(error.code, str(error)))

    def ended(self) -> None:
        code, message = grpc.outcome(self._fields)
        self._arrived.put_nowait(None if code == "OK" else Refused(code, message))

    def broken(self, code: str, why: str, *, untouched: bool) -> None:
        self._arrived.put_nowait((Untouched if untouched else Refused)(code, why))
