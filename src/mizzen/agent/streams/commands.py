"""exec and attach: a client's session joined to a command in a container."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal

from mizzen.agent.runtime.base import Exec, RuntimeFailure
from mizzen.agent.streams.inbox import PROBE_SECONDS, Inbox
from mizzen.agent.streams.sessions import Input, Session, SpdySession, Wanted, WebSocketSession
from mizzen.base import log
from mizzen.wire import remotecommand, websocket
from mizzen.wire.message import Duplex, Request, Response
from mizzen.wire.remotecommand import STDERR, STDOUT

Begin = Callable[[], Awaitable[Exec]]
PARTING_SECONDS: Final = 1.0
"""How long a client may take to close after it was told how its command ended."""
LEAVING_SECONDS: Final = 5.0
"""How long a command may take to read what a client has sent that is gone, and to end of it."""
_log = log.get("streams")
_CHANNELS: tuple[tuple[Literal["stdout", "stderr"], int], ...] = (("stdout", STDOUT), ("stderr", STDERR))


def upgraded(request: Request, begin: Begin, *, attach: bool) -> Response:
    """The answer that turns a request into a remote command; 400 when the client asks for no known protocol."""
    wanted = wanted_of(request)
    if websocket.is_upgrade(request.headers):
        offered = websocket.offered(request.headers) or ("",)
        chosen = next((one for one in remotecommand.WEBSOCKET_PROTOCOLS if one in offered), None)
        if chosen is None:
            return _refused(f"no common subprotocol among {', '.join(offered)}")

        async def over_websocket(duplex: Duplex) -> None:
            await converse(WebSocketSession(duplex, chosen), begin, wanted, attach=attach)

        return Response(101, websocket.accept_headers(request.headers, chosen), upgrade=over_websocket)
    if request.headers.get("upgrade", "").lower() == "spdy/3.1":
        asked = [one.strip() for one in request.headers.get(remotecommand.SPDY_HEADER, "").split(",")]
        protocol = next((one for one in remotecommand.SPDY_PROTOCOLS if one in asked), "channel.k8s.io")

        async def over_spdy(duplex: Duplex) -> None:
            await converse(SpdySession(duplex, protocol, wanted), begin, wanted, attach=attach)

        headers = {"upgrade": "SPDY/3.1", "connection": "Upgrade", "X-Stream-Protocol-Version": protocol}
        return Response(101, headers, upgrade=over_spdy)
    return _refused("unable to upgrade: this needs a WebSocket or SPDY/3.1 connection")


def wanted_of(request: Request) -> Wanted:
    """Which channels the query asks for; kubectl and the API say `stdin`, nodes say `input`."""

    def asks(*names: str) -> bool:
        return any(request.parameter(name).lower() in {"true", "1"} for name in names)

    return Wanted(
        stdin=asks("stdin", "input"), stdout=asks("stdout", "output"), stderr=asks("stderr", "error"), tty=asks("tty")
    )


async def converse(session: Session, begin: Begin, wanted: Wanted, *, attach: bool) -> None:
    """Join the session and the command until either ends; the command ends with its client, an attached one goes on.

    One that reads input without a terminal may first take what its client has sent, and the end of it: some clients
    send a file to `tar` and leave.
    """
    inbox = Inbox()
    sizes: list[tuple[int, int]] = []
    command: Exec | None = None

    def resize(columns: int, rows: int) -> None:
        sizes.append((columns, rows))
        if command is not None:
            command.resize(columns, rows)

    receiving = asyncio.create_task(_received(session, inbox, Input(inbox.put, inbox.end, resize)))
    try:
        await session.ready()
        command = await begin()
        for size in sizes:
            command.resize(*size)
        patience = LEAVING_SECONDS if wanted.stdin and not wanted.tty and not attach else 0.0
        code = await _pumped(session, command, wanted, inbox, receiving, patience)
        if code is None:
            return
        await session.finish(remotecommand.exit_status(0 if attach else code))
    except RuntimeFailure as failure:
        await session.finish(remotecommand.failure_status(failure.message))
    finally:
        if command is not None:
            await command.close()
        await _parted(inbox, receiving)


async def _received(session: Session, inbox: Inbox, into: Input) -> None:
    """Take what the client sends until it has ended; of one that is gone, what the command takes without delay."""
    receiving = asyncio.create_task(session.receive(into))
    lost = asyncio.create_task(session.lost())
    try:
        while not receiving.done() and not lost.done():
            await asyncio.wait({receiving, lost}, timeout=PROBE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if inbox.is_full:
                await session.ping()
        if not receiving.done():
            await asyncio.wait({receiving}, timeout=LEAVING_SECONDS)
        if receiving.done():
            receiving.result()
    except ConnectionError as error:
        _log.debug("client lost", error=str(error))
    finally:
        for task in (receiving, lost):
            task.cancel()
        await asyncio.gather(receiving, lost, return_exceptions=True)


async def _parted(inbox: Inbox, receiving: "asyncio.Task[None]") -> None:
    """Let the client close first: closing on data that it still sends would destroy the answer on its way."""
    inbox.discard()
    await asyncio.wait({receiving}, timeout=PARTING_SECONDS)
    receiving.cancel()
    await asyncio.gather(receiving, return_exceptions=True)


async def _pumped(
    session: Session, command: Exec, wanted: Wanted, inbox: Inbox, receiving: "asyncio.Task[None]", patience: float
) -> int | None:
    """Move bytes until the command has ended and its output is sent; None when the client left first.

    A command whose client has left has `patience` seconds to end of what it was sent.
    """
    writing = asyncio.create_task(_feed(command, inbox)) if wanted.stdin else None
    outputs = [
        asyncio.create_task(_forward(session, command, name, channel if getattr(wanted, name) else None))
        for name, channel in _CHANNELS
    ]
    ending = asyncio.ensure_future(_ended(command, outputs))
    try:
        await asyncio.wait({ending, receiving}, return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            return ending.result()
        if patience:
            inbox.end()
            await asyncio.wait({ending}, timeout=patience)
        return None
    finally:
        tasks = [task for task in (writing, ending, *outputs) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _ended(command: Exec, outputs: "list[asyncio.Task[None]]") -> int:
    await asyncio.gather(*outputs)
    return await command.wait()


async def _feed(command: Exec, inbox: Inbox) -> None:
    while data := await inbox.get():
        try:
            await command.write(data)
        except OSError:
            inbox.discard()  # nobody reads it; the client shall not wait for that
            return
    command.close_stdin()


async def _forward(session: Session, command: Exec, name: Literal["stdout", "stderr"], channel: int | None) -> None:
    """Send one output. What nobody asked for, or takes any more, is read all the same: the command would get stuck."""
    while data := await command.read(name):
        if channel is not None:
            try:
                await session.send(channel, data)
            except ConnectionError:
                channel = None


def _refused(text: str) -> Response:
    return Response(400, {"content-type": "text/plain"}, text.encode() + b"\n")
