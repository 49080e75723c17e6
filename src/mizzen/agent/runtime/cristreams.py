"""exec and attach at a CRI runtime: a session with its streaming server, over SPDY/3.1.

The runtime answers a request with a URL; the streams of the command are SPDY streams of one connection to it.
"""

import asyncio
import contextlib
from typing import Literal
from urllib.parse import urlsplit

import orjson

from mizzen.agent.http import Dial
from mizzen.agent.runtime.base import RuntimeFailure
from mizzen.wire import spdy

_PROTOCOL = "v4.channel.k8s.io"
_BACKLOG = 64
_ERROR, _STDIN, _STDOUT, _STDERR, _RESIZE = 1, 3, 5, 7, 9
"""The numbers of the streams; a client's are odd."""
_PATIENCE = 30.0


async def connect(url: str, *, tty: bool, stdin: bool, dial: Dial | None = None) -> "RemoteExec":
    """Open the session behind a URL. Raises RuntimeFailure."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(_PATIENCE):
            if dial is None:
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            else:
                reader, writer = await asyncio.open_connection(sock=await dial(parts.hostname or "", parts.port or 80))
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            writer.write(
                f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
                f"X-Stream-Protocol-Version: {_PROTOCOL}\r\nContent-Length: 0\r\n\r\n".encode()
            )
            status = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[0].split()
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        raise RuntimeFailure("ExecFailed", f"cannot reach the runtime's streams at {url}: {error}") from error
    if len(status) < 2 or status[1] != b"101":
        writer.close()
        raise RuntimeFailure("ExecFailed", f"the runtime refuses a stream: {b' '.join(status[1:]).decode()}")
    return RemoteExec(reader, writer, tty=tty, stdin=stdin)


class RemoteExec:
    """A command that runs, or a container that is attached to, at the other end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, tty: bool, stdin: bool) -> None:
        self._reader = reader
        self._writer = writer
        self._connection = spdy.Connection()
        self._queues: dict[int, asyncio.Queue[bytes]] = {
            number: asyncio.Queue(_BACKLOG) for number in (_STDOUT, _STDERR)
        }
        self._has_stdin = stdin
        self._tty = tty
        self._status = bytearray()
        self._open(_ERROR, "error")
        if stdin:
            self._open(_STDIN, "stdin")
        self._open(_STDOUT, "stdout")
        if tty:
            self._open(_RESIZE, "resize")
        else:
            self._open(_STDERR, "stderr")
        self._pump = asyncio.ensure_future(self._receive())

    def _open(self, number: int, kind: str) -> None:
        self._writer.write(self._connection.open(number, {"streamtype": kind}))

    async def read(self, stream: Literal["stdout", "stderr"]) -> bytes:
        if stream == "stderr" and self._tty:
            return b""
        queue = self._queues[_STDOUT if stream == "stdout" else _STDERR]
        if self._pump.done() and queue.empty():
            return b""
        return await queue.get()

    async def write(self, data: bytes) -> None:
        if not self._has_stdin:
            return
        self._writer.write(spdy.data(_STDIN, data))
        try:
            await self._writer.drain()
        except ConnectionError as error:
            raise BrokenPipeError from error

    def close_stdin(self) -> None:
        if self._has_stdin and not self._writer.is_closing():
            self._has_stdin = False
            self._writer.write(spdy.data(_STDIN, b"", end=True))

    def resize(self, columns: int, rows: int) -> None:
        if self._tty and not self._writer.is_closing():
            self._writer.write(spdy.data(_RESIZE, orjson.dumps({"Width": columns, "Height": rows})))

    async def wait(self) -> int:
        await asyncio.wait({self._pump})
        return exit_code(bytes(self._status))

    async def close(self) -> None:
        self._pump.cancel()
        await asyncio.wait({self._pump})
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), 1)

    async def _receive(self) -> None:
        ended: set[int] = set()
        expected = {_ERROR, _STDOUT} if self._tty else {_ERROR, _STDOUT, _STDERR}
        try:
            while not expected <= ended and (chunk := await self._reader.read(65536)):
                for event in self._connection.feed(chunk):
                    match event:
                        case spdy.DataReceived(number, data, last):
                            await self._take(number, data)
                            ended |= {number} if last else set()
                        case spdy.StreamReset(number):
                            ended.add(number)
                        case spdy.Pinged(answer):
                            self._writer.write(answer)
        except (OSError, spdy.ProtocolError):
            return  # the command has ended, or its connection; `wait` says how
        finally:
            for queue in self._queues.values():
                with contextlib.suppress(asyncio.QueueFull):  # then the reader sees the end after what is left
                    queue.put_nowait(b"")

    async def _take(self, number: int, data: bytes) -> None:
        if number == _ERROR:
            self._status += data
        elif data and number in self._queues:
            await self._queues[number].put(data)


def exit_code(status: bytes) -> int:
    """The exit code in the Status on the error stream; 0 when there is nothing to say, 1 when it says no number."""
    if not status:
        return 0
    try:
        said = orjson.loads(status)
        if said.get("status") == "Success":
            return 0
        causes = (said.get("details") or {}).get("causes") or ()
        return next(int(one["message"]) for one in causes if one.get("reason") == "ExitCode")
    except (orjson.JSONDecodeError, AttributeError, ValueError, StopIteration):
        return 1
