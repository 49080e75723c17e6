"""A server in this process over the memory store, and a caller for it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from mizzen.base.clock import VirtualClock
from mizzen.server.server import Server
from mizzen.store.memory import MemoryStore
from mizzen.wire.message import Request, Response


@dataclass
class Caller:
    """Sends requests as the administrator; bodies and answers are JSON."""

    server: Server
    clock: VirtualClock

    async def call(
        self, method: str, path: str, body: Any = None, type: str = "application/json", **headers: str
    ) -> tuple[int, Any]:
        """The status and the decoded answer."""
        response = await self.raw(method, path, body, type, **headers)
        data = response.body if isinstance(response.body, bytes) else b"".join(response.body)
        try:
            return response.status, orjson.loads(data)
        except orjson.JSONDecodeError:
            return response.status, data.decode()

    async def raw(
        self, method: str, path: str, body: Any = None, type: str = "application/json", **headers: str
    ) -> Response:
        """The response as it is."""
        path, _, query = path.partition("?")
        pairs = [tuple(part.split("=", 1)) if "=" in part else (part, "") for part in query.split("&") if part]
        data = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        sent = {"content-type": type, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return await self.server.handle(Request(method, path, pairs, sent, data))  # type: ignore[arg-type]

    async def events(self, path: str, count: int) -> list[Any]:
        """The first events of a watch."""
        response = await self.raw("GET", path)
        assert response.status == 200, response.body
        assert response.stream is not None
        found: list[Any] = []
        async for chunk in response.stream:
            found += [orjson.loads(line) for line in chunk.splitlines()]
            if len(found) >= count:
                break
        await response.stream.aclose()  # type: ignore[attr-defined]
        return found


@pytest.fixture
async def api() -> AsyncIterator[Caller]:
    clock = VirtualClock()
    store = MemoryStore()
    server = Server(store, clock)
    await server.start()
    yield Caller(server, clock)
    await server.close()
    await store.close()
