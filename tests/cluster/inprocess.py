"""A whole API server in the test's own process: everything but sockets, over the memory store."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from mizzen.base.clock import SystemClock
from mizzen.cluster.bootstrap import reconcile as bootstrap
from mizzen.cluster.bootstrap.objects import Facts
from mizzen.cluster.pki import Pki
from mizzen.machinery.identity import AUTHENTICATED, MASTERS, Identity
from mizzen.server.seams import Reader, Writer
from mizzen.server.security import Security, Settings
from mizzen.server.server import Server
from mizzen.store.memory import MemoryStore
from mizzen.wire.message import Request, Response

ADMIN = Identity("admin", groups=(MASTERS, AUTHENTICATED))
FACTS = Facts("10.96.0.0/16", "10.96.0.1", ("192.0.2.1",), 6443, "the CA")


@dataclass(frozen=True)
class Api:
    """Sends requests to the server as the administrator."""

    server: Server

    async def send(self, request: Request) -> Response:
        request.user = ADMIN
        request.remote = "127.0.0.1"
        return await self.server.handle(request)

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and decoded answer."""
        path, _, query = path.partition("?")
        pairs = [tuple(part.split("=", 1)) for part in query.split("&") if part]
        sent = {"content-type": "application/json"} | {key.replace("_", "-"): value for key, value in headers.items()}
        data = b"" if body is None else orjson.dumps(body)
        response = await self.send(Request(method, path, pairs, sent, data))  # type: ignore[arg-type]
        text = content(response)
        return response.status, orjson.loads(text) if text[:1] in (b"{", b"[") else text.decode()


def content(response: Response) -> bytes:
    """The body in one piece."""
    return response.body if isinstance(response.body, bytes) else b"".join(response.body)


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Api]:
    """A server with its admission and authorization, holding what a new cluster holds; keys go to `directory`."""
    clock, rng, store = SystemClock(), random.Random(1), MemoryStore()
    key = Pki(directory, clock.now()).service_account_key()

    def compose(reader: Reader, writer: Writer) -> Any:
        settings = Settings(signing_key=key, service_ranges=(FACTS.service_range,))
        return Security(settings, reader, writer, clock, rng).config()

    server = Server(store, clock, compose)
    await server.start()
    try:
        await bootstrap.reconcile(FACTS, server.reader, server.writer)
        yield Api(server)
    finally:
        await server.close()
        await store.close()
