"""The API as a component sees it: typed reads, JSON writes, watches; the transport decides how requests travel.

Components receive a `Client` and never know whether the server is in their process or behind TLS.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec
import orjson

from mizzen.machinery.errors import ApiError, Object
from mizzen.wire.message import Request, Response

T = TypeVar("T")

Query = tuple[tuple[str, str], ...]
PatchType = Literal[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
]
MERGE: PatchType = "application/merge-patch+json"
STRATEGIC: PatchType = "application/strategic-merge-patch+json"
APPLY: PatchType = "application/apply-patch+yaml"
JSON: PatchType = "application/json-patch+json"


@dataclass(frozen=True, slots=True)
class Resource:
    """Where a resource lives in the API: `Resource("apps", "v1", "deployments", namespaced=True)`."""

    group: str
    version: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection, an object, or a subresource; no namespace means all of them."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/".join(parts)


class Transport(Protocol):
    """How requests travel. `call` never raises for an HTTP error status; ConnectionError when nothing answers."""

    async def call(self, request: Request) -> Response:
        """Send a request; a watch's answer comes as `Response.stream`, whatever its chunk borders."""

    async def close(self) -> None:
        """Give up every connection."""


@dataclass(frozen=True, slots=True)
class Event(Generic[T]):
    """One watch event. A BOOKMARK has no object; `initial_end` marks the end of a streamed list."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: T | None
    resource_version: str
    initial_end: bool = False


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """A list's items, the revision it shows, and the token of the next page ("" at the end)."""

    items: tuple[T, ...]
    resource_version: str
    next: str = ""


class _RawList(msgspec.Struct):
    items: list[msgspec.Raw] | None = None
    metadata: dict[str, Any] = {}


