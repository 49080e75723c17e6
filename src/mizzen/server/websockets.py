"""Watches and logs over WebSocket, as browsers and Java clients ask for them.

Ref: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import asyncio
import base64
from collections.abc import AsyncGenerator, Iterator
from typing import Final

from mizzen.machinery.errors import Errors
from mizzen.wire import websocket
from mizzen.wire.message import Duplex, Request, Response
from mizzen.wire.websocket import Opcode, ProtocolError

_LENGTH: Final = 4
"""Bytes before each frame of a watch in protobuf, which tell how long it is."""
_PROTOCOL_ERROR: Final = 1002
_BINARY: Final = "binary.k8s.io"
_BASE64: Final = "base64.binary.k8s.io"

Frames = AsyncGenerator[bytes, None]


def watch(request: Request, stream: AsyncGenerator[bytes, None], *, binary: bool) -> Response:
    """A watch as messages, one for each event; `stream` are the pieces of its answer over HTTP."""
    offered = websocket.offered(request.headers)
    return _upgraded(request, offered[0] if offered else "", _events(stream, binary=binary))


def log(request: Request, answer: Response) -> Response:
    """A log as messages, the first of them empty. Raises ApiError 400 for subprotocols that none knows."""
    offered = websocket.offered(request.headers)
    protocol = next((name for name in offered if name in (_BINARY, _BASE64)), "")
    if offered and not protocol:
        raise Errors.bad_request(f"requested protocol(s) are not supported: {list(offered)}; supports {_BINARY}")
    return _upgraded(request, protocol, _pieces(answer, coded=protocol == _BASE64))


def _upgraded(request: Request, protocol: str, frames: Frames) -> Response:
    async def upgraded(client: Duplex) -> None:
        await _run(client, frames)

    return Response(101, websocket.accept_headers(request.headers, protocol), upgrade=upgraded)


async def _events(stream: AsyncGenerator[bytes, None], *, binary: bool) -> Frames:
    try:
        async for piece in stream:
            if binary:
                yield b"".join(websocket.frame(Opcode.BINARY, event) for event in _split(piece))
            else:
                yield b"".join(websocket.frame(Opcode.TEXT, line) for line in piece.splitlines(keepends=True))
    finally:
        await stream.aclose()


def _split(piece: bytes) -> Iterator[bytes]:
    """The events of a piece in protobuf, without their lengths."""
    at = 0
    while at < len(piece):
        end = at + _LENGTH + int.from_bytes(piece[at : at + _LENGTH], "big")
        yield piece[at + _LENGTH : end]
        at = end


async def _pieces(answer: Response, *, coded: bool) -> Frames:
    def framed(data: bytes) -> bytes:
        return websocket.frame(Opcode.TEXT, base64.b64encode(data)) if coded else websocket.frame(Opcode.BINARY, data)

    yield framed(b"")
    whole = answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)
    if whole:
        yield framed(whole)
    if answer.stream is None:
        return
    try:
        async for piece in answer.stream:
            yield framed(piece)
    finally:
        close = getattr(answer.stream, "aclose", None)
        if close is not None:
            await close()


async def _run(client: Duplex, frames: Frames) -> None:
    """Send frames until they or the client end."""
    sending = asyncio.ensure_future(_send(client, frames))
    listening = asyncio.ensure_future(_listen(client))
    try:
        await asyncio.wait((sending, listening), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, listening):
            task.cancel()
        await asyncio.gather(sending, listening, return_exceptions=True)
        await frames.aclose()
        client.close()


async def _send(client: Duplex, frames: Frames) -> None:
    async for some in frames:
        await client.write(some)
    await client.write(websocket.close_frame())


async def _listen(client: Duplex) -> None:
    """Answer pings until the client says goodbye, is gone or breaks the protocol; what else it says is not heard."""
    reader = websocket.Reader()
    while data := await client.read():
        try:
            for message in reader.feed(data):
                if message.opcode is Opcode.PING:
                    await client.write(websocket.frame(Opcode.PONG, message.data))
                elif message.opcode is Opcode.CLOSE:
                    await client.write(websocket.close_frame())
                    return
        except ProtocolError as error:
            await client.write(websocket.close_frame(_PROTOCOL_ERROR, str(error)))
            return
