"""Watches over WebSocket, as browsers and Java clients ask for them: each event is a message of its own.

Ref: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import Final

from mizzen.wire import websocket
from mizzen.wire.message import Duplex, Request, Response
from mizzen.wire.websocket import Opcode, ProtocolError

_LENGTH: Final = 4
"""Bytes before each frame of a watch in protobuf, which tell how long it is."""
_TOKEN: Final = "base64url.bearer.authorization.k8s.io."
_PROTOCOL_ERROR: Final = 1002


def respond(request: Request, stream: AsyncGenerator[bytes, None], *, binary: bool) -> Response:
    """The answer that turns a request for an upgrade into messages; `stream` are the pieces of a watch's answer."""
    offered = [name for name in websocket.offered(request.headers) if not name.startswith(_TOKEN)]
    headers = websocket.accept_headers(request.headers, offered[0] if offered else "")

    async def upgraded(client: Duplex) -> None:
        await _run(client, stream, binary=binary)

    return Response(101, headers, upgrade=upgraded)


async def _run(client: Duplex, stream: AsyncGenerator[bytes, None], *, binary: bool) -> None:
    """Send events until the watch or the client ends."""
    sending = asyncio.ensure_future(_send(client, stream, binary=binary))
    listening = asyncio.ensure_future(_listen(client))
    try:
        await asyncio.wait((sending, listening), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, listening):
            task.cancel()
        await asyncio.gather(sending, listening, return_exceptions=True)
        await stream.aclose()
        client.close()


async def _send(client: Duplex, stream: AsyncGenerator[bytes, None], *, binary: bool) -> None:
    async for piece in stream:
        if binary:
            frames = [websocket.frame(Opcode.BINARY, event) for event in split_frames(piece)]
        else:
            frames = [websocket.frame(Opcode.TEXT, line) for line in piece.splitlines(keepends=True)]
        await client.write(b"".join(frames))
    await client.write(websocket.close_frame())


def split_frames(piece: bytes) -> Iterator[bytes]:
    """The events of a piece in protobuf, without their lengths."""
    at = 0
    while at < len(piece):
        end = at + _LENGTH + int.from_bytes(piece[at : at + _LENGTH], "big")
        yield piece[at + _LENGTH : end]
        at = end


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
