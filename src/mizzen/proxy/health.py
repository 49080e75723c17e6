"""Health checks of Services with externalTrafficPolicy Local: load balancers ask which nodes have endpoints."""

import asyncio
import contextlib
from collections.abc import Mapping

import orjson

from mizzen.base import log
from mizzen.proxy.rules import Health

_log = log.get("proxy")


def response(health: Health) -> bytes:
    """The HTTP answer to any request on a Service's health check port."""
    body = orjson.dumps(
        {
            "service": {"namespace": health.namespace, "name": health.name},
            "localEndpoints": health.endpoints,
            "serviceProxyHealthy": True,
        }
    )
    status = "200 OK" if health.endpoints else "503 Service Unavailable"
    fields = (
        "Content-Type: application/json",
        "X-Content-Type-Options: nosniff",
        f"X-Load-Balancing-Endpoint-Weight: {health.endpoints}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    return "\r\n".join((f"HTTP/1.1 {status}", *fields, "", "")).encode() + body


class HealthChecks:
    """One small listener for each health check port."""

    def __init__(self) -> None:
        self._listeners: dict[int, asyncio.Server] = {}
        self._health: Mapping[int, Health] = {}

    async def apply(self, health: Mapping[int, Health]) -> None:
        """Listen on these ports and no other."""
        self._health = health
        for port in self._listeners.keys() - health.keys():
            self._listeners.pop(port).close()
        for port in health.keys() - self._listeners.keys():
            try:
                self._listeners[port] = await asyncio.start_server(self._answer, "0.0.0.0", port)
            except OSError as error:
                _log.warning("health check port is taken", port=port, error=str(error))

    def close(self) -> None:
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            health = self._health.get(writer.get_extra_info("sockname")[1])
            if health is not None:
                writer.write(response(health))
                await writer.drain()
        writer.close()
