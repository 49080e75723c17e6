"""Paths that name no resource: discovery, schema, version, health, metrics."""

import platform
from collections.abc import Awaitable, Callable
from typing import Final

from mizzen import __version__
from mizzen.machinery.identity import Identity
from mizzen.server import codec, media
from mizzen.server.config import Remotes
from mizzen.server.discovery import Discovery
from mizzen.server.health import PATHS, Health
from mizzen.server.metrics import Metrics
from mizzen.server.openapi import OpenApi
from mizzen.server.requestinfo import RequestInfo
from mizzen.server.routes import PathNotFound, Routes, method_not_allowed
from mizzen.wire.message import Request, Response

VERSION: Final = {"major": "1", "minor": "37", "gitVersion": f"v1.37.0+mizzen.{__version__}"}

Extra = Callable[[Request, Identity], Response | Awaitable[Response]]


class NonResource:
    """Answers them; `extra` holds paths that others serve (`/openid/v1/jwks`)."""

    def __init__(self, routes: Routes, metrics: Metrics, remotes: Remotes | None = None) -> None:
        self.discovery = Discovery(routes, remotes)
        self.openapi = OpenApi(routes, remotes)
        self._remotes = remotes.versions if remotes is not None else {}
        self.health = Health({"ping": lambda: "", "log": lambda: ""})
        self.extra: dict[str, Extra] = {}
        self._routes = routes
        self._metrics = metrics

    def __call__(self, request: Request, info: RequestInfo, user: Identity) -> Response | Awaitable[Response]:
        """The answer for a path. Raises ApiError, PathNotFound."""
        known = self._answer(request, user)
        if known is None:
            raise PathNotFound
        if info.verb not in ("get", "head") and not isinstance(known, Awaitable):
            raise method_not_allowed()
        return known

    def _answer(self, request: Request, user: Identity) -> Response | Awaitable[Response] | None:
        path = request.path.rstrip("/") or "/"
        extra = self.extra.get(path)
        if extra is not None:
            return extra(request, user)
        if path == "/":
            return self._index(request)
        if path == "/version":
            return codec.respond(request, codec.encode(_version()), media.PLAIN)
        if path == "/metrics":
            body = self._metrics.render()
            return codec.compressed(request, Response(200, {"content-type": "text/plain; version=0.0.4"}, body))
        if path == "/metrics/slis":
            text = "\n".join(self.health.metrics()).encode() + b"\n"
            return Response(200, {"content-type": "text/plain; version=0.0.4"}, text)
        if path.startswith("/openapi"):
            return self.openapi.answer(request)
        parts = path.split("/")
        if self._remotes and len(parts) == 4 and parts[1] == "apis":
            remote = self._remotes.get((parts[2], parts[3]))
            if remote is not None:
                return remote.forward(request, user)
        return self.health.answer(request) or self.discovery.answer(request)

    def _index(self, request: Request) -> Response:
        paths = {"/api", "/apis", "/metrics", "/metrics/slis", "/openapi/v2", "/openapi/v3", "/version", *self.extra}
        for version in self._routes.versions(""):
            paths.add(f"/api/{version}")
        for group in self.discovery.groups():
            paths.add(f"/apis/{group}")
            paths.update(f"/apis/{group}/{version}" for version in self._routes.versions(group))
        for name in PATHS:
            paths.add(f"/{name}")
            paths.update(f"/{name}/{check}" for check in self.health.names(name))
        return codec.respond(request, codec.encode({"paths": sorted(paths)}), media.PLAIN)


def _version() -> dict[str, str]:
    return {
        **VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": platform.python_implementation(),
        "platform": f"linux/{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(platform.machine(), platform.machine()) }",
    }
