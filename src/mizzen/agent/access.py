"""Who may ask the node's own server: the API server by certificate, others if the API server says so.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/
"""

from typing import Any, Final

from mizzen.client.client import Client
from mizzen.client.resources import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS
from mizzen.machinery.errors import ApiError
from mizzen.machinery.identity import MASTERS
from mizzen.wire import der
from mizzen.wire.message import Handle, Request, Response

_VERBS: Final = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_SUBRESOURCES: Final = {
    "/stats": ("stats",),
    "/metrics": ("metrics",),
    "/logs": ("log",),
    "/checkpoint": ("checkpoint",),
    "/pods": ("pods", "proxy"),
    "/runningpods": ("pods", "proxy"),
    "/healthz": ("healthz", "proxy"),
    "/configz": ("configz", "proxy"),
    "/statusz": ("statusz",),
}
"""Any of these subresources of the node will do; for all other paths, only `proxy`."""


def guarded(handle: Handle, client: Client, node: str) -> Handle:
    """The same answers, for those who may ask."""

    async def answer(request: Request) -> Response:
        user = await _user(request, client)
        if user is None:
            return _text(401, "Unauthorized")
        if MASTERS not in user.get("groups", ()) and not await _allowed(request, user, client, node):
            return _text(403, f"Forbidden (user={user['username']}, verb={_verb(request)}, resource=nodes)")
        return await handle(request)

    return answer


async def _user(request: Request, client: Client) -> dict[str, Any] | None:
    """Who asks, by certificate (TLS has verified it) or by token; None for nobody."""
    if request.peer_certificate is not None:
        attributes = der.subject(request.peer_certificate)
        names = [value for kind, value in attributes if kind == der.COMMON_NAME]
        groups = [value for kind, value in attributes if kind == der.ORGANIZATION]
        return {"username": names[-1], "groups": groups} if names else None
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return None
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token.strip()}}
    try:
        status = (await client.create(TOKEN_REVIEWS, review)).get("status", {})
    except (ApiError, ConnectionError):
        return None
    user: dict[str, Any] | None = status.get("user")
    return user if status.get("authenticated") else None


async def _allowed(request: Request, user: dict[str, Any], client: Client, node: str) -> bool:
    first = "/" + request.path.lstrip("/").partition("/")[0]
    for subresource in _SUBRESOURCES.get(first, ("proxy",)):
        if await _may(request, user, client, (node, subresource)):
            return True
    return False


async def _may(request: Request, user: dict[str, Any], client: Client, what: tuple[str, str]) -> bool:
    node, subresource = what
    attributes = {"verb": _verb(request), "resource": "nodes", "subresource": subresource, "name": node}
    spec = {
        "user": user["username"],
        "groups": user.get("groups", []),
        "uid": user.get("uid", ""),
        "resourceAttributes": attributes,
    }
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    try:
        return bool((await client.create(SUBJECT_ACCESS_REVIEWS, review)).get("status", {}).get("allowed"))
    except (ApiError, ConnectionError):
        return False


def _verb(request: Request) -> str:
    return _VERBS.get(request.method, request.method.lower())


def _text(status: int, text: str) -> Response:
    return Response(status, {"content-type": "text/plain"}, text.encode() + b"\n")