class _RawEvent(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Marker(msgspec.Struct):
    class Meta(msgspec.Struct):
        resourceVersion: str = ""
        annotations: dict[str, str] = {}

    metadata: Meta = msgspec.field(default_factory=Meta)


def _error(response: Response) -> ApiError:
    body = _joined(response)
    try:
        status = orjson.loads(body)
        return ApiError(
            response.status, status.get("reason", ""), status.get("message", ""), status.get("details") or {}
        )
    except (orjson.JSONDecodeError, AttributeError):
        return ApiError(response.status, "", body.decode("utf-8", "replace"))


def _joined(response: Response) -> bytes:
    return response.body if isinstance(response.body, bytes) else b"".join(response.body)


class Client:
    """Reads into typed views (msgspec Structs, or `dict`), writes JSON; every failure is an `ApiError`.

    Raises: ApiError with the server's Status; ConnectionError when no server answers.
    """

    def __init__(self, transport: Transport, *, user_agent: str = "mizzen", field_manager: str = "") -> None:
        self._transport = transport
        self._headers = {"user-agent": user_agent, "accept": "application/json"}
        self._manager = field_manager
        self.answers: Counter[tuple[str, str]] = Counter()
        """How often what was asked how (method) got which code; `<error>` where nobody answered."""

    async def get(
        self, resource: Resource, name: str, namespace: str = "", *, view: type[T], subresource: str = ""
    ) -> T:
        """One object as a view. Raises ApiError NotFound."""
        body = await self._request("GET", resource.path(namespace, name, subresource))
        return msgspec.json.decode(body, type=view)

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        view: type[T],
        labels: str = "",
        fields: str = "",
        limit: int = 0,
        next: str = "",
        resource_version: str = "",
    ) -> Listed[T]:
        """A collection, or one page of it. Raises ApiError Expired when `next` is too old."""
        query = _query(
            labelSelector=labels,
            fieldSelector=fields,
            limit=str(limit or ""),
            resourceVersion=resource_version,
            **{"continue": next},
        )
        raw = msgspec.json.decode(await self._request("GET", resource.path(namespace), query), type=_RawList)
        items = tuple(msgspec.json.decode(one, type=view) for one in raw.items or ())
        return Listed(items, raw.metadata.get("resourceVersion", ""), raw.metadata.get("continue", ""))

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        view: type[T],
        since: str = "",
        labels: str = "",
        fields: str = "",
        initial: bool = False,
        timeout: int = 0,
    ) -> AsyncIterator[Event[T]]:
        """Changes since a revision; with `initial`, first everything there is, then a BOOKMARK with `initial_end`.

        Ends when the server closes the watch. Raises ApiError Expired (410) when `since` is too old.
        """
        query = _query(
            watch="1",
            allowWatchBookmarks="true",
            labelSelector=labels,
            fieldSelector=fields,
            resourceVersion=since,
            timeoutSeconds=str(timeout or ""),
            sendInitialEvents="true" if initial else "",
            resourceVersionMatch="NotOlderThan" if initial else "",
        )
        request = Request("GET", resource.path(namespace), query, dict(self._headers))
        response = await self._call(request)
        if response.status != 200 or response.stream is None:
            raise _error(response)
        rest = b""
        async for chunk in response.stream:
            *lines, rest = (rest + chunk).split(b"\n") if rest else chunk.split(b"\n")
            for line in lines:
                if line:
                    yield _decoded(line, view)

    async def create(
        self, resource: Resource, body: Object, namespace: str = "", *, name: str = "", subresource: str = ""
    ) -> Object:
        """Create an object, or post to a subresource of `name`; answers what was stored."""
        path = resource.path(namespace, name, subresource)
        return self._object(await self._request("POST", path, self._managed(), body))

    async def update(self, resource: Resource, body: Object, *, subresource: str = "") -> Object:
        """Replace an object; its own metadata names it. Raises ApiError Conflict on a stale resourceVersion."""
        meta = body["metadata"]
        path = resource.path(meta.get("namespace", ""), meta["name"], subresource)
        return self._object(await self._request("PUT", path, self._managed(), body))

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Object | Sequence[Object],
        namespace: str = "",
        *,
        type: PatchType = MERGE,
        subresource: str = "",
        force: bool = False,
    ) -> Object:
        """Change what the patch names; put uid or resourceVersion into its metadata as preconditions."""
        path = resource.path(namespace, name, subresource)
        query = self._managed() + _query(force="true" if force else "")
        return self._object(await self._request("PATCH", path, query, patch, {"content-type": type}))

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        resource_version: str = "",
        grace_seconds: int | None = None,
        propagation: str = "",
    ) -> None:
        """Delete an object. Raises ApiError NotFound, or Conflict when a precondition does not hold."""
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
        preconditions = {key: value for key, value in (("uid", uid), ("resourceVersion", resource_version)) if value}
        if preconditions:
            options["preconditions"] = preconditions
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if propagation:
            options["propagationPolicy"] = propagation
        await self._request("DELETE", resource.path(namespace, name), (), options)

    async def raw(self, method: str, path: str, query: Sequence[tuple[str, str]] = (), body: Any = b"") -> bytes:
        """Any other path: discovery, health, proxies."""
        return await self._request(method, path, query, body)

    async def close(self) -> None:
        """Give up every connection."""
        await self._transport.close()

    def _managed(self) -> Query:
        return _query(fieldManager=self._manager)

    def _object(self, body: bytes) -> Object:
        answer: Object = orjson.loads(body)
        return answer

    async def _request(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: Any = b"",
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        sent = {"content-type": "application/json", **self._headers, **(headers or {})}
        response = await self._call(Request(method, path, query, sent, body))
        if response.status >= 300:
            raise _error(response)
        return _joined(response)

    async def _call(self, request: Request) -> Response:
        try:
            response = await self._transport.call(request)
        except (ConnectionError, TimeoutError):
            self.answers[request.method, "<error>"] += 1
            raise
        self.answers[request.method, str(response.status)] += 1
        return response


def _query(**parameters: str) -> Query:
    return tuple((name, value) for name, value in parameters.items() if value)


def _decoded(line: bytes, view: type[T]) -> Event[T]:
    raw = msgspec.json.decode(line, type=_RawEvent)
    if raw.type == "ERROR":
        status = orjson.loads(bytes(raw.object))
        raise ApiError(status.get("code", 500), status.get("reason", ""), status.get("message", ""))
    marker = msgspec.json.decode(raw.object, type=_Marker)
    ended = marker.metadata.annotations.get("k8s.io/initial-events-end") == "true"
    if raw.type == "BOOKMARK":
        return Event("BOOKMARK", None, marker.metadata.resourceVersion, ended)
    seen = msgspec.json.decode(raw.object, type=view)
    return Event(raw.type, seen, marker.metadata.resourceVersion)  # type: ignore[arg-type]
