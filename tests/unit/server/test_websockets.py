"""Watches and logs over WebSocket: events are messages, in JSON or protobuf, until one side ends it."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from tests.fakes.duplex import MemoryDuplex, connected
from tests.fakes.streaming import masked
from tests.unit.server.conftest import Caller

from mizzen.machinery.errors import ApiError
from mizzen.server import carry, websockets
from mizzen.wire import websocket
from mizzen.wire.message import Request, Response
from mizzen.wire.websocket import Opcode

MAPS = "/api/v1/namespaces/default/configmaps"
UPGRADE = {"connection": "Upgrade", "upgrade": "websocket", "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ=="}
PROTOBUF = "application/vnd.kubernetes.protobuf"


class Client:
    """Reads what the server sends as messages."""

    def __init__(self, wire: MemoryDuplex) -> None:
        self.wire = wire
        self._buffer = b""

    async def message(self) -> tuple[int, bytes]:
        """The next opcode and payload; (-1, b"") at the end."""
        while (found := self._frame()) is None:
            data = await self.wire.read()
            if not data:
                return -1, b""
            self._buffer += data
        return found

    def _frame(self) -> tuple[int, bytes] | None:
        data = self._buffer
        if len(data) < 2:
            return None
        size, at = data[1], 2
        if size == 126:
            size, at = int.from_bytes(data[2:4], "big"), 4
        if len(data) < at + size:
            return None
        self._buffer = data[at + size :]
        return data[0] & 0x0F, data[at : at + size]


@asynccontextmanager
async def watching(api: Caller, query: str, **headers: str) -> AsyncIterator[tuple[Client, Any, asyncio.Task[None]]]:
    response = await api.raw("GET", f"{MAPS}?watch=1{query}", **UPGRADE, **headers)
    assert response.status == 101, response.body
    assert response.upgrade is not None
    ours, theirs = connected()
    task = asyncio.ensure_future(response.upgrade(theirs))  # type: ignore[arg-type]
    yield Client(ours), response.headers, task
    ours.close()
    await task


async def test_every_event_is_a_text_message_and_pings_are_answered(api: Caller) -> None:
    await api.call("POST", MAPS, {"metadata": {"name": "a"}})
    await api.call("POST", MAPS, {"metadata": {"name": "b"}, "data": {"k": "x" * 300}})
    token = base64.urlsafe_b64encode(b"unused").decode().rstrip("=")
    protocols = f"base64url.bearer.authorization.k8s.io.{token}, base64.binary.k8s.io"
    async with watching(api, "", authorization="Bearer admin", sec_websocket_protocol=protocols) as (
        client,
        headers,
        _,
    ):
        assert headers["sec-websocket-protocol"] == "base64.binary.k8s.io"
        assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        for name in ("a", "b"):
            opcode, data = await client.message()
            event = orjson.loads(data)
            assert (opcode, event["type"], event["object"]["metadata"]["name"]) == (Opcode.TEXT, "ADDED", name)
        await api.call("DELETE", f"{MAPS}/a")
        assert orjson.loads((await client.message())[1])["type"] == "DELETED"
        await client.wire.write(masked(Opcode.PING, b"there?"))
        assert await client.message() == (Opcode.PONG, b"there?")
        await client.wire.write(masked(Opcode.CLOSE, b"\x03\xe8"))
        assert await client.message() == (Opcode.CLOSE, b"\x03\xe8")


async def test_protobuf_comes_in_binary_messages_without_lengths(api: Caller) -> None:
    await api.call("POST", MAPS, {"metadata": {"name": "a"}})
    async with watching(api, "", accept=f"{PROTOBUF};stream=watch") as (client, _, _):
        opcode, data = await client.message()
        assert (opcode, data[:7], b"k8s\x00" in data) == (Opcode.BINARY, b"\x0a\x05ADDED", True)


async def test_a_watch_that_ends_says_goodbye(api: Caller) -> None:
    async with watching(api, "&timeoutSeconds=1") as (client, _, task):
        for _ in range(10):
            await asyncio.sleep(0)
        await api.clock.advance(2)
        assert await client.message() == (Opcode.CLOSE, b"\x03\xe8")
        await task


async def test_a_client_that_breaks_the_protocol_or_goes_ends_the_watch(api: Caller) -> None:
    async with watching(api, "") as (client, _, task):
        await client.wire.write(websocket.frame(Opcode.TEXT, b"not masked"))
        opcode, data = await client.message()
        assert (opcode, data[:2]) == (Opcode.CLOSE, b"\x03\xea")
        await task
    async with watching(api, "") as (client, _, task):
        client.wire.close()
        await task


async def test_a_watch_that_is_refused_is_refused_before_the_upgrade(api: Caller) -> None:
    response = await api.raw("GET", f"{MAPS}?watch=1&labelSelector=a==b==c", **UPGRADE)
    assert (response.status, response.upgrade) == (400, None)


@pytest.mark.parametrize("path", [f"{MAPS}/kube-root", MAPS])
async def test_what_is_no_watch_is_not_upgraded(api: Caller, path: str) -> None:
    assert (await api.raw("GET", path, **UPGRADE)).upgrade is None


async def told(query: Request, answer: Response) -> tuple[str, list[tuple[int, bytes]]]:
    """The subprotocol and the messages of a log."""
    response = websockets.log(query, answer)
    assert response.upgrade is not None
    ours, theirs = connected()
    await response.upgrade(theirs)
    client, found = Client(ours), []
    while (message := await client.message())[0] != -1:
        found.append(message)
    return response.headers.get("sec-websocket-protocol", ""), found


async def stream() -> AsyncIterator[bytes]:
    yield b"one\n"
    yield b"two\n"


@pytest.mark.parametrize(
    ("offered", "chosen", "messages"),
    [
        ("", "", [(Opcode.BINARY, b""), (Opcode.BINARY, b"one\n"), (Opcode.BINARY, b"two\n")]),
        (
            "x, binary.k8s.io",
            "binary.k8s.io",
            [(Opcode.BINARY, b""), (Opcode.BINARY, b"one\n"), (Opcode.BINARY, b"two\n")],
        ),
        (
            "base64.binary.k8s.io",
            "base64.binary.k8s.io",
            [(Opcode.TEXT, b""), (Opcode.TEXT, b"b25lCg=="), (Opcode.TEXT, b"dHdvCg==")],
        ),
    ],
)
async def test_a_log_comes_in_messages_as_the_client_wants_them(
    offered: str, chosen: str, messages: list[tuple[int, bytes]]
) -> None:
    headers = {"sec-websocket-protocol": offered, "sec-websocket-key": "x"}
    protocol, found = await told(Request("GET", "/log", headers=headers), Response(200, stream=stream()))
    assert (protocol, found) == (chosen, [*messages, (Opcode.CLOSE, b"\x03\xe8")])


async def test_a_log_that_comes_whole_is_one_message() -> None:
    _, found = await told(Request("GET", "/log"), Response(200, body=b"all of it"))
    assert found[:2] == [(Opcode.BINARY, b""), (Opcode.BINARY, b"all of it")]


def test_a_log_in_an_unknown_subprotocol_is_refused() -> None:
    with pytest.raises(ApiError, match="not supported"):
        websockets.log(Request("GET", "/log", headers={"sec-websocket-protocol": "x"}), Response(200))


TOKEN = websocket.TOKEN_PREFIX + "c2VjcmV0"


@pytest.mark.parametrize(("offered", "left"), [((TOKEN, "a", "b"), "a, b"), ((TOKEN,), None), (("a",), "a")])
def test_the_token_of_a_client_is_not_handed_on(offered: tuple[str, ...], left: str | None) -> None:
    headers = {websocket.PROTOCOLS: ", ".join(offered), "authorization": "Bearer secret", "te": "trailers", "x": "y"}
    assert carry.handed_on(headers) == {"x": "y", **({websocket.PROTOCOLS: left} if left else {})}
