"""What the server hands on to nodes, pods and Services: logs, exec, attach, port forwarding, and proxied requests.

Upgraded connections are joined byte by byte: the node speaks WebSocket and SPDY itself.
Ref: https://kubernetes.io/docs/concepts/architecture/control-plane-node-communication/
"""

import random
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlencode

from mizzen.api.core.node import NODE
from mizzen.api.core.pod import POD
from mizzen.api.core.service import SERVICE
from mizzen.api.discovery.endpointslice import ENDPOINT_SLICE
from mizzen.machinery.errors import ApiError, Errors, Object
from mizzen.net.client import Endpoint, SocketTransport
from mizzen.net.tls import unverified_context
from mizzen.server import options, websockets
from mizzen.server.call import Call
from mizzen.server.carry import HOP_BY_HOP, UPGRADE, handed_on, splice, wants_upgrade
from mizzen.server.seams import Reader
from mizzen.server.subresources import links
from mizzen.server.work import Handlers
from mizzen.wire import websocket
from mizzen.wire.message import Request, Response

_KUBELET_PORT: Final = 10250
_LONGEST_PAGE: Final = 8 << 20


@dataclass(slots=True)
class Nodes:
    """Reaches nodes with the server's own certificate; theirs are not verified, as by default everywhere."""

    reader: Reader
    tls: Callable[[], ssl.SSLContext]
    rng: random.Random
    _transports: dict[tuple[str, int], SocketTransport] = field(default_factory=dict)

    def register(self, handlers: Handlers) -> None:
        """Add the subresources that need a node or a pod."""
        handlers.connects["pods", "log"] = self.log
        for verb in ("exec", "attach"):
            handlers.connects["pods", verb] = self.command
        handlers.connects["pods", "portforward"] = self.forward
        handlers.connects["pods", "proxy"] = self.proxy_pod
        handlers.connects["services", "proxy"] = self.proxy_service
        handlers.connects["nodes", "proxy"] = self.proxy_node

    async def log(self, call: Call) -> Response:
        """The log of one container. Raises ApiError 400 when none or an unknown one is named among several."""
        options.check_log_options(call.request, call.info.name)
        pod = self._pod(call)
        container = _container(pod, call.request.parameter("container"))
        if not pod["spec"].get("nodeName"):
            return Response(204)
        path = f"/containerLogs/{call.info.namespace}/{call.info.name}/{container}"
        response = await self._opened(pod["spec"]["nodeName"], Request("GET", path, call.request.query))
        if response.status >= 400:
            raise _told(response)
        if websocket.is_upgrade(call.request.headers):
            return websockets.log(call.request, response)
        return Response(response.status, {"content-type": "text/plain"}, response.body, response.stream)

    async def command(self, call: Call) -> Response:
        """exec and attach."""
        pod = self._pod(call)
        container = _container(pod, call.request.parameter("container"), first=True)
        if not pod["spec"].get("nodeName"):
            raise Errors.bad_request(f"pod {call.info.name} does not have a host assigned")
        if call.info.subresource == "exec" and not call.request.parameter("command"):
            raise Errors.bad_request("you must specify at least 1 command for the container")
        path = f"/{call.info.subresource}/{call.info.namespace}/{call.info.name}/{container}"
        return await self._joined(self._node(pod["spec"]["nodeName"]), call.request, path)

    async def forward(self, call: Call) -> Response:
        """Port forwarding."""
        pod = self._pod(call)
        if pod.get("status", {}).get("phase") != "Running":
            raise Errors.bad_request(f"unable to forward port because pod is not running. Current status={_phase(pod)}")
        path = f"/portForward/{call.info.namespace}/{call.info.name}"
        return await self._joined(self._node(pod["spec"]["nodeName"]), call.request, path)

    async def proxy_pod(self, call: Call) -> Response:
        """A request to a pod: `name`, `name:port` or `https:name:port`."""
        scheme, name, port = _split(call.info.name)
        pod = self._reader_get_pod(call.info.namespace, name)
        address = pod.get("status", {}).get("podIP")
        if not address:
            raise Errors.unavailable(f'no address available for pod "{name}"')
        _refuse_own(address)
        number = _pod_port(pod, port)
        return await self._proxied(call, Endpoint(address, number, _tls(scheme)))

    async def proxy_service(self, call: Call) -> Response:
        """A request to one of a Service's ready endpoints."""
        scheme, name, port = _split(call.info.name)
        service = self.reader.get(SERVICE, call.info.namespace, name)
        if service is None:
            raise Errors.not_found("", "services", name)
        address, number = self._endpoint(service, port)
        _refuse_own(address)
        return await self._proxied(call, Endpoint(address, number, _tls(scheme)))

    async def proxy_node(self, call: Call) -> Response:
        """A request to the node's own server, or to another port of the node."""
        scheme, name, port = _split(call.info.name)
        if port and port != str(_KUBELET_PORT):
            address = self._node(name).host
            return await self._proxied(call, Endpoint(address, int(port), _tls(scheme)))
        return await self._proxied(call, self._node(name))

    async def ask(self, node: str, path: str) -> bytes:
        """The body of a path of a node's own server. Raises ApiError."""
        response = await self._call(node, Request("GET", path))
        if response.status != 200:
            raise _told(response)
        return response.body if isinstance(response.body, bytes) else b"".join(response.body)

    # --- where things are

    def _pod(self, call: Call) -> Object:
        return self._reader_get_pod(call.info.namespace, call.info.name)

    def _reader_get_pod(self, namespace: str, name: str) -> Object:
        pod = self.reader.get(POD, namespace, name)
        if pod is None:
            raise Errors.not_found("", "pods", name)
        return pod

    def _node(self, name: str) -> Endpoint:
        node = self.reader.get(NODE, "", name)
        if node is None:
            raise Errors.not_found("", "nodes", name)
        status = node.get("status", {})
        addresses = {one["type"]: one["address"] for one in status.get("addresses") or ()}
        host = addresses.get("InternalIP") or addresses.get("Hostname") or name
        port = status.get("daemonEndpoints", {}).get("kubeletEndpoint", {}).get("Port") or _KUBELET_PORT
        return Endpoint(host, port, self.tls())

    def _endpoint(self, service: Object, port: str) -> tuple[str, int]:
        """A random ready endpoint of a Service's port. Raises ApiError 503 when there is none."""
        meta = service["metadata"]
        ports = service["spec"].get("ports") or []
        chosen = next((one for one in ports if port in ("", one.get("name", ""), str(one["port"]))), None)
        if chosen is None:
            raise Errors.unavailable(f'no service port "{port}" found for service "{meta["name"]}"')
        found = [
            (address, known["port"])
            for piece in self.reader.list(ENDPOINT_SLICE, meta["namespace"])
            if (piece["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == meta["name"]
            for known in piece.get("ports") or ()
            if known.get("name", "") == chosen.get("name", "")
            for endpoint in piece.get("endpoints") or ()
            if (endpoint.get("conditions") or {}).get("ready", True)
            for address in endpoint["addresses"]
        ]
        if not found:
            raise Errors.unavailable(f'no endpoints available for service "{meta["name"]}"')
        chosen_address: tuple[str, int] = self.rng.choice(found)
        return chosen_address

    # --- carrying requests over

    async def _call(self, node: str, request: Request) -> Response:
        endpoint = self._node(node)
        try:
            return await self._transport(endpoint).call(request)
        except ConnectionError as error:
            raise _unreachable(endpoint, error) from error

    async def _opened(self, node: str, request: Request) -> Response:
        """The same for answers of any length: they come as a stream."""
        endpoint = self._node(node)
        try:
            return await self._transport(endpoint).open(request)
        except ConnectionError as error:
            raise _unreachable(endpoint, error) from error

    def _transport(self, endpoint: Endpoint) -> SocketTransport:
        key = (endpoint.host, endpoint.port)
        transport = self._transports.get(key)
        if transport is None:
            transport = self._transports[key] = SocketTransport(endpoint)
        return transport

    async def _joined(self, endpoint: Endpoint, request: Request, path: str) -> Response:
        """Ask for the same upgrade at the other end and, once it has it, join both connections."""
        try:
            asked = Request(request.method, path, request.query, handed_on(request.headers))
            response, duplex = await SocketTransport(endpoint).upgrade(asked)
        except ConnectionError as error:
            raise _unreachable(endpoint, error) from error
        if duplex is None:
            raise _told(response)
        answered = {name: value for name, value in response.headers.items() if name != "date"}
        return Response(101, answered, upgrade=lambda client: splice(client, duplex))

    async def _proxied(self, call: Call, endpoint: Endpoint) -> Response:
        """Hand a request on, whatever it is, and its answer back."""
        request = call.request
        path = "/" + "/".join(call.info.rest)
        if request.path.endswith("/") and not path.endswith("/"):
            path += "/"
        if wants_upgrade(request.headers):
            return await self._joined(endpoint, request, path)
        if not call.info.rest and not request.path.endswith("/") and request.method in ("GET", "HEAD"):
            # Relative links in what is shown must lead to below this path.
            query = f"?{urlencode(request.query)}" if request.query else ""
            return Response(301, {"location": f"{request.path}/{query}"})
        headers = handed_on(request.headers, HOP_BY_HOP | UPGRADE) | {
            "x-forwarded-uri": request.path,
            "x-forwarded-host": request.headers.get("host", ""),
            "x-forwarded-proto": "https",
        }
        transport = SocketTransport(endpoint)
        try:
            response = await transport.open(Request(request.method, path, request.query, headers, request.body))
        except ConnectionError as error:
            raise Errors.unavailable(f"error trying to reach service: {error}") from error
        if response.stream is None:
            await transport.close()
        dropped = HOP_BY_HOP | UPGRADE if request.method != "HEAD" else UPGRADE
        kept = {
            name: value
            for name, value in response.headers.items()
            if name not in dropped and not name.startswith("access-control-")
        }
        base, host = _base(request.path, call.info.rest), f"{endpoint.host}:{endpoint.port}"
        if location := kept.get("location"):
            kept["location"] = links.moved(location, base, host)
        if request.method == "HEAD" or not links.is_page(kept):
            return Response(response.status, kept, response.body, response.stream)
        return await _page(Response(response.status, kept, response.body, response.stream), base, host)


async def _page(response: Response, base: str, host: str) -> Response:
    """A page whose links lead to below the proxy; one that is longer than can be held is handed on as it is."""
    body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
    if response.stream is not None:
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.stream:
            chunks.append(chunk)
            size += len(chunk)
            if size > _LONGEST_PAGE:
                return Response(response.status, response.headers, stream=_after(chunks, response.stream))
        body = b"".join(chunks)
    try:
        text = links.plain(body, response.headers.get("content-encoding", ""))
    except ValueError:
        return Response(response.status, response.headers, body)
    headers = {name: value for name, value in response.headers.items() if name != "content-encoding"}
    return Response(response.status, headers, links.led(text, base, host))


async def _after(chunks: Sequence[bytes], stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What has been read of a stream, and the rest of it."""
    for chunk in chunks:
        yield chunk
    async for chunk in stream:
        yield chunk


def _base(path: str, rest: Sequence[str]) -> str:
    """The proxy's own path: a request's without what is asked of the proxied server."""
    base = path.rstrip("/")
    return base.removesuffix("/" + "/".join(rest).rstrip("/")) if rest else base


def _container(pod: Object, wanted: str, *, first: bool = False) -> str:
    """The container that is meant. Raises ApiError 400 in the words that kubectl shows."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    main: list[str] = [one["name"] for one in spec.get("containers") or ()]
    others = [one["name"] for key in ("initContainers", "ephemeralContainers") for one in spec.get(key) or ()]
    if wanted:
        if wanted not in (*main, *others):
            raise Errors.bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    if len(main) == 1 or first:
        return main[0]
    text = f"a container name must be specified for pod {name}, choose one of: [{' '.join(main)}]"
    initial = [one["name"] for one in spec.get("initContainers") or ()]
    if initial:
        text += f" or one of the init containers: [{' '.join(initial)}]"
    raise Errors.bad_request(text)


def _split(name: str) -> tuple[str, str, str]:
    """Scheme, name and port of `[scheme:]name[:port]`."""
    parts = name.split(":")
    if len(parts) == 3:
        return parts[0], parts[1], parts[2]
    return "", parts[0], parts[1] if len(parts) == 2 else ""


def _pod_port(pod: Object, port: str) -> int:
    """A port by number or name; the first one of the pod when none is named."""
    known = [one for container in pod["spec"]["containers"] for one in container.get("ports") or ()]
    if port.isdecimal():
        return int(port)
    for one in known:
        if port in ("", one.get("name")):
            return int(one["containerPort"])
    return 80


def _refuse_own(address: str) -> None:
    """Whoever can write an address must not thereby reach what listens beside the server. Raises ApiError 400."""
    ip = ip_address(address)
    if ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        raise Errors.bad_request("address not allowed")


def _tls(scheme: str) -> ssl.SSLContext | None:
    return unverified_context() if scheme == "https" else None


def _phase(pod: Object) -> str:
    return str(pod.get("status", {}).get("phase", "Unknown"))


def _unreachable(endpoint: Endpoint, error: Exception) -> ApiError:
    text = f"error dialing backend: dial tcp {endpoint.host}:{endpoint.port}: {error}"
    return ApiError(500, "InternalError", f"Internal error occurred: {text}")


def _told(response: Response) -> ApiError:
    """What the node answered, as a Status."""
    body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
    reasons = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound"}
    return ApiError(
        response.status, reasons.get(response.status, "InternalError"), body.decode("utf-8", "replace").strip()
    )
