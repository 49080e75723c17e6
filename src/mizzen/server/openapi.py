"""OpenAPI v3 and v2, derived from the routes and the packed schema; documents are made when asked for.

Only compressed bytes are kept, and only while the routes stay as they are.
Ref: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-interface-definition
"""

import gzip
import hashlib
from collections.abc import Callable, Iterator
from typing import Final

import orjson

from mizzen.machinery.errors import ApiError, Object
from mizzen.server import codec, media, openapi_protobuf, openapi_protobuf_v3
from mizzen.server.aggregation import merging
from mizzen.server.aggregation.remote import Remote
from mizzen.server.config import Remotes
from mizzen.server.openapi_paths import paths_of, version_two_paths
from mizzen.server.openapi_schemas import Collected
from mizzen.server.routes import Routes
from mizzen.wire.message import Request, Response

_JSON_TYPES: Final = ("application/json", "*/*", "application/*", "")


class OpenApi:
    """Answers /openapi/v2, /openapi/v3 and /openapi/v3/…"""

    def __init__(self, routes: Routes, remotes: Remotes | None = None) -> None:
        self._routes = routes
        self._remotes = remotes
        self._generation = (-1, -1)
        self._documents: dict[str, tuple[bytes, str]] = {}

    def answer(self, request: Request) -> Response | None:
        """The document of a path; None for a path that there is none of. Raises ApiError 406."""
        path = request.path.strip("/")
        generation = (self._routes.generation, self._remotes.generation if self._remotes is not None else 0)
        if self._generation != generation:
            self._documents.clear()
            self._generation = generation
        if path == "openapi/v3":
            return codec.respond(request, orjson.dumps(self._index()), media.PLAIN)
        if path == "openapi/v2":
            return self._version_two(request)
        name = path.removeprefix("openapi/v3/")
        if name == path or name not in dict(self._group_versions()):
            return None
        accepted = _accepted(request)
        as_protobuf = any(clause in openapi_protobuf_v3.CONTENT_TYPES for clause in accepted)
        if not as_protobuf and not any(clause in _JSON_TYPES for clause in accepted):
            raise _not_acceptable()
        asked = request.parameter("hash")
        if asked and asked != (known := self._fingerprint(name)):
            return Response(301, {"location": f"/openapi/v3/{name}?hash={known}"})
        headers = {"cache-control": "public, immutable" if asked else "no-cache, private"}
        if as_protobuf:
            body, digest = self._packed(f"{name} protobuf", lambda: openapi_protobuf_v3.encode(self._document(name)))
            headers["content-type"] = openapi_protobuf_v3.CONTENT_TYPES[1]
        else:
            body, digest = self._kept(name, lambda: self._document(name))
        return _tagged(request, body, digest, headers)

    def _group_versions(self) -> list[tuple[str, tuple[str, str]]]:
        found = []
        for group in self._routes.groups():
            for version in self._routes.versions(group):
                name = f"apis/{group}/{version}" if group else f"api/{version}"
                found.append((name, (group, version)))
        known = {place for _, place in found}
        if self._remotes is not None:
            for place, remote in self._remotes.versions.items():
                if remote.openapi is not None and place not in known:
                    found.append((f"apis/{place[0]}/{place[1]}", place))
        return found

    def _remote_document(self, place: tuple[str, str]) -> Object | None:
        remote = self._remotes.versions.get(place) if self._remotes is not None else None
        return remote.openapi if remote is not None else None

    def _index(self) -> Object:
        paths = {}
        for name, _ in self._group_versions():
            paths[name] = {"serverRelativeURL": f"/openapi/v3/{name}?hash={self._fingerprint(name)}"}
        return {"paths": paths}

    def _fingerprint(self, name: str) -> str:
        """A hash that changes with the document, without making the document of a built-in group."""
        group, version = dict(self._group_versions())[name]
        served = self._routes.resources(group, version)
        if served and all(one.builtin for one in served):
            text = ",".join(f"{one.kind.plural}" for one in served)
            return hashlib.sha256(f"{name} {text}".encode()).hexdigest().upper()
        return self._kept(name, lambda: self._document(name))[1]

    def _kept(self, name: str, make: Callable[[], Object]) -> tuple[bytes, str]:
        return self._packed(name, lambda: orjson.dumps(make()))

    def _packed(self, name: str, make: Callable[[], bytes]) -> tuple[bytes, str]:
        known = self._documents.get(name)
        if known is None:
            body = make()
            known = self._documents[name] = (gzip.compress(body, 1, mtime=0), hashlib.sha256(body).hexdigest().upper())
        return known

    def _document(self, name: str) -> Object:
        group, version = place = dict(self._group_versions())[name]
        remote = self._remote_document(place)
        if remote is not None:
            return remote
        collected = Collected("#/components/schemas/")
        paths: Object = {}
        for served in self._routes.resources(group, version):
            paths.update(paths_of(served, collected))
        return {
            "openapi": "3.0.0",
            "info": _info(),
            "paths": paths,
            "components": {"schemas": collected.schemas(), "securitySchemes": _SECURITY},
        }

    def _version_two(self, request: Request) -> Response:
        accepted = _accepted(request)
        if any(clause in openapi_protobuf.CONTENT_TYPES for clause in accepted):
            body, digest = self._packed("v2 protobuf", lambda: openapi_protobuf.encode(self._version_two_document()))
            return _tagged(request, body, digest, {"content-type": openapi_protobuf.CONTENT_TYPES[1]})
        if not any(clause in _JSON_TYPES for clause in accepted):
            raise _not_acceptable()
        body, digest = self._kept("v2", self._version_two_document)
        return _tagged(request, body, digest, {})

    def _local_paths(self, collected: Collected) -> Object:
        paths: Object = {}
        for served in self._routes.kinds():
            paths.update(version_two_paths(paths_of(served, collected)))
        return paths

    def _documented(self) -> Iterator[Remote]:
        """The versions that other servers answer and describe."""
        if self._remotes is not None:
            yield from (remote for remote in self._remotes.versions.values() if remote.openapi_v2 is not None)

    def _version_two_document(self) -> Object:
        collected = Collected("#/definitions/")
        paths = self._local_paths(collected)
        document: Object = {
            "swagger": "2.0",
            "info": _info(),
            "paths": paths,
            "definitions": dict(collected.schemas()),
            "securityDefinitions": _SECURITY,
            "security": [{"BearerToken": []}],
        }
        for remote in self._documented():
            merging.add(document, remote.openapi_v2 or {}, remote.group, remote.version)
        return document


_SECURITY: Final[Object] = {
    "BearerToken": {
        "type": "apiKey",
        "description": "Bearer Token authentication",
        "name": "authorization",
        "in": "header",
    }
}


def _accepted(request: Request) -> list[str]:
    """The media types that a client accepts."""
    return [clause.partition(";")[0].strip() for clause in request.headers.get("accept", "").split(",")]


def _not_acceptable() -> ApiError:
    return ApiError(406, "NotAcceptable", "406: Not Acceptable\n\nAvailable representations: application/json")


def _info() -> Object:
    return {"title": "Kubernetes", "version": "v1.37.0"}


def _tagged(request: Request, body: bytes, digest: str, headers: dict[str, str]) -> Response:
    """Kept bytes with their ETag: as they are for those who take gzip, nothing for those who have them."""
    tag = f'"{digest}"'
    headers = {"content-type": "application/json", "etag": tag, "vary": "Accept-Encoding, Accept", **headers}
    if tag in request.headers.get("if-none-match", ""):
        return Response(304, headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(200, {**headers, "content-encoding": "gzip"}, body)
    return Response(200, headers, gzip.decompress(body))
