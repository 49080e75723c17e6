"""One version of a group that another server answers: requests carried there in the user's name, and its documents.

The other server trusts the front proxy's certificate, and the X-Remote headers that come with it.
Ref: https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/
"""

import asyncio
import base64
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

import orjson

from mizzen.machinery.errors import Object
from mizzen.machinery.identity import MASTERS, Identity
from mizzen.net.client import Endpoint, SocketTransport
from mizzen.net.tls import client_context, is_taken_for_self_signed, unverified_context, vouched_context
from mizzen.server import carry
from mizzen.server.endpoints import Resolve, Unresolved
from mizzen.wire.message import Request, Response

_PROBE_SECONDS: Final = 5.0
_PROBER: Final = Identity("system:kube-aggregator", groups=(MASTERS,))
_LEFT_BEHIND: Final = ("x-remote-", "impersonate-")


@dataclass(frozen=True, slots=True)
class FrontProxy:
    """The certificate that this server shows to the others."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Health:
    """What the condition Available says."""

    available: bool
    reason: str
    message: str


_UNKNOWN: Final = Health(False, "Pending", "not looked at yet")


@dataclass(slots=True)
class Remote:
    """One APIService with a Service; `resources` and `openapi` (v3, v2) are what it told last."""

    spec: Object
    resolve: Resolve
    front_proxy: Callable[[], FrontProxy] | None
    health: Health = _UNKNOWN
    resources: Sequence[Object] = ()
    openapi: Object | None = None
    openapi_v2: Object | None = None
    _openapi_v2_tag: str = ""
    _tls: ssl.SSLContext | None = None
    _transports: dict[tuple[str, int], SocketTransport] = field(default_factory=dict)

    @property
    def group(self) -> str:
        return str(self.spec["group"])

    @property
    def version(self) -> str:
        return str(self.spec["version"])

    @property
    def told(self) -> tuple[object, ...]:
        """All that it told about itself, to see whether that has changed."""
        return self.health, self.resources, self.openapi, self.openapi_v2

    async def forward(self, request: Request, user: Identity) -> Response:
        """The other server's answer to a request."""
        if not self.health.available:
            return _unavailable("service unavailable")
        try:
            if carry.wants_upgrade(request.headers):
                return await self._upgraded(request, user)
            carried = _carried(request, user, carry.HOP_BY_HOP | carry.UPGRADE)
            response = await self._transport().call(carried)
        except (ConnectionError, Unresolved) as error:
            return _unavailable(f"error trying to reach service: {error}")
        kept = {k: v for k, v in response.headers.items() if k not in carry.HOP_BY_HOP | carry.UPGRADE}
        return Response(response.status, kept, response.body, response.stream)

    async def probe(self) -> None:
        """See whether it answers, and what it serves."""
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                response = await self._ask(f"/apis/{self.group}/{self.version}")
                if not 200 <= response.status < 300:
                    raise ConnectionError(f"bad status: {response.status}")
                self.resources = _resources(response)
                self.openapi = await self._schema()
                await self._refresh_version_two()
        except Unresolved as error:
            self.health = Health(False, error.reason, str(error))
        except (ConnectionError, ValueError, ssl.SSLError) as error:
            self.health = Health(False, "FailedDiscoveryCheck", f"failing or missing response: {error}")
        except TimeoutError:
            self.health = Health(False, "FailedDiscoveryCheck", "failing or missing response: deadline exceeded")
        else:
            self.health = Health(True, "Passed", "all checks passed")

    async def close(self) -> None:
        """End all connections."""
        for transport in self._transports.values():
            await transport.close()
        self._transports.clear()

    async def _ask(self, path: str) -> Response:
        request = _carried(Request("GET", path), _PROBER, frozenset())
        try:
            return await self._transport().call(request)
        except ConnectionError as error:
            if not is_taken_for_self_signed(error.__cause__) or not await self._vouch():
                raise
        return await self._transport().call(request)

    async def _vouch(self) -> bool:
        """Trust the very certificate that it shows, if one of its authorities has signed it: names may not tell that.

        Raises OSError, ValueError, Unresolved.
        """
        context = await vouched_context(*self._place(), self._name, self._authorities())
        if context is None:
            return False
        self._tls = self._showing(context)
        await self.close()
        return True

    async def _schema(self) -> Object | None:
        """The version's OpenAPI v3 document, where it has one."""
        response = await self._ask(f"/openapi/v3/apis/{self.group}/{self.version}")
        if response.status != 200:
            return None
        found = orjson.loads(_whole(response))
        return found if isinstance(found, dict) else None

    async def _refresh_version_two(self) -> None:
        """The server's OpenAPI v2 document, which is asked for again only to hear that it is still the same."""
        asked = Request("GET", "/openapi/v2", headers={"accept": "application/json"})
        if self._openapi_v2_tag:
            asked.headers = {**asked.headers, "if-none-match": self._openapi_v2_tag}
        response = await self._transport().call(_carried(asked, _PROBER, frozenset()))
        if response.status == 304:
            return
        found = orjson.loads(_whole(response)) if response.status == 200 else None
        self.openapi_v2 = found if isinstance(found, dict) else None
        self._openapi_v2_tag = response.headers.get("etag", "")

    async def _upgraded(self, request: Request, user: Identity) -> Response:
        response, duplex = await self._transport().upgrade(_carried(request, user, carry.HOP_BY_HOP))
        if duplex is None:
            return response
        answered = {name: value for name, value in response.headers.items() if name != "date"}
        return Response(101, answered, upgrade=lambda client: carry.splice(client, duplex))

    def _transport(self) -> SocketTransport:
        """Connections to where the Service is now. Raises Unresolved."""
        place = self._place()
        known = self._transports.get(place)
        if known is None:
            known = self._transports[place] = SocketTransport(Endpoint(*place, self._context(), self._name))
        return known

    @property
    def _name(self) -> str:
        """The name on its certificate."""
        service = self.spec["service"]
        return f"{service['name']}.{service['namespace']}.svc"

    def _place(self) -> tuple[str, int]:
        """Raises Unresolved."""
        service = self.spec["service"]
        return self.resolve(service["namespace"], service["name"], service.get("port") or 443)

    def _authorities(self) -> str:
        return base64.b64decode(self.spec.get("caBundle") or "").decode()

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            is_unchecked = self.spec.get("insecureSkipTLSVerify")
            self._tls = self._showing(
                unverified_context() if is_unchecked else client_context(ca_data=self._authorities())
            )
        return self._tls

    def _showing(self, context: ssl.SSLContext) -> ssl.SSLContext:
        """The context with the certificate by which the other server knows this one."""
        if self.front_proxy is not None:
            shown = self.front_proxy()
            context.load_cert_chain(shown.certificate, shown.key)
        return context


def _carried(request: Request, user: Identity, left: frozenset[str]) -> Request:
    """A request as the other server receives it."""
    headers = {
        name: value
        for name, value in carry.handed_on(request.headers, left).items()
        if not name.startswith(_LEFT_BEHIND)
    }
    return Request(request.method, request.path, request.query, headers, request.body, repeated=tuple(_identity(user)))


def _identity(user: Identity) -> Iterator[tuple[str, str]]:
    yield "x-remote-user", user.name
    if user.uid:
        yield "x-remote-uid", user.uid
    for group in user.groups:
        yield "x-remote-group", group
    for key, values in user.extra.items():
        for value in values:
            yield f"x-remote-extra-{quote(key, safe='').lower()}", value


def _resources(response: Response) -> Sequence[Object]:
    """Raises ValueError for what is no APIResourceList."""
    listed = orjson.loads(_whole(response))
    if not isinstance(listed, dict) or not isinstance(listed.get("resources"), list):
        raise ValueError("not an APIResourceList")
    return tuple(listed["resources"])


def _whole(response: Response) -> bytes:
    return response.body if isinstance(response.body, bytes) else b"".join(response.body)


def _unavailable(why: str) -> Response:
    headers = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}
    return Response(503, headers, why.encode() + b"\n")
