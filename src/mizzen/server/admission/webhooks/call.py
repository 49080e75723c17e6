"""How a webhook is reached: by URL, or by Service at one of its endpoints, over TLS that its caBundle verifies.

The server is not part of the pod network's DNS, so the Service's name is used for the certificate alone.
"""

import asyncio
import base64
import ssl
from typing import Final, Protocol
from urllib.parse import urlsplit

import orjson

from mizzen.machinery.errors import Object
from mizzen.net.client import Endpoint, SocketTransport
from mizzen.net.tls import client_context, is_taken_for_self_signed, vouched_context
from mizzen.server.endpoints import Unresolved, resolver
from mizzen.server.seams import Reader
from mizzen.wire.message import Request, Response

_KEPT: Final = 256
DEFAULT_PORT: Final = 443
Place = tuple[str, int, str, str]
"""Host, port, the name on the certificate, and the bundle of CAs in base64."""


class Unreachable(Exception):
    """The webhook could not be asked, or did not answer as it should; the text says why."""


class Caller(Protocol):
    """Sends a review to a webhook."""

    async def post(self, config: Object, review: Object, seconds: float) -> Object:
        """The JSON object that the webhook of this clientConfig answers. Raises Unreachable, also when time is up."""


class HttpCaller:
    """Keeps connections to webhooks open between calls."""

    def __init__(self, reader: Reader) -> None:
        self._resolve = resolver(reader)
        self._transports: dict[Place, SocketTransport] = {}

    async def post(self, config: Object, review: Object, seconds: float) -> Object:
        url, host, port, path, name = self._locate(config)
        patience = f"{seconds:g}s"
        url = f"{url}?timeout={patience}"
        place = (host, port, name, config.get("caBundle", ""))
        headers = {
            "content-type": "application/json",
            "accept": "application/json",
            "user-agent": "kube-apiserver-admission",
        }
        request = Request("POST", path, (("timeout", patience),), headers, orjson.dumps(review))
        try:
            async with asyncio.timeout(seconds):
                response = await self._answer(place, request)
        except TimeoutError as error:
            raise Unreachable(f'failed to call webhook: Post "{url}": context deadline exceeded') from error
        except (OSError, ssl.SSLError, ValueError) as error:
            raise Unreachable(f'failed to call webhook: Post "{url}": {error}') from error
        body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
        if response.status != 200:
            said = body.decode("utf-8", "replace").strip() or "unknown"
            raise Unreachable(f"failed to call webhook: the server responded with status {response.status}: {said}")
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise Unreachable(f"failed to call webhook: the answer is not JSON: {error}") from error
        if not isinstance(answer, dict):
            raise Unreachable("failed to call webhook: the answer is not an object")
        return answer

    async def close(self) -> None:
        """Close all connections."""
        for transport in self._transports.values():
            await transport.close()
        self._transports.clear()

    async def _answer(self, place: Place, request: Request) -> Response:
        """What the webhook answers. Raises OSError, ssl.SSLError, ValueError."""
        try:
            return await self._transport(place).call(request)
        except ConnectionError as error:
            host, port, name, ca_bundle = place
            if not ca_bundle or not is_taken_for_self_signed(error.__cause__):
                raise
            vouched = await vouched_context(host, port, name, base64.b64decode(ca_bundle).decode())
            if vouched is None:
                raise
        self._transports[place] = SocketTransport(Endpoint(host, port, vouched, name))
        return await self._transports[place].call(request)

    def _locate(self, config: Object) -> tuple[str, str, int, str, str]:
        """URL for messages, host and port to connect to, path, and the name on the certificate."""
        if config.get("url"):
            parts = urlsplit(config["url"])
            host = parts.hostname or ""
            return config["url"], host, parts.port or DEFAULT_PORT, parts.path or "/", host
        service = config.get("service") or {}
        namespace, name = service.get("namespace", ""), service.get("name", "")
        port, path = service.get("port") or DEFAULT_PORT, service.get("path") or "/"
        server_name = f"{name}.{namespace}.svc"
        try:
            host, target = self._resolve(namespace, name, port)
        except Unresolved as error:
            raise Unreachable(f"failed to call webhook: {error}") from error
        return f"https://{server_name}:{port}{path}", host, target, path, server_name

    def _transport(self, place: Place) -> SocketTransport:
        host, port, name, ca_bundle = place
        known = self._transports.get(place)
        if known is None:
            if len(self._transports) >= _KEPT:
                self._transports.clear()
            tls = client_context(ca_data=base64.b64decode(ca_bundle).decode() if ca_bundle else "")
            known = self._transports[place] = SocketTransport(Endpoint(host, port, tls, name))
        return known
