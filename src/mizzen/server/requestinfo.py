"""What a request asks for, read from method, path and query alone: enough to authorize before anything is looked up.

Ref: https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from mizzen.wire.message import Request

_VERBS: Final = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_NAMESPACE_SUBRESOURCES: Final = frozenset({"status", "finalize"})
_NO_WATCH: Final = frozenset({"", "0", "false"})


class RequestInfo(msgspec.Struct):
    """A parsed request line; `resource` is empty for paths that name none. `rest` follows the subresource."""

    verb: str
    path: str
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    name: str = ""
    subresource: str = ""
    rest: Sequence[str] = ()

    @property
    def is_resource(self) -> bool:
        return bool(self.resource)


def parse(request: Request) -> RequestInfo:
    """Read the request line."""
    path = request.path
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        return _resource(request, "", parts[1], parts[2:])
    if parts[0] == "apis" and len(parts) > 3:
        return _resource(request, parts[1], parts[2], parts[3:])
    return RequestInfo(request.method.lower(), path)


def _resource(request: Request, group: str, version: str, parts: Sequence[str]) -> RequestInfo:
    method = request.method
    info = RequestInfo(_VERBS.get(method, method.lower()), request.path, group, version)
    if parts[0] in ("watch", "proxy") and len(parts) > 1:
        info.verb, parts = parts[0], parts[1:]
    _locate(info, parts)
    if info.verb == "get" and method != "HEAD" and not info.name:
        info.verb = "list"
    if info.verb == "list":
        _narrow(info, request)
    elif info.verb == "delete" and not info.name:
        info.verb = "deletecollection"
    return info


def _locate(info: RequestInfo, parts: Sequence[str]) -> None:
    """Namespace, resource, name and subresource from the path after the version."""
    if parts[0] == "namespaces" and len(parts) > 1:
        info.namespace = parts[1]
        if len(parts) > 2 and parts[2] not in _NAMESPACE_SUBRESOURCES:
            parts = parts[2:]
    info.resource = parts[0]
    if len(parts) > 1:
        info.name = parts[1]
    if len(parts) > 2:
        info.subresource = parts[2]
        info.rest = parts[3:]


def _narrow(info: RequestInfo, request: Request) -> None:
    """A list with `watch` is a watch; one of a single name is authorized by that name."""
    for key, value in request.query:
        if key == "watch" and value.lower() not in _NO_WATCH:
            info.verb = "watch"
        elif key == "fieldSelector" and value.startswith("metadata.name="):
            name = value.removeprefix("metadata.name=").removeprefix("=")
            if "," not in name:
                info.name = name
